"""
Copy: every object of one store into another, byte by byte with its metadata, between any two kinds of stores.

What the target has already is left alone if it is equal, so a copy that was interrupted goes on where it stopped. The
result is exact only while nobody writes to either store: documents change by several objects.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal

import msgspec

from ..errors import NotFoundError, StoreError
from ..storage import batch
from ..storage.batch import ObjectStream
from ..storage.gate import Gate
from ..storage.protocol import ObjectInfo, ObjectStore

LARGE_BYTES = 8 << 20
"""Larger objects go through memory in pieces."""

CONCURRENCY = 64
_MD5 = re.compile(r"[0-9a-f]{32}")


class CopyReport(msgspec.Struct):
    """
    What a copy or a comparison did, so far or in the end.

    Attributes:
        copied: Objects written to the target.
        equal: Objects that the target had already, or has, equal.
        bytes_copied: Of their bodies.
        failed: Key -> why it could not be copied, or how it differs.
        extra: Objects of the target that the source has not; known after a comparison.
    """

    copied: int = 0
    equal: int = 0
    bytes_copied: int = 0
    failed: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    extra: int = 0


OnProgress = Callable[[CopyReport], object]


async def copy_objects(
    source: ObjectStore,
    target: ObjectStore,
    *,
    objects: AsyncIterable[ObjectInfo] | None = None,
    concurrency: int = CONCURRENCY,
    on_progress: OnProgress | None = None,
) -> CopyReport:
    """
    Copy every object that the target has not, or has otherwise. Nothing is removed from the target.

    Args:
        objects: Only these of the source; default: all that it lists.
        concurrency: The most objects in flight; how many follows from what the target bears.

    Returns:
        The counts, and why objects could not be copied: one that fails does not stop the others.
    """
    report = CopyReport()
    is_empty = True
    async for _ in target.list("", limit=1):
        is_empty = False

    async def copy(info: ObjectInfo) -> None:
        try:
            outcome, size = await _copied(source, target, info, look=not is_empty)
        except NotFoundError:
            return  # it went away since it was listed
        if outcome == "equal":
            report.equal += 1
        else:
            report.copied += 1
            report.bytes_copied += size

    await _each(objects or source.list(""), copy, target, report, concurrency, on_progress)
    return report


async def compare_objects(
    source: ObjectStore,
    target: ObjectStore,
    *,
    concurrency: int = CONCURRENCY,
    on_progress: OnProgress | None = None,
) -> CopyReport:
    """Read every object of both stores and compare bytes, metadata and content type."""
    report = CopyReport()
    present = 0

    async def compare(info: ObjectInfo) -> None:
        nonlocal present
        difference = await _difference(source, target, info.key)
        present += difference != "missing"
        if difference is None:
            report.equal += 1
        else:
            report.failed[info.key] = f"The copy is {difference}."

    await _each(source.list(""), compare, source, report, concurrency, on_progress)
    async for _ in target.list(""):
        report.extra += 1
    report.extra -= present
    return report


async def _each(
    objects: AsyncIterable[ObjectInfo],
    act: Callable[[ObjectInfo], Awaitable[None]],
    slowed_by: ObjectStore,
    report: CopyReport,
    concurrency: int,
    on_progress: OnProgress | None,
) -> None:
    gate = Gate(slowed_by)
    gate.open(concurrency)

    async def one(info: ObjectInfo) -> None:
        await gate.enter()
        began: float | None = gate.clock()
        try:
            await act(info)
        except BaseException:
            began = None
            raise
        finally:
            gate.leave(began)
        if on_progress is not None:
            on_progress(report)

    result = await batch.each(objects, one, lambda info: info.key, concurrency)
    for key, error in result.failed.items():
        if not isinstance(error, StoreError):
            raise error
        report.failed[key] = str(error)


async def _copied(
    source: ObjectStore, target: ObjectStore, info: ObjectInfo, *, look: bool
) -> tuple[Literal["copied", "equal"], int]:
    key, is_large = info.key, info.size > LARGE_BYTES
    if look or is_large:
        info = await source.head(key)  # a list tells neither metadata nor content type
    if look and await _is_equal(source, target, info):
        return "equal", info.size
    if is_large:
        about: dict[str, Any] = {"metadata": info.metadata, "content_type": info.content_type}
        async with _opened(source, key) as stream:
            own: Any = getattr(target, "upload", None)
            await (own(key, aiter(stream), **about) if own else batch.upload(target, key, aiter(stream), **about))
        return "copied", info.size
    found = await source.get(key)
    assert found is not None  # noqa: S101  only a get with if_none_match answers None
    await target.put(key, found.data, metadata=found.info.metadata or None, content_type=found.info.content_type)
    return "copied", len(found.data)


async def _is_equal(source: ObjectStore, target: ObjectStore, info: ObjectInfo) -> bool:
    try:
        held = await target.head(info.key)
    except NotFoundError:
        return False
    if held.size != info.size or not _describes(info, held):
        return False
    if info.etag == held.etag and _MD5.fullmatch(info.etag):
        return True
    return await _digest(source, info.key) == await _digest(target, info.key)


async def _difference(source: ObjectStore, target: ObjectStore, key: str) -> str | None:
    info = await source.head(key)
    try:
        held, digest = await target.head(key), await _digest(target, key)
    except NotFoundError:
        return "missing"
    if await _digest(source, key) != digest:
        return "of other bytes"
    return None if _describes(info, held) else "of other metadata"


def _describes(info: ObjectInfo, held: ObjectInfo) -> bool:
    """The copy has the metadata and the content type; servers add to them where there were none."""
    is_typed = info.content_type is None or info.content_type == held.content_type
    return is_typed and info.metadata.items() <= held.metadata.items()


async def _digest(store: ObjectStore, key: str) -> bytes:
    digest = hashlib.sha256()
    async with _opened(store, key) as stream:
        async for chunk in stream:
            digest.update(chunk)
            await asyncio.sleep(0)
    return digest.digest()


def _opened(store: ObjectStore, key: str) -> AbstractAsyncContextManager[ObjectStream]:
    own: Any = getattr(store, "open", None)
    return batch.open_stream(store, key) if own is None else own(key)
