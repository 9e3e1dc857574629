"""Maintenance through the public interface: indexes on tables with data, added, dropped and checked; vacuum."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fix_server import Server
from fix_storage import s3_store
from layout_rules import broken_rules

import ddao_async as ddao
from ddao_async.engine import Settings
from ddao_async.maintenance import Garbage
from ddao_async.model.index import encode_id
from ddao_async.storage.memory import MemoryAdapter


class User(ddao.Record, table="users"):
    name: str
    email: str | None = None
    age: int | None = None


class IndexedUser(ddao.Record, table="users"):
    name: str
    email: Annotated[str | None, ddao.Unique()] = None
    age: Annotated[int | None, ddao.Index()] = None


@pytest.fixture(params=["memory://", "sqlite://:memory:"])
async def db(request: pytest.FixtureRequest) -> AsyncIterator[ddao.Database]:
    async with ddao.connect(request.param, schema=ddao.Schema.of(User)) as db:
        await db.create_tables()
        users = db.repository(User)
        for n in range(50):
            await users.insert(User(id=f"u{n:02}", name=f"n{n}", email=f"e{n}", age=n // 10))
        yield db


async def access(db: ddao.Database, **conditions: object) -> str:
    return (await db.repository("users").find(**conditions).explain()).access


async def test_alter_table_indexes_what_is_there(db: ddao.Database) -> None:
    """The call returns with the index complete; searches use it at once."""
    assert await access(db, age=3) == "scan"
    await db.alter_table(
        "users",
        ddao.Column("age", "integer", nullable=True, index=True),
        ddao.Column("email", "text", nullable=True, unique=True),
    )
    users = db.repository(User)

    assert (await access(db, age=3), await access(db, email="e7")) == ("index", "unique")
    assert [user.id for user in await users.find(age=3).all()] == [f"u{n}" for n in range(30, 40)]
    assert (await users.find_by_key("email", "e7")).id == "u07"
    with pytest.raises(ddao.UniqueViolationError):
        await users.insert(User(name="x", email="e7"))
    assert await broken_rules(db.store) == []


async def test_several_columns_in_one_index(db: ddao.Database) -> None:
    await db.alter_table("users", indexes=[("age", "name")])
    users = db.repository(User)

    assert await access(db, age=3, name="n31") == "index"
    assert [user.id for user in await users.find(age=3, name="n31").all()] == ["u31"]
    assert (await db.reindex("users")).is_sound


async def test_a_new_column_with_an_index(db: ddao.Database) -> None:
    """Documents that lack the column are found under null."""
    await db.alter_table("users", ddao.Column("city", "text", nullable=True, index=True))
    users = db.repository("users")
    await users.insert(ddao.Object("users", "new", {"name": "x", "city": "Delft"}))

    assert [found.id for found in await users.find(city="Delft").all()] == ["new"]
    assert await users.find(city=None).count() == 50


async def test_duplicates_end_it_and_nothing_is_left(db: ddao.Database) -> None:
    with pytest.raises(ddao.SchemaError, match="'u00' and 'u0"):
        await db.alter_table("users", ddao.Column("age", "integer", nullable=True, unique=True))

    assert [info.key async for info in db.store.list() if "_uniques" in info.key] == []
    assert not (await db.table("users"))["age"].unique
    await db.repository(User).insert(User(name="x", age=1))


async def test_declared_later_and_built_by_reindex(db: ddao.Database, caplog: pytest.LogCaptureFixture) -> None:
    """`create_tables` with new indexes says that searches scan; `reindex` builds them."""
    await db.create_tables(ddao.Schema.of(IndexedUser))
    assert "searches scan until `ddao-async reindex users`" in caplog.text
    assert await access(db, age=3) == "scan"
    checked = await db.reindex("users")

    assert checked.is_sound
    assert (await access(db, age=3), await access(db, email="e7")) == ("index", "unique")


async def test_drop_index(db: ddao.Database) -> None:
    """The index and its declaration go, the column and its values stay; the next start does not bring it back."""
    await db.alter_table("users", ddao.Column("age", "integer", nullable=True, index=True))
    table = await db.drop_index("users", "age")

    assert not table["age"].index
    assert await access(db, age=3) == "scan"
    assert await db.repository(User).find(age=3).count() == 10
    assert [info.key async for info in db.store.list() if "_indexes" in info.key] == []
    await db.create_tables()
    assert not (await db.table("users"))["age"].index
    with pytest.raises(ddao.SchemaError, match="no index 'age'"):
        await db.drop_index("users", "age")


async def test_a_column_stops_being_unique(db: ddao.Database) -> None:
    await db.alter_table("users", ddao.Column("email", "text", nullable=True, unique=True))
    await db.drop_index("users", "email")
    await db.repository(User).insert(User(name="x", email="e7"))

    assert await db.repository(User).find(email="e7").count() == 2


async def test_vacuum_reports_by_kind() -> None:
    """What a day has made garbage, through the database, under a clock moved by hand."""
    now = [time.time()]
    store = MemoryAdapter(clock=lambda: now[0])
    db = ddao.Database(store, ddao.Schema.of(IndexedUser))
    await db.create_tables()
    users = db.repository(IndexedUser)
    await users.insert(IndexedUser(id="ann", name="Ann", email="e", age=1))
    for key in [info.key async for info in store.list() if "_indexes" in info.key or "_uniques" in info.key]:
        await store.put(key.replace("/ann/", "/bob/").replace("/te", "/tf"), b'{"id":"bob","nonce":"n"}')
    now[0] += 86_401
    counted = await db.vacuum(dry_run=True)
    removed = await db.vacuum()

    assert counted.removed == removed.removed == {Garbage.ENTRY: 1, Garbage.CLAIM: 1}
    assert (await users.find_by_key("email", "e")).id == "ann"


async def test_beside_other_writers_it_waits(tmp_path: object) -> None:
    """On a file that others may write to, nobody is ignorant of an index for longer than the settings say."""
    settings = Settings(copy_age=0.2, copy_reserve=0.05, slack=0.2)
    url = f"sqlite:///{tmp_path}/x.db"
    async with ddao.connect(url) as first:
        db = ddao.Database(first.store, ddao.Schema.of(User), settings=settings)
        await db.create_tables()
        await db.repository(User).insert(User(id="ann", name="Ann", age=1))
        began = time.monotonic()
        await db.alter_table("users", ddao.Column("age", "integer", nullable=True, index=True))
        waited = time.monotonic() - began

        assert waited >= 0.4
        assert await access(db, age=1) == "index"


# ---- real servers


@pytest.mark.parametrize("server", ["moto_server", "seaweedfs"])
async def test_the_life_of_an_index_on_a_server(server: str, request: pytest.FixtureRequest) -> None:
    """Built, searched, dropped and vacuumed with the server's own conditions, dates and lists; a day lasts a second."""
    place: Server = request.getfixturevalue(server)
    async with s3_store(place, place.create_bucket(), "some/prefix/") as store:
        db = ddao.Database(store, ddao.Schema.of(User), settings=Settings(day=1.0))
        await db.create_tables()
        users = db.repository(User)
        report = await users.insert_many(User(id=f"u{n}", name=f"n{n}", email=f"e{n}", age=n % 3) for n in range(30))
        age = ddao.Column("age", "integer", nullable=True, index=True)
        email = ddao.Column("email", "text", nullable=True, unique=True)
        await db.alter_table("users", age, email, exclusive=True)

        assert report.inserted == 30
        assert (await access(db, age=1), await access(db, email="e7")) == ("index", "unique")
        assert await users.find(age=1).count() == 10
        assert (await users.find_by_key("email", "e7")).id == "u7"
        await users.delete("u7")
        await store.put("tables/users/objects/gone.json", ABSENT)
        await store.put(f"tables/users/_indexes/age/nx/{encode_id('u1')}/r0", b"")
        await asyncio.sleep(3.1)  # the server's dates are whole seconds
        assert (await db.vacuum()).removed == {Garbage.ABSENT: 1, Garbage.ENTRY: 1}
        assert (await db.reindex("users")).is_sound
        await db.drop_index("users", "age", exclusive=True)
        await db.drop_index("users", "email", exclusive=True)
        assert [info.key async for info in store.list("tables/users/_") if "/_state" not in info.key] == [
            "tables/users/_metadata.json"
        ]
        assert await broken_rules(store) == []


async def test_a_server_without_conditions(rclone_server: Server) -> None:
    """Indexes work there, uniqueness is refused before anything is written."""
    async with s3_store(rclone_server, rclone_server.create_bucket()) as store:
        db = ddao.Database(store, ddao.Schema.of(User))
        await db.create_tables()
        users = db.repository(User)
        await users.insert(User(id="ann", name="Ann", email="e", age=1))
        with pytest.raises(ddao.UnsupportedError):
            await db.alter_table("users", ddao.Column("email", "text", nullable=True, unique=True), exclusive=True)
        await db.alter_table("users", ddao.Column("age", "integer", nullable=True, index=True), exclusive=True)

        assert [user.id for user in await users.find(age=1).all()] == ["ann"]
        assert await access(db, age=1) == "index"
        assert not (await db.table("users"))["email"].unique


ABSENT = (
    b'{"id":"gone","table_name":"users","fields":{},"created_at":"0001-01-01T00:00:00Z",'
    b'"updated_at":"0001-01-01T00:00:00Z","revision":"r","fence":"f","absent":true}'
)
