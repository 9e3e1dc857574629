"""
The library on a server of the reader's own: MinIO, AWS, Spaces, ... Credentials come from where the AWS tools look.

    DDAO_TEST_S3_DSN="s3://ddao?endpoint=http://127.0.0.1:9000" pytest tests/integration

Everything happens below a prefix of its own, which is empty again afterwards.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from typing import Annotated

import pytest

import ddao_async as ddao
from ddao_async.maintenance.doctor import Health, diagnose

pytestmark = pytest.mark.s3


class User(ddao.Record, table="users"):
    email: Annotated[str, ddao.Unique()]
    age: Annotated[int, ddao.Index()] = 0


class Counter(ddao.Record, table="counters"):
    n: int = 0


@pytest.fixture
async def db() -> AsyncIterator[ddao.Database]:
    location, _, query = os.environ["DDAO_TEST_S3_DSN"].partition("?")
    async with ddao.connect(f"{location.rstrip('/')}/ddao-test-{uuid.uuid4().hex}?{query}") as db:
        try:
            yield db
        finally:
            await db.store.delete_many([info.key async for info in db.store.list()])


async def test_the_doctor_finds_nothing_that_failed(db: ddao.Database) -> None:
    steps = [step async for step in diagnose(db.store)]

    assert [step for step in steps if step.health is Health.FAILED] == []


async def test_one_document_lives_and_dies(db: ddao.Database) -> None:
    await db.create_tables(ddao.Schema.of(Counter))
    counters = db.repository(Counter)
    await counters.insert(Counter(id="ä b/+%?#", n=1))
    with pytest.raises(ddao.AlreadyExistsError):
        await counters.insert(Counter(id="ä b/+%?#", n=2))

    assert await counters.get("ä b/+%?#") == Counter(id="ä b/+%?#", n=1)
    assert [found.id async for found in counters.find(n=1)] == ["ä b/+%?#"]
    assert await counters.delete("ä b/+%?#") is True
    assert await counters.find_by_id("ä b/+%?#") is None


async def test_increments_of_many_at_once_are_all_counted(db: ddao.Database) -> None:
    """Where the server enforces conditions; where it does not, the last writer wins and says so in the log."""
    await db.create_tables(ddao.Schema.of(Counter))
    if not db.engine.capabilities.conditional_put:
        return
    counters = db.repository(Counter)
    await counters.insert(Counter(id="c"))

    def add(counter: Counter) -> Counter:
        counter.n += 1
        return counter

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(counters.modify("c", add))

    assert (await counters.get("c")).n == 20


async def test_unique_columns_indexes_and_transactions_hold_or_are_refused(db: ddao.Database) -> None:
    try:
        await db.create_tables(ddao.Schema.of(User))
    except ddao.UnsupportedError:
        with pytest.raises(ddao.UnsupportedError):
            async with db.lease("any"):
                pass
        return
    users = db.repository(User)
    report = await users.insert_many([User(id=f"u{n}", email=f"{n % 5}@example.com", age=n) for n in range(10)])
    async with db.transaction() as tx:
        inside = tx.repository(User)
        await inside.insert(User(id="x", email="x@example.com", age=50))
        await inside.insert(User(id="y", email="y@example.com", age=60))

    assert (report.inserted, len(report.failed)) == (5, 5)
    assert [user.id async for user in users.find(ddao.field("age") >= 50).order_by("-age")] == ["y", "x"]
    assert await users.find_by_key("email", "x@example.com") is not None
