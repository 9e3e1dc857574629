"""ddao_async's store, by the wire lane."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import ddao_async

from ..data import CONTENT_TYPE, METADATA, SPLIT
from ..place import Item, Place

label = "ddao_async, wire lane"
keys_are_relative = True
options = {"transport": "auto", "checksum": "crc32"}


async def open(place: Place, **more: Any) -> Any:
    return await ddao_async.S3Adapter.from_url(place.url, **{**options, **more}).__aenter__()


async def close(store: Any) -> None:
    await store.close()


async def get(store: Any, item: Item) -> bytes:
    return (await store.get(item.key)).data


async def insert(store: Any, item: Item) -> None:
    await store.put(item.key, item.body, metadata=METADATA, content_type=CONTENT_TYPE)


async def create(store: Any, item: Item) -> None:
    await store.put(item.key, item.body, if_none_match=True, metadata=METADATA, content_type=CONTENT_TYPE)


async def head(store: Any, item: Item) -> int:
    return (await store.head(item.key)).size


async def delete(store: Any, item: Item) -> None:
    await store.delete(item.key)


async def list(store: Any, item: Item) -> int:
    count = 0
    async for _ in store.list(item.key):
        count += 1
    return count


async def list_split(store: Any, item: Item) -> int:
    parts = (list(store, item._replace(key=f"{item.key}{digit}")) for digit in range(SPLIT))
    return sum(await asyncio.gather(*parts))


async def upload(store: Any, item: Item) -> None:
    await store.upload(item.key, item.body)


async def read(store: Any, item: Item) -> int:
    return len((await store.get(item.key)).data)


async def stream(store: Any, item: Item) -> int:
    size = 0
    async with store.open(item.key) as chunks:
        async for chunk in chunks:
            size += len(chunk)
    return size


async def pour(store: Any, items: Iterator[Item]) -> int:
    result = await store.put_many(((item.key, item.body) for item in items), concurrency=64)
    return result.succeeded
