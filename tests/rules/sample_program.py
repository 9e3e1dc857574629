"""A user's program, for type checkers: what they make of the public interface (`test_typing.py`). Not run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, assert_type

import ddao_async as ddao


class User(ddao.Record, table="users", frozen=True):
    email: Annotated[str, ddao.Unique()]
    name: str
    country: Annotated[str, ddao.Index()] = "NL"
    profile: dict[str, Any] | None = None
    created_at: datetime


async def main() -> None:
    async with ddao.connect("memory://", schema=ddao.Schema.of(User)) as db:
        assert_type(await db.create_tables(), ddao.Schema)
        await records(db)
        await searches(db.repository(User))
        await transactions(db)
    by_hand = await ddao.connect("sqlite:///app.db")
    assert_type(by_hand, ddao.Database)
    await by_hand.close()


async def records(db: ddao.Database) -> None:
    users = db.repository(User)
    assert_type(await users.insert(User(email="a", name="b", created_at=datetime.now(UTC))), User)
    assert_type(await users.get("ann"), User)
    assert_type(await users.find_by_id("ann"), User | None)
    assert_type(await users.find_by_key("email", "a"), User | None)
    doc = await users.read("ann")
    assert_type(doc.value, User)
    assert_type(doc.created_at, datetime)
    assert_type(await users.update(doc.value, if_version=doc.version), User)
    assert_type(await users.upsert(doc.value), bool)
    assert_type(await users.delete("ann", if_version=doc.version), bool)
    assert_type(await users.modify("ann", rename), User)
    assert_type(await users.modify("ann", rename_slowly), User)
    assert_type(await users.get_many(["a"]), list[User | None])
    report = await users.insert_many([doc.value], concurrency=8, on_conflict="skip")
    assert_type(report.failed, dict[str, Exception])
    obj = await db.repository("documents").insert(ddao.Object("documents", "1", {"a": 1}))
    assert_type(obj.get_int("a"), int | None)
    assert_type(await db.find_by_id("documents", "1"), ddao.Object | None)


def rename(user: User) -> User:
    return User(id=user.id, email=user.email, name="New", created_at=user.created_at)


async def rename_slowly(user: User) -> User:
    return rename(user)


async def searches(users: ddao.Repository[User]) -> None:
    query = users.find(ddao.field("name") >= "A", ddao.field("name").between("A", "Z"), country="NL")
    async for user in query.order_by("-created_at").limit(10):
        assert_type(user, User)
    page = await query.page(size=50, after=None)
    assert_type(page.items, list[User])
    assert_type(page.next, str | None)
    assert_type(await query.first(), User | None)
    assert_type(await query.all(), list[User])
    assert_type((await query.explain()).scans, bool)
    assert_type(await users.count(country="NL"), int)


async def transactions(db: ddao.Database) -> None:
    async with db.transaction() as tx:
        assert_type(await tx.repository(User).get("ann"), User)

    async def work(tx: ddao.Transaction) -> int:
        return len((await tx.repository(User).get("ann")).name)

    assert_type(await db.run(work), int)
    async with db.lease("nightly", ttl=30) as lease:
        assert_type(lease.token, int)
