"""s3fs: the file system of fsspec, by its coroutines, without its caches."""

from __future__ import annotations

from typing import Any

import s3fs

from ..data import CONTENT_TYPE, METADATA
from ..place import Item, Place

label = "s3fs"


class Client:
    """An open file system and the bucket."""

    def __init__(self, files: Any, session: Any, bucket: str) -> None:
        self.files = files
        self.session = session
        self.bucket = bucket


async def open(place: Place) -> Client:
    files = s3fs.S3FileSystem(
        key=place.access_key,
        secret=place.secret_key,
        endpoint_url=place.endpoint,
        client_kwargs={"region_name": place.region},
        config_kwargs={"max_pool_connections": place.max_connections, "s3": {"addressing_style": "path"}},
        asynchronous=True,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    return Client(files, await files.set_session(), place.bucket)


async def close(client: Client) -> None:
    await client.session.close()


async def get(client: Client, item: Item) -> bytes:
    return await client.files._cat_file(f"{client.bucket}/{item.key}")


async def insert(client: Client, item: Item) -> None:
    path = f"{client.bucket}/{item.key}"
    await client.files._pipe_file(path, item.body, Metadata=METADATA, ContentType=CONTENT_TYPE)


async def create(client: Client, item: Item) -> None:
    path = f"{client.bucket}/{item.key}"
    await client.files._pipe_file(path, item.body, mode="create", Metadata=METADATA, ContentType=CONTENT_TYPE)


async def head(client: Client, item: Item) -> int:
    return (await client.files._info(f"{client.bucket}/{item.key}", refresh=True))["size"]


async def delete(client: Client, item: Item) -> None:
    await client.files._rm_file(f"{client.bucket}/{item.key}")


async def list(client: Client, item: Item) -> int:
    folder, _, start = item.key.rpartition("/")
    return len(await client.files._lsdir(f"{client.bucket}/{folder}", refresh=True, prefix=start))


async def upload(client: Client, item: Item) -> None:
    await client.files._pipe_file(f"{client.bucket}/{item.key}", item.body)


async def read(client: Client, item: Item) -> int:
    return len(await get(client, item))
