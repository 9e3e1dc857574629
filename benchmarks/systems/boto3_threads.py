"""boto3 on a pool of threads, as a program does that has no asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from ..data import CONTENT_TYPE, METADATA
from ..place import Item, Place

label = "boto3, threads"


class Client:
    """An open client, the threads that call it, and the bucket."""

    def __init__(self, s3: Any, threads: ThreadPoolExecutor, bucket: str) -> None:
        self.s3 = s3
        self.threads = threads
        self.bucket = bucket

    async def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """Run a blocking function on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, function, *given)


async def open(place: Place) -> Client:
    config = Config(max_pool_connections=place.max_connections, s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=place.endpoint, region_name=place.region, config=config)
    return Client(s3, ThreadPoolExecutor(place.max_connections), place.bucket)


async def close(client: Client) -> None:
    client.threads.shutdown()
    client.s3.close()


async def get(client: Client, item: Item) -> bytes:
    return await client.call(lambda: client.s3.get_object(Bucket=client.bucket, Key=item.key)["Body"].read())


async def insert(client: Client, item: Item, **more: str) -> None:
    given = {"Body": item.body, "Metadata": METADATA, "ContentType": CONTENT_TYPE, **more}
    await client.call(lambda: client.s3.put_object(Bucket=client.bucket, Key=item.key, **given))


async def create(client: Client, item: Item) -> None:
    await insert(client, item, IfNoneMatch="*")


async def head(client: Client, item: Item) -> int:
    answer = await client.call(lambda: client.s3.head_object(Bucket=client.bucket, Key=item.key))
    return answer["ContentLength"]


async def delete(client: Client, item: Item) -> None:
    await client.call(lambda: client.s3.delete_object(Bucket=client.bucket, Key=item.key))


async def list(client: Client, item: Item) -> int:
    def count() -> int:
        pages = client.s3.get_paginator("list_objects_v2").paginate(Bucket=client.bucket, Prefix=item.key)
        return sum(len(page.get("Contents", ())) for page in pages)

    return await client.call(count)


async def upload(client: Client, item: Item) -> None:
    await client.call(lambda: client.s3.put_object(Bucket=client.bucket, Key=item.key, Body=item.body))


async def read(client: Client, item: Item) -> int:
    return len(await get(client, item))


async def stream(client: Client, item: Item) -> int:
    def count() -> int:
        body = client.s3.get_object(Bucket=client.bucket, Key=item.key)["Body"]
        return sum(len(chunk) for chunk in body.iter_chunks(1 << 18))

    return await client.call(count)
