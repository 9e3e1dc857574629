"""obstore: Rust's object_store behind a Python interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from ..data import CONTENT_TYPE, METADATA
from ..place import Item, Place

label = "obstore"
ATTRIBUTES = {"Content-Type": CONTENT_TYPE, **METADATA}


async def open(place: Place) -> Any:
    options: dict[str, Any] = {"allow_http": True, "pool_max_idle_per_host": str(place.max_connections)}
    if place.ca_file:
        options["root_certificate"] = Path(place.ca_file).read_bytes()
    return S3Store(
        place.bucket,
        endpoint=place.endpoint,
        region=place.region,
        access_key_id=place.access_key,
        secret_access_key=place.secret_key,
        virtual_hosted_style_request=False,
        client_options=options,
    )


async def close(store: Any) -> None:
    del store


async def get(store: Any, item: Item) -> bytes:
    return bytes(await (await obstore.get_async(store, item.key)).bytes_async())


async def insert(store: Any, item: Item) -> None:
    await obstore.put_async(store, item.key, item.body, attributes=ATTRIBUTES)


async def create(store: Any, item: Item) -> None:
    await obstore.put_async(store, item.key, item.body, attributes=ATTRIBUTES, mode="create")


async def head(store: Any, item: Item) -> int:
    return (await obstore.head_async(store, item.key))["size"]


async def delete(store: Any, item: Item) -> None:
    await obstore.delete_async(store, item.key)


async def list(store: Any, item: Item) -> int:
    count = 0
    async for page in obstore.list(store, item.key, chunk_size=1000):
        count += len(page)
    return count


async def upload(store: Any, item: Item) -> None:
    await obstore.put_async(store, item.key, item.body)


async def read(store: Any, item: Item) -> int:
    return len(await (await obstore.get_async(store, item.key)).bytes_async())


async def stream(store: Any, item: Item) -> int:
    size = 0
    async for chunk in (await obstore.get_async(store, item.key)).stream():
        size += len(chunk)
    return size
