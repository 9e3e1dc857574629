"""Batches over any store: a bounded number in flight, back-pressure, clean cancellation, nothing lost silently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from ddao_async.errors import ConflictError, NotFoundError, StoreUnavailableError, ValidationError
from ddao_async.storage import batch
from ddao_async.storage.bulk import delete_many as bulk_delete_many
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.source import parts_of


class SlowStore:
    """A store of six primitives that takes its time, counts what is in flight, and fails where it is told to."""

    def __init__(self, seconds: float = 0.002) -> None:
        self.inner = MemoryAdapter()
        self.seconds = seconds
        self.failing: set[str] = set()
        self.in_flight = 0
        self.most = 0
        self.started = 0

    async def _take(self, key: str) -> None:
        self.in_flight += 1
        self.started += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(self.seconds)
            if key in self.failing:
                raise StoreUnavailableError(f"no luck with {key}")
        finally:
            self.in_flight -= 1

    async def put(self, key: str, data: bytes, **options: Any) -> Any:
        await self._take(key)
        return await self.inner.put(key, data, **options)

    async def get(self, key: str, **options: Any) -> Any:
        await self._take(key)
        return await self.inner.get(key, **options)

    async def head(self, key: str) -> Any:
        return await self.inner.head(key)

    async def delete(self, key: str, **options: Any) -> None:
        await self._take(key)
        await self.inner.delete(key, **options)

    def list(self, prefix: str = "", **options: Any) -> Any:
        return self.inner.list(prefix, **options)

    def list_pages(self, prefix: str = "", **options: Any) -> Any:
        return self.inner.list_pages(prefix, **options)


class Feed:
    """Items that note how many were taken."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items
        self.taken = 0

    def sync(self) -> Iterator[Any]:
        for item in self.items:
            self.taken += 1
            yield item

    async def waiting(self) -> AsyncIterator[Any]:
        for item in self.items:
            await asyncio.sleep(0)
            self.taken += 1
            yield item

    def of(self, kind: str) -> Any:
        return self.sync() if kind == "sync" else self.waiting()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


ITEMS = [(f"k{n:03}", b"%d" % n) for n in range(200)]


async def test_put_many_stores_everything_and_no_more_at_a_time_than_asked(kind: str) -> None:
    store = SlowStore()

    result = await batch.put_many(store, Feed(ITEMS).of(kind), concurrency=7)

    assert (result.succeeded, result.failed) == (200, {})
    assert store.most == 7
    assert len([info async for info in store.list()]) == 200


async def test_a_batch_takes_no_more_than_it_holds(kind: str) -> None:
    """Back-pressure: a store that stands still stops the source."""
    store, feed = SlowStore(seconds=3600), Feed(ITEMS)
    task = asyncio.create_task(batch.put_many(store, feed.of(kind), concurrency=5))
    await asyncio.sleep(0.05)

    assert feed.taken == 5

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.in_flight == 0
    assert len(asyncio.all_tasks()) == 1


async def test_what_fails_is_reported_by_key(kind: str) -> None:
    store = SlowStore()
    store.failing = {"k003", "k150"}

    put = await batch.put_many(store, Feed(ITEMS).of(kind), concurrency=16)
    deleted = await batch.delete_many(store, Feed([key for key, _ in ITEMS]).of(kind), concurrency=16)

    for result in (put, deleted):
        assert result.succeeded == 198
        assert set(result.failed) == {"k003", "k150"}
        assert all(isinstance(error, StoreUnavailableError) for error in result.failed.values())


async def test_an_error_of_the_source_is_raised_as_it_is(kind: str) -> None:
    store = SlowStore()

    def sync() -> Iterator[tuple[str, bytes]]:
        yield from ITEMS[:20]
        raise OSError("the file ends here")

    async def waiting() -> AsyncIterator[tuple[str, bytes]]:
        for item in sync():
            yield item

    with pytest.raises(OSError, match="ends here"):
        await batch.put_many(store, sync() if kind == "sync" else waiting(), concurrency=4)
    keys = (key for key, _ in sync())
    with pytest.raises(OSError, match="ends here"):
        _ = [item async for item in batch.get_many(store, keys, concurrency=4)]

    assert store.in_flight == 0
    assert len([info async for info in store.list()]) == 20


@pytest.mark.parametrize("ordered", [True, False])
async def test_get_many_reads_everything(kind: str, ordered: bool) -> None:
    store = SlowStore()
    await batch.put_many(store.inner, ITEMS)
    store.failing = {"k007"}
    keys = [key for key, _ in ITEMS] + ["missing"]

    got = [item async for item in batch.get_many(store, Feed(keys).of(kind), concurrency=9, ordered=ordered)]

    by_key = {item.info.key: item for item in got}
    assert len(got) == 201
    assert store.most == 9
    assert not ordered or [item.info.key for item in got] == keys
    assert isinstance(by_key["missing"].error, NotFoundError)
    assert isinstance(by_key["k007"].error, StoreUnavailableError)
    assert {key: item.data for key, item in by_key.items() if item.error is None} == {
        key: data for key, data in ITEMS if key != "k007"
    }


