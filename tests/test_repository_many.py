"""Many records at a time: bounded, reported one by one, never raised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest

import ddao_async as ddao


class Item(ddao.Record, table="items"):
    name: Annotated[str, ddao.Unique()]
    size: int = 0


class Slow(ddao.MemoryAdapter):
    """Counts how many puts of documents are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = self.most = 0

    async def put(self, key: str, data: bytes, **conditions: Any) -> Any:
        self.under_way += "objects/" in key
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        try:
            return await super().put(key, data, **conditions)
        finally:
            self.under_way -= "objects/" in key


@pytest.fixture
async def db() -> AsyncIterator[ddao.Database]:
    async with ddao.Database(Slow()) as opened:
        await opened.create_tables(ddao.Schema.of(Item))
        yield opened


@pytest.fixture
def items(db: ddao.Database) -> ddao.Repository[Item]:
    return db.repository(Item)


async def test_records_come_from_any_iterable_and_no_more_than_asked_are_under_way(
    db: ddao.Database, items: ddao.Repository[Item]
) -> None:
    async def source() -> AsyncIterator[Item]:
        for n in range(100):
            await asyncio.sleep(0)
            yield Item(id=f"a{n}", name=f"a{n}")

    assert (await items.insert_many([Item(id="1", name="1")])).inserted == 1
    assert (await items.insert_many((Item(name=f"g{n}") for n in range(50)), concurrency=7)).inserted == 50
    assert (await items.insert_many(source(), concurrency=5)).inserted == 100
    assert await items.count() == 151
    assert db.store.most == 7  # type: ignore[attr-defined]


async def test_only_as_many_records_are_taken_as_are_under_way(items: ddao.Repository[Item]) -> None:
    taken = 0

    def source() -> Iterator[Item]:
        nonlocal taken
        for n in range(1000):
            taken += 1
            if n == 20:
                raise RuntimeError("the source broke")
            yield Item(id=str(n), name=str(n))

    with pytest.raises(RuntimeError, match="the source broke"):
        await items.insert_many(source(), concurrency=4)
    assert taken == 21
    assert await items.count() == 20


async def test_each_failure_is_reported_by_id_and_the_rest_is_written(items: ddao.Repository[Item]) -> None:
    await items.insert(Item(id="there", name="there"))
    report = await items.insert_many(
        [
            Item(id="ok", name="ok"),
            Item(id="there", name="again"),
            Item(id="twin", name="there"),
            Item(id="wrong", name=5),  # type: ignore[arg-type]
            Item(id="bad//id", name="bad"),
            "no record",  # type: ignore[list-item]
        ]
    )

    assert (report.inserted, report.skipped, report.replaced) == (1, 0, 0)
    assert {name: type(error) for name, error in report.failed.items()} == {
        "there": ddao.AlreadyExistsError,
        "twin": ddao.UniqueViolationError,
        "wrong": ddao.ValidationError,
        "bad//id": ddao.ValidationError,
        "'no record'": ddao.ValidationError,
    }


async def test_skip_and_replace_mean_the_same_id_and_a_unique_violation_is_a_failure(
    items: ddao.Repository[Item],
) -> None:
    await items.insert_many([Item(id="1", name="one"), Item(id="2", name="two")])
    news = [Item(id="1", name="one", size=9), Item(id="3", name="two"), Item(id="4", name="four")]

    skipped = await items.insert_many(news, on_conflict="skip")
    assert (skipped.inserted, skipped.skipped, list(skipped.failed)) == (1, 1, ["3"])
    assert (await items.get("1")).size == 0

    replaced = await items.insert_many(news, on_conflict="replace")
    assert (replaced.inserted, replaced.replaced, list(replaced.failed)) == (0, 2, ["3"])
    assert isinstance(replaced.failed["3"], ddao.UniqueViolationError)
    assert (await items.get("1")).size == 9

    fresh = await items.insert_many([Item(name="five")], on_conflict="replace")
    assert (fresh.inserted, fresh.failed) == (1, {})


async def test_what_to_do_about_conflicts_is_checked(items: ddao.Repository[Item]) -> None:
    with pytest.raises(ddao.ValidationError, match="on_conflict"):
        await items.insert_many([], on_conflict="ignore")  # type: ignore[arg-type]
    with pytest.raises(ddao.ValidationError, match="concurrency"):
        await items.insert_many([], concurrency=0)


async def test_get_many_keeps_the_order_and_delete_many_counts(items: ddao.Repository[Item]) -> None:
    await items.insert_many(Item(id=str(n), name=str(n)) for n in range(10))
    found = await items.get_many(["7", "nope", "3", "7"])

    assert [item and item.id for item in found] == ["7", None, "3", "7"]
    with pytest.raises(ddao.ValidationError, match="not int"):
        await items.get_many(["7", 5])  # type: ignore[list-item]
    deleted = await items.delete_many(["1", "nope", "2", "bad//id"])
    assert (deleted.succeeded, list(deleted.failed)) == (3, ["bad//id"])
    assert await items.count() == 8


async def test_cancelling_leaves_nothing_running(items: ddao.Repository[Item]) -> None:
    task = asyncio.create_task(items.insert_many(Item(name=str(n)) for n in range(100_000)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(asyncio.all_tasks()) == 1
