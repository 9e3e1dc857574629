"""miniopy-async: MinIO's Python client, ported to aiohttp."""

from __future__ import annotations

import io
import ssl

from aiohttp import ClientSession, TCPConnector
from miniopy_async import Minio

from ..data import CONTENT_TYPE, METADATA
from ..place import Item, Place

label = "miniopy-async"


class Client:
    """An open session, the client over it, and the bucket."""

    def __init__(self, session: ClientSession, place: Place) -> None:
        self.session = session
        self.bucket = place.bucket
        self.s3 = Minio(
            place.endpoint.partition("://")[2],
            access_key=place.access_key,
            secret_key=place.secret_key,
            secure=place.endpoint.startswith("https"),
            region=place.region,
            session=session,
        )


async def open(place: Place) -> Client:
    trust = ssl.create_default_context(cafile=place.ca_file) if place.ca_file else True
    return Client(ClientSession(connector=TCPConnector(limit=place.max_connections, ssl=trust)), place)


async def close(client: Client) -> None:
    await client.session.close()


async def get(client: Client, item: Item) -> bytes:
    answer = await client.s3.get_object(client.bucket, item.key)
    async with answer:
        return await answer.read()


async def insert(client: Client, item: Item) -> None:
    await client.s3.put_object(
        client.bucket,
        item.key,
        io.BytesIO(item.body),
        len(item.body),
        content_type=CONTENT_TYPE,
        metadata=dict(METADATA),
    )


async def head(client: Client, item: Item) -> int:
    return (await client.s3.stat_object(client.bucket, item.key)).size


async def delete(client: Client, item: Item) -> None:
    await client.s3.remove_object(client.bucket, item.key)


async def list(client: Client, item: Item) -> int:
    count = 0
    async for _ in client.s3.list_objects(client.bucket, prefix=item.key, recursive=True):
        count += 1
    return count


async def upload(client: Client, item: Item) -> None:
    await insert(client, item)


async def read(client: Client, item: Item) -> int:
    return len(await get(client, item))


async def stream(client: Client, item: Item) -> int:
    size = 0
    answer = await client.s3.get_object(client.bucket, item.key)
    async with answer:
        async for chunk in answer.content.iter_any():
            size += len(chunk)
    return size