@pytest.mark.parametrize("ordered", [True, False])
async def test_get_many_goes_no_further_than_its_reader(kind: str, ordered: bool) -> None:
    store, feed = SlowStore(), Feed([key for key, _ in ITEMS])
    await batch.put_many(store.inner, ITEMS)

    async with aclosing(batch.get_many(store, feed.of(kind), concurrency=6, ordered=ordered)) as items:
        async for _ in items:
            await asyncio.sleep(0.05)
            break
        assert feed.taken <= 7

    assert store.in_flight == 0
    assert len(asyncio.all_tasks()) == 1


async def test_get_many_hands_out_what_it_has_while_its_source_waits() -> None:
    store = SlowStore()
    await store.inner.put("first", b"1")
    never = asyncio.Event()

    async def keys() -> AsyncIterator[str]:
        yield "first"
        await never.wait()

    async with aclosing(batch.get_many(store, keys(), concurrency=10)) as items:
        first = await asyncio.wait_for(anext(items), 2)

    assert first.data == b"1"


async def test_unordered_reads_do_not_wait_for_the_slowest() -> None:
    class Uneven(SlowStore):
        async def _take(self, key: str) -> None:
            await asyncio.sleep(0.3 if key == "slow" else 0)

    store = Uneven()
    for key in ("slow", "a", "b"):
        await store.inner.put(key, b"")

    got = [item.info.key async for item in batch.get_many(store, ["slow", "a", "b"], ordered=False)]

    assert got[-1] == "slow"


async def test_an_endless_source_is_stopped_by_cancelling() -> None:
    store = SlowStore(seconds=0)

    def endless() -> Iterator[tuple[str, bytes]]:
        n = 0
        while True:
            n += 1
            yield f"k{n}", b""

    task = asyncio.create_task(batch.put_many(store, endless(), concurrency=8))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    stored = len([info async for info in store.list()])
    assert 0 < stored <= store.started
    assert store.in_flight == 0


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_no_concurrency_is_refused(concurrency: int) -> None:
    store = SlowStore()
    with pytest.raises(ValidationError):
        await batch.put_many(store, [], concurrency=concurrency)
    with pytest.raises(ValidationError):
        await batch.delete_many(store, [], concurrency=concurrency)
    with pytest.raises(ValidationError):
        _ = [item async for item in batch.get_many(store, [], concurrency=concurrency)]
    with pytest.raises(ValidationError):
        await bulk_delete_many(store, [], concurrency=concurrency)  # type: ignore[arg-type]


async def test_empty_batches_are_fine(kind: str) -> None:
    store = SlowStore()

    assert (await batch.put_many(store, Feed([]).of(kind))).succeeded == 0
    assert (await batch.delete_many(store, Feed([]).of(kind))).succeeded == 0
    assert [item async for item in batch.get_many(store, Feed([]).of(kind))] == []


async def test_batches_work_over_a_wrapper_of_six_primitives() -> None:
    store = SlowStore()
    await batch.upload(store, "up", [b"a", b"b"])
    await batch.copy(store, "up", "copied")
    async with batch.open_stream(store, "copied") as stream:
        assert await stream.read() == b"ab"
    with pytest.raises(ConflictError):
        await store.put("up", b"", if_match="0" * 32)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], [b""]),
        ([b""], [b""]),
        ([b"abc"], [b"abc"]),
        ([b"abcd"], [b"abcd"]),
        ([b"abcde"], [b"abcd", b"e"]),
        ([b"ab", b"cd", b"ef"], [b"abcd", b"ef"]),
        ([b"a"] * 9, [b"aaaa", b"aaaa", b"a"]),
        ([b"abcdefgh"], [b"abcd", b"efgh"]),
        ([bytearray(b"ab"), memoryview(b"cde")], [b"abcd", b"e"]),
    ],
)
async def test_sources_are_cut_into_parts_of_one_size(pieces: list[bytes], expected: list[bytes]) -> None:
    parts = [part async for part in parts_of(pieces, 4)]

    assert parts == expected
    assert all(type(part) is bytes for part in parts)


@pytest.mark.parametrize("source", [["text"], [1], 7, None])
async def test_what_yields_no_bytes_is_refused(source: Any) -> None:
    with pytest.raises(ValidationError):
        _ = [part async for part in parts_of(source, 4)]
