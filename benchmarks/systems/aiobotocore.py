"""aiobotocore: the client that most asyncio programs use."""

from __future__ import annotations

from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from ..data import CONTENT_TYPE, METADATA
from ..place import Item, Place

label = "aiobotocore"


class Client:
    """An open client, its context, and the bucket."""

    def __init__(self, context: Any, s3: Any, bucket: str) -> None:
        self.context = context
        self.s3 = s3
        self.bucket = bucket


def settings(place: Place) -> dict[str, Any]:
    """Arguments of `create_client`: as many connections as anybody has, path-style addresses."""
    config = AioConfig(max_pool_connections=place.max_connections, s3={"addressing_style": "path"})
    return {"endpoint_url": place.endpoint, "region_name": place.region, "config": config}


async def open(place: Place) -> Client:
    context = get_session().create_client("s3", **settings(place))
    return Client(context, await context.__aenter__(), place.bucket)


async def close(client: Client) -> None:
    await client.context.__aexit__(None, None, None)


async def get(client: Client, item: Item) -> bytes:
    answer = await client.s3.get_object(Bucket=client.bucket, Key=item.key)
    async with answer["Body"] as body:
        return await body.read()


async def insert(client: Client, item: Item) -> None:
    await client.s3.put_object(
        Bucket=client.bucket, Key=item.key, Body=item.body, Metadata=METADATA, ContentType=CONTENT_TYPE
    )


async def create(client: Client, item: Item) -> None:
    await client.s3.put_object(
        Bucket=client.bucket,
        Key=item.key,
        Body=item.body,
        Metadata=METADATA,
        ContentType=CONTENT_TYPE,
        IfNoneMatch="*",
    )


async def head(client: Client, item: Item) -> int:
    return (await client.s3.head_object(Bucket=client.bucket, Key=item.key))["ContentLength"]


async def delete(client: Client, item: Item) -> None:
    await client.s3.delete_object(Bucket=client.bucket, Key=item.key)


async def list(client: Client, item: Item) -> int:
    count = 0
    async for page in client.s3.get_paginator("list_objects_v2").paginate(Bucket=client.bucket, Prefix=item.key):
        count += len(page.get("Contents", ()))
    return count


async def upload(client: Client, item: Item) -> None:
    await client.s3.put_object(Bucket=client.bucket, Key=item.key, Body=item.body)


async def read(client: Client, item: Item) -> int:
    return len(await get(client, item))


async def stream(client: Client, item: Item) -> int:
    answer = await client.s3.get_object(Bucket=client.bucket, Key=item.key)
    size = 0
    async with answer["Body"]:
        async for chunk in answer["Body"].iter_chunks(1 << 18):
            size += len(chunk)
    return size
