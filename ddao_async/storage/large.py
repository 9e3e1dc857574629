"""
What S3 offers beyond the primitives: large objects in parts and streams, copies within the bucket, URLs that let
others do one thing. `S3Adapter` adopts these functions as methods.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, aclosing
from typing import Protocol

from ..errors import ValidationError
from ..wire.request import Request
from . import stream
from .batch import ObjectStream
from .exchange import Opened
from .multipart import MIN_PART_BYTES, Upload
from .protocol import ObjectInfo, ObjectStore
from .rule import check_key, lowered
from .source import Source, parts_of

MAX_PRESIGN_SECONDS = 7 * 86_400


class Bucket(Opened, ObjectStore, Protocol):
    """An adapter of S3."""


def open_stream(store: Opened, key: str) -> AbstractAsyncContextManager[ObjectStream]:
    """
    Read an object in chunks as they come: `async with store.open(key) as stream: async for chunk in stream: ...`

    Raises:
        NotFoundError: On entering, if the key is missing.
        ConflictError: While reading: the connection broke, and the object is another one now.
    """
    check_key(key)
    return stream.opened(store.exchange, key, Request(operation="get", key=store.prefix + key))


async def upload(
    store: Bucket,
    key: str,
    source: Source,
    *,
    part_size: int = 8 << 20,
    concurrency: int = 4,
    metadata: dict[str, str] | None = None,
    content_type: str | None = None,
) -> ObjectInfo:
    """
    Store what a file path, a file object or an iterator of bytes holds, in parts if it is larger than one. At most
    `concurrency` parts are in memory. Nothing is left behind if it fails or is cancelled.

    Raises:
        ValidationError: A part under 5 MiB, more than 10,000 parts, or a source that yields no bytes.
        OSError: The file cannot be read.
    """
    check_key(key)
    if part_size < MIN_PART_BYTES or concurrency < 1:
        raise ValidationError("Parts have 5 MiB at least, concurrency is 1 at least.", hint="Leave them out.")
    exchange = store.exchange
    parts = parts_of(source, part_size)
    async with aclosing(parts):
        first = await anext(parts)
        if len(first) < part_size:
            return await store.put(key, bytes(first), metadata=metadata, content_type=content_type)
        request = Request(
            operation="create_upload", key=store.prefix + key, metadata=metadata, content_type=content_type
        )
        etag, size = await Upload(exchange, request, concurrency).run(first, parts)
    return ObjectInfo(key, size, etag, None, lowered(metadata), content_type)


async def copy(store: Bucket, source: str, target: str) -> ObjectInfo:
    """
    Copy an object of up to 5 GiB within the bucket, with its metadata and content type; the bytes stay there.

    Raises:
        NotFoundError: The source is missing.
    """
    check_key(source)
    check_key(target)
    exchange = store.exchange
    request = Request(operation="copy", key=store.prefix + target, source=store.prefix + source)
    await exchange.send(request, await exchange.lanes.full_lane())
    return await store.head(target)


async def presign(store: Opened, method: str, key: str, *, expires_in: int = 3600) -> str:
    """
    A URL that lets its holder GET, PUT, HEAD or DELETE one key for some seconds (a week at most).

    Raises:
        ValidationError: Another method, or a time that S3 does not allow.
    """
    check_key(key)
    if method not in ("GET", "PUT", "HEAD", "DELETE") or not 1 <= expires_in <= MAX_PRESIGN_SECONDS:
        raise ValidationError("presign takes GET, PUT, HEAD or DELETE and 1 to 604800 seconds.", hint="Change it.")
    lane = await store.exchange.lanes.full()
    return await lane.presign(method, store.prefix + key, expires_in)
