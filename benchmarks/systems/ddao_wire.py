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
"""A checksum with each small write, as aiobotocore sends one."""


class Client:
    """An open store, and another one for large uploads: with the default checksum of its endpoint, as `upload` has."""

    def __init__(self, place: Place, more: dict[str, Any]) -> None:
        self.store = ddao_async.S3Adapter.from_url(place.url, **{**options, **more})
        self.plain = ddao_async.S3Adapter.from_url(place.url, **{**options, **more, "checksum": "auto"})


async def open(place: Place, **more: Any) -> Client:
    client = Client(place, more)
    await client.store.__aenter__()
    await client.plain.__aenter__()
    return client


async def close(client: Client) -> None:
    await client.store.close()
    await client.plain.close()


async def get(client: Client, item: Item) -> bytes:
    return (await client.store.get(item.key)).data


async def insert(client: Client, item: Item) -> None:
    await client.store.put(item.key, item.body, metadata=METADATA, content_type=CONTENT_TYPE)


async def create(client: Client, item: Item) -> None:
    await client.store.put(item.key, item.body, if_none_match=True, metadata=METADATA, content_type=CONTENT_TYPE)


async def head(client: Client, item: Item) -> int:
    return (await client.store.head(item.key)).size


async def delete(client: Client, item: Item) -> None:
    await client.store.delete(item.key)


async def list(client: Client, item: Item) -> int:
    count = 0
    async for _ in client.store.list(item.key):
        count += 1
    return count


async def list_split(client: Client, item: Item) -> int:
    parts = (list(client, item._replace(key=f"{item.key}{digit}")) for digit in range(SPLIT))
    return sum(await asyncio.gather(*parts))


async def upload(client: Client, item: Item) -> None:
    await client.plain.upload(item.key, item.body)


async def read(client: Client, item: Item) -> int:
    return len((await client.store.get(item.key)).data)


async def stream(client: Client, item: Item) -> int:
    size = 0
    async with client.store.open(item.key) as chunks:
        async for chunk in chunks:
            size += len(chunk)
    return size


async def pour(client: Client, items: Iterator[Item]) -> int:
    result = await client.store.put_many(((item.key, item.body) for item in items), concurrency=64)
    return result.succeeded
