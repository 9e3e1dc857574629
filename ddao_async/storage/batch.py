"""
Many objects at a time, and large ones, over any `ObjectStore`: written once, and adopted by the adapters as methods
(`put_many = batch.put_many`). A store replaces one only where its service has a better request.

    items ──> [worker] [worker] ... [worker] ──> store.put        never more than `concurrency` items are held
               pull the next item when done with the last: a slow store slows the source
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sized
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

from ..errors import NotFoundError, ValidationError
from .protocol import BatchResult, ObjectInfo, ObjectStore, StoredObject
from .source import Source, parts_of

CONCURRENCY = 64
CHUNK_BYTES = 1 << 20

T = TypeVar("T")


async def put_many(
    store: ObjectStore,
    items: Iterable[tuple[str, bytes]] | AsyncIterable[tuple[str, bytes]],
    *,
    concurrency: int = CONCURRENCY,
) -> BatchResult:
    """
    Store many objects.

    Args:
        items: Pairs of key and bytes; may be endless, may wait.
        concurrency: The most items taken from `items` and not yet stored.

    Returns:
        How many were stored, and for each of the others its key and error. An error of `items` itself is raised.
    """

    async def put(item: tuple[str, bytes]) -> None:
        await store.put(item[0], item[1])

    return await each(items, put, lambda item: item[0], concurrency)


async def delete_many(
    store: ObjectStore, keys: Iterable[str] | AsyncIterable[str], *, concurrency: int = CONCURRENCY
) -> BatchResult:
    """
    Remove many keys; missing ones count as removed.

    Returns:
        How many were removed, and for each of the others its key and error.
    """
    return await each(keys, store.delete, lambda key: key, concurrency)


async def get_many(
    store: ObjectStore,
    keys: Iterable[str] | AsyncIterable[str],
    *,
    concurrency: int = CONCURRENCY,
    ordered: bool = True,
) -> AsyncIterator[StoredObject]:
    """
    Read many objects, as fast as they are taken.

    Args:
        concurrency: The most objects being read, or read and not taken yet.
        ordered: In the order of `keys`; otherwise as they come.

    Yields:
        Each object; one that is missing or failed has `.error`, no data, and its key in `.info`.
    """
    _check_concurrency(concurrency)
    pull = _Pull(keys)
    slots = asyncio.Semaphore(concurrency)
    reading: set[asyncio.Task[StoredObject]] = set()
    ready: deque[asyncio.Task[StoredObject]] = deque()
    has_news = asyncio.Event()

    def note(task: asyncio.Task[StoredObject]) -> None:
        ready.append(task)
        has_news.set()

    async def feed() -> None:
        while await slots.acquire() and (key := await pull.next()) is not None:
            task = asyncio.create_task(_read(store, key))
            reading.add(task)
            if ordered:
                note(task)
            else:
                task.add_done_callback(note)

    feeder = asyncio.create_task(feed())
    feeder.add_done_callback(lambda _: has_news.set())
    try:
        while True:
            while not ready:
                if feeder.done() and not reading:
                    feeder.result()  # raises what the source raised
                    return
                has_news.clear()
                await has_news.wait()
            task = ready.popleft()
            item = await task
            reading.discard(task)
            slots.release()
            yield item
    finally:
        for task in (feeder, *reading):
            task.cancel()
        await asyncio.gather(feeder, *reading, return_exceptions=True)


async def upload(
    store: ObjectStore,
    key: str,
    source: Source,
    *,
    part_size: int = 8 << 20,
    concurrency: int = 4,
    metadata: dict[str, str] | None = None,
    content_type: str | None = None,
) -> ObjectInfo:
    """
    Store what a file path, a file object or an iterator of bytes holds. Here it becomes one put, and so is in memory
    as a whole; on S3 it goes in parts (`part_size`, `concurrency`).
    """
    if concurrency < 1 or part_size < 1:
        raise ValidationError("part_size and concurrency are at least 1.", hint="Leave them out.")
    pieces = [part async for part in parts_of(source, part_size)]
    return await store.put(key, b"".join(pieces), metadata=metadata, content_type=content_type)


class ObjectStream:
    """
    The bytes of one object, in chunks: iterate over it once. `info` is what the store tells of the object.
    """

    def __init__(self, info: ObjectInfo, chunks: AsyncIterator[bytes]) -> None:
        self.info = info
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def read(self) -> bytes:
        """All that is left, in one piece."""
        return b"".join([chunk async for chunk in self._chunks])


def open_stream(store: ObjectStore, key: str) -> AbstractAsyncContextManager[ObjectStream]:
    """
    Read an object in chunks: `async with store.open(key) as stream: async for chunk in stream: ...`

    Raises:
        NotFoundError: On entering, if the key is missing.
    """
    return _opened(store, key)


@asynccontextmanager
async def _opened(store: ObjectStore, key: str) -> AsyncGenerator[ObjectStream, None]:
    found = await store.get(key)
    assert found is not None  # noqa: S101  only a get with if_none_match answers None
    yield ObjectStream(found.info, _slices(found.data))


async def _slices(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), CHUNK_BYTES):
        yield data[at : at + CHUNK_BYTES]


async def copy(store: ObjectStore, source: str, target: str) -> ObjectInfo:
    """
    Copy an object, with its metadata and content type.

    Raises:
        NotFoundError: The source is missing.
    """
    found = await store.get(source)
    assert found is not None  # noqa: S101  only a get with if_none_match answers None
    return await store.put(target, found.data, metadata=found.info.metadata, content_type=found.info.content_type)


# ---- workers over one source


class _Pull(Generic[T]):
    """One iterator, sync or async, that several workers pull from, one at a time; None at its end."""

    def __init__(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        self._sync = iter(items) if isinstance(items, Iterable) else None
        self._async = None if isinstance(items, Iterable) else aiter(items)
        self._lock = asyncio.Lock()
        self._is_over = False

    async def next(self) -> T | None:
        if self._is_over:
            return None
        if self._sync is not None:
            for item in self._sync:
                return item
        elif self._async is not None:
            async with self._lock:
                if not self._is_over:
                    async for item in self._async:
                        return item
        self._is_over = True
        return None

    def stop(self) -> None:
        self._is_over = True


async def each(
    items: Iterable[T] | AsyncIterable[T],
    act: Callable[[T], Awaitable[None]],
    key_of: Callable[[T], str],
    concurrency: int,
) -> BatchResult:
    _check_concurrency(concurrency)
    pull = _Pull(items)
    failed: dict[str, Exception] = {}
    broken: list[Exception] = []
    succeeded = 0

    async def work() -> None:
        nonlocal succeeded
        while True:
            try:
                item = await pull.next()
            except Exception as exc:
                broken.append(exc)  # the source itself failed: what was taken is finished, then its error is raised
                pull.stop()
                return
            if item is None:
                return
            try:
                await act(item)
                succeeded += 1
            except Exception as exc:
                failed[key_of(item)] = exc

    workers = min(concurrency, len(items)) if isinstance(items, Sized) else concurrency
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    if broken:
        raise broken[0]
    return BatchResult(succeeded, failed)


async def _read(store: ObjectStore, key: str) -> StoredObject:
    try:
        found = await store.get(key)
    except Exception as exc:
        return StoredObject(b"", ObjectInfo(key, 0, ""), exc)
    if found is None:  # only a get with if_none_match answers None
        return StoredObject(b"", ObjectInfo(key, 0, ""), NotFoundError(f"There is no object {key!r}."))
    return found


def _check_concurrency(concurrency: int) -> None:
    if concurrency < 1:
        raise ValidationError("concurrency is at least 1.", hint="Leave it out for the default.")
