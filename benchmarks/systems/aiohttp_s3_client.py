"""aiohttp-s3-client: a thin signer over an aiohttp session."""

from __future__ import annotations

import ssl

from aiohttp import ClientSession, TCPConnector
from aiohttp_s3_client import S3Client

from ..data import CONTENT_TYPE, METADATA
from ..place import Item, Place

label = "aiohttp-s3-client"
HEADERS = {"Content-Type": CONTENT_TYPE, **{f"x-amz-meta-{name}": value for name, value in METADATA.items()}}


class Client:
    """An open session and the client over it."""

    def __init__(self, session: ClientSession, place: Place) -> None:
        self.session = session
        self.s3 = S3Client(
            session,
            url=f"{place.endpoint}/{place.bucket}",
            access_key_id=place.access_key,
            secret_access_key=place.secret_key,
            region=place.region,
        )


async def open(place: Place) -> Client:
    trust = ssl.create_default_context(cafile=place.ca_file) if place.ca_file else True
    return Client(ClientSession(connector=TCPConnector(limit=place.max_connections, ssl=trust)), place)


async def close(client: Client) -> None:
    await client.session.close()


async def get(client: Client, item: Item) -> bytes:
    async with client.s3.get(item.key, raise_for_status=True) as answer:
        return await answer.read()


async def insert(client: Client, item: Item, headers: dict[str, str] = HEADERS) -> None:
    async with client.s3.put(item.key, item.body, headers=headers, raise_for_status=True) as answer:
        await answer.read()


async def create(client: Client, item: Item) -> None:
    await insert(client, item, HEADERS | {"If-None-Match": "*"})


async def head(client: Client, item: Item) -> int:
    async with client.s3.head(item.key, raise_for_status=True) as answer:
        return int(answer.headers["Content-Length"])


async def delete(client: Client, item: Item) -> None:
    async with client.s3.delete(item.key, raise_for_status=True) as answer:
        await answer.read()


async def list(client: Client, item: Item) -> int:
    count = 0
    async for page in client.s3.list_objects_v2(prefix=item.key):
        count += len(page[0] if isinstance(page, tuple) else page)
    return count


async def upload(client: Client, item: Item) -> None:
    await insert(client, item)


async def read(client: Client, item: Item) -> int:
    return len(await get(client, item))


async def stream(client: Client, item: Item) -> int:
    size = 0
    async with client.s3.get(item.key, raise_for_status=True) as answer:
        async for chunk in answer.content.iter_any():
            size += len(chunk)
    return size
