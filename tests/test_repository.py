"""Records one at a time: what each operation does, returns and raises, typed and dynamic, on every kind of store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from fix_storage import STORES, Place
from layout_rules import broken_rules

import ddao_async as ddao
from ddao_async.testing import CountingStore


class User(ddao.Record, table="users"):
    email: str
    name: str
    age: int = 0
    profile: dict[str, Any] | None = None


class Member(ddao.Record, table="members"):
    email: Annotated[str, ddao.Unique()]
    country: Annotated[str, ddao.Index()] = "NL"


ANN = User(id="ann", email="ann@example.com", name="Ann", age=30, profile={"likes": ["tea"]})


@pytest.fixture
async def store() -> CountingStore:
    return CountingStore(ddao.MemoryAdapter())


@pytest.fixture
async def db(store: CountingStore) -> AsyncIterator[ddao.Database]:
    async with ddao.Database(store) as opened:
        await opened.create_tables(ddao.Schema.of(User, Member))
        store.reset()
        yield opened


@pytest.fixture
def users(db: ddao.Database) -> ddao.Repository[User]:
    return db.repository(User)


async def body(db: ddao.Database, id: str, table: str = "users") -> dict[str, Any]:
    found = await db.store.get(f"tables/{table}/objects/{id}.json")
    assert found is not None
    return json.loads(found.data)


@pytest.mark.parametrize("place", [name for name in STORES if "aiobotocore" not in name], indirect=True)
async def test_the_whole_life_of_a_record_on_every_store(place: Place) -> None:
    """Create, read, search, change and delete; nothing but a server without conditions is allowed to differ."""
    store = place.store()
    async with ddao.Database(store) as db:
        await db.create_tables(ddao.Schema.of(User))
        users = db.repository(User)

        made = await users.insert(User(email="bob@example.com", name="Bob"))
        assert await users.insert(ANN) == ANN
        assert await users.get("ann") == ANN
        assert await users.find_by_id("nobody") is None
        assert await users.find_by_key("email", "bob@example.com") == made
        with pytest.raises(ddao.AlreadyExistsError):
            await users.insert(ANN)

        snapshot = await users.read("ann")
        older = User(id="ann", email="ann@example.com", name="Ann", age=31)
        await users.update(older, if_version=snapshot.version)
        with pytest.raises(ddao.ConflictError):
            await users.update(ANN, if_version=snapshot.version)
        assert await users.get("ann") == older
        assert await users.upsert(User(id="odd id/with+%?#é", email="x", name="Odd")) is True
        assert await users.upsert(User(id="odd id/with+%?#é", email="y", name="Odd")) is False

        assert {user.name async for user in users.find(ddao.field("age") < 31)} == {"Bob", "Odd"}
        assert await users.count() == 3
        assert await users.delete("ann") is True
        assert await users.delete("ann") is False
        with pytest.raises(ddao.NotFoundError):
            await users.get("ann")
        assert await users.insert(ANN) == ANN

        assert not [rule for rule in await broken_rules(store) if not place.gaps.forgets_content_type]


# Insert


async def test_an_id_left_out_is_a_uuid_and_sorts_by_time(users: ddao.Repository[User]) -> None:
    record = User(email="x", name="x")
    made = [await users.insert(record) for _ in range(20)]

    assert [user.id for user in made] == sorted(user.id for user in made)
    assert record != made[0]
    assert await users.get(made[0].id) == made[0]


async def test_insert_is_one_request_and_get_is_one(users: ddao.Repository[User], store: CountingStore) -> None:
    await users.insert(ANN)
    assert store.counts() == {"put": 1}
    store.reset()
    await users.get("ann")

    assert store.counts() == {"get": 1}


async def test_a_document_has_the_shared_members_and_equal_times(
    db: ddao.Database, users: ddao.Repository[User]
) -> None:
    await users.insert(ANN)
    stored = await body(db, "ann")

    assert (stored["id"], stored["table_name"]) == ("ann", "users")
    assert stored["fields"] == {"email": "ann@example.com", "name": "Ann", "age": 30, "profile": {"likes": ["tea"]}}
    assert stored["created_at"] == stored["updated_at"]
    assert stored["created_at"].endswith("Z")


@pytest.mark.parametrize("id", ["", "/a", "a/", "a//b", ".", "a/../b", "a\nb"])
async def test_a_bad_id_is_refused_and_nothing_is_asked(
    users: ddao.Repository[User], store: CountingStore, id: str
) -> None:
    for call in (users.get, users.find_by_id, users.read, users.delete):
        with pytest.raises(ddao.ValidationError):
            await call(id)
    with pytest.raises(ddao.ValidationError):
        await users.insert(User(id=id, email="x", name="x"))

    assert store.requests == []


async def test_an_id_that_makes_too_long_a_key_is_refused(users: ddao.Repository[User]) -> None:
    with pytest.raises(ddao.ValidationError, match=r"1,?024"):
        await users.insert(User(id="x" * 999, email="x", name="x"))
    assert await users.insert(User(id="x" * 998, email="x", name="x"))


async def test_a_wrong_type_is_refused_with_its_path_and_nothing_is_written(
    users: ddao.Repository[User], store: CountingStore
) -> None:
    wrong = User(id="ann", email="x", name=5)  # type: ignore[arg-type]
    for call in (users.insert, users.update, users.upsert):
        with pytest.raises(ddao.ValidationError, match=r"users\.name"):
            await call(wrong)

    assert store.requests == []


async def test_a_unique_violation_names_the_column(db: ddao.Database) -> None:
    members = db.repository(Member)
    await members.insert(Member(id="1", email="x"))

    with pytest.raises(ddao.UniqueViolationError, match="email"):
        await members.insert(Member(id="2", email="x"))
    assert await members.find_by_id("2") is None


# Update, upsert, delete


async def test_update_of_what_is_not_there_is_an_error(users: ddao.Repository[User]) -> None:
    with pytest.raises(ddao.NotFoundError):
        await users.update(ANN)
    await users.insert(ANN)
    version = (await users.read("ann")).version
    await users.delete("ann")
    with pytest.raises(ddao.ConflictError):
        await users.update(ANN, if_version=version)
    with pytest.raises(ddao.ConflictError):
        await users.delete("ann", if_version=version)


@pytest.mark.parametrize("version", [None, "", 5])
async def test_what_is_no_version_is_refused(users: ddao.Repository[User], version: Any) -> None:
    await users.insert(ANN)

    with pytest.raises(ddao.ValidationError, match="if_version"):
        await users.update(ANN, if_version=version)
    with pytest.raises(ddao.ValidationError, match="if_version"):
        await users.delete("ann", if_version=version)


async def test_a_version_that_was_read_saves_the_second_look(
    users: ddao.Repository[User], store: CountingStore
) -> None:
    await users.insert(ANN)
    snapshot = await users.read("ann")
    store.reset()
    await users.update(snapshot.value, if_version=snapshot.version)

    assert store.counts() == {"put": 1}


async def test_a_version_is_text_that_can_be_sent_around(users: ddao.Repository[User], store: CountingStore) -> None:
    await users.insert(ANN)
    snapshot = await users.read("ann")
    sent = json.loads(json.dumps(snapshot.version))
    store.reset()
    await users.update(snapshot.value, if_version=sent)

    assert store.counts() == {"get": 1, "put": 1}
    with pytest.raises(ddao.ConflictError):
        await users.delete("ann", if_version=sent)


async def test_an_update_keeps_created_at_and_moves_updated_at(users: ddao.Repository[User]) -> None:
    await users.insert(ANN)
    before = await users.read("ann")
    await asyncio.sleep(0.002)
    await users.update(ANN)
    after = await users.read("ann")

    assert before.created_at == before.updated_at == after.created_at
    assert before.updated_at < after.updated_at
    assert abs(datetime.now(UTC) - after.updated_at) < timedelta(minutes=1)
    assert after.version != before.version


async def test_an_update_needs_an_id(users: ddao.Repository[User]) -> None:
    for call in (users.update, users.upsert):
        with pytest.raises(ddao.ValidationError, match="no id"):
            await call(User(email="x", name="x"))


class Narrow(ddao.Record, table="users"):
    name: str


async def test_fields_that_a_record_type_does_not_know_survive(db: ddao.Database, users: ddao.Repository[User]) -> None:
    narrow = db.repository(Narrow)
    await users.insert(ANN)

    def shout(record: Narrow) -> Narrow:
        record.name = record.name.upper()
        return record

    await narrow.update(Narrow(id="ann", name="Anna"))
    await narrow.modify("ann", shout)
    await narrow.upsert(Narrow(id="ann", name="ANNE"))

    assert await users.get("ann") == User(
        id="ann", email="ann@example.com", name="ANNE", age=30, profile={"likes": ["tea"]}
    )


# Modify


async def test_modify_reads_changes_and_writes(users: ddao.Repository[User], store: CountingStore) -> None:
    await users.insert(ANN)
    store.reset()

    def birthday(user: User) -> User:
        user.age += 1
        return user

    async def wedding(user: User) -> User:
        await asyncio.sleep(0)
        return User(id=user.id, email=user.email, name="Ann B.", age=user.age)

    assert (await users.modify("ann", birthday)).age == 31
    assert store.counts() == {"get": 1, "put": 1}
    assert (await users.modify("ann", wedding)).name == "Ann B."
    assert await users.get("ann") == User(id="ann", email="ann@example.com", name="Ann B.", age=31)


async def test_modify_that_changes_nothing_writes_nothing(users: ddao.Repository[User], store: CountingStore) -> None:
    await users.insert(ANN)
    store.reset()
    await users.modify("ann", lambda user: user)

    assert store.counts() == {"get": 1}


async def test_modify_of_nothing_is_not_found_and_another_id_is_refused(users: ddao.Repository[User]) -> None:
    with pytest.raises(ddao.NotFoundError):
        await users.modify("nobody", lambda user: user)
    await users.insert(ANN)
    with pytest.raises(ddao.ValidationError, match="another id"):
        await users.modify("ann", lambda user: User(id="bob", email="x", name="x"))
    with pytest.raises(ddao.ValidationError):
        await users.modify("ann", lambda user: None)  # type: ignore[arg-type,return-value]


async def test_an_error_in_the_change_leaves_everything_as_it_is(users: ddao.Repository[User]) -> None:
    await users.insert(ANN)

    def fails(user: User) -> User:
        user.age = 99
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await users.modify("ann", fails)
    assert (await users.get("ann")).age == 30


async def test_many_modify_one_counter_and_nothing_is_lost(users: ddao.Repository[User]) -> None:
    await users.insert(User(id="counter", email="x", name="x", age=0))

    async def increment(user: User) -> User:
        await asyncio.sleep(0)
        user.age += 1
        return user

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(users.modify("counter", increment))
    assert (await users.get("counter")).age == 20


# Dynamic objects


async def test_objects_by_table_name(db: ddao.Database) -> None:
    made = await db.insert(ddao.Object("users", fields={"email": "x", "name": "X", "age": 5, "profile": None}))
    found = await db.find_by_id("users", made.id)

    assert found == made
    assert found.get_int("age") == 5
    found["age"] = 6
    assert await db.update(found) == found
    assert await db.find_by_key("users", "age", 6) == found
    assert await db.upsert(found) is False
    assert await db.delete_by_id("users", made.id) is True
    assert await db.delete_by_id("users", made.id) is False
    assert await db.find_by_id("users", made.id) is None


async def test_objects_are_checked_by_the_stored_columns(db: ddao.Database) -> None:
    with pytest.raises(ddao.ValidationError, match=r"users\.age: expected integer"):
        await db.insert(ddao.Object("users", "1", {"email": "x", "name": "x", "age": "old"}))
    with pytest.raises(ddao.ValidationError, match=r"users\.email is missing"):
        await db.insert(ddao.Object("users", "1", {"name": "x"}))
    with pytest.raises(ddao.ValidationError, match="User cannot be stored by table name"):
        await db.insert(ANN)  # type: ignore[arg-type]
    obj = await db.insert(ddao.Object("users", "1", {"email": "x", "name": "x", "age": 1, "shoe": 43}))
    assert await db.find_by_id("users", "1") == obj


async def test_typed_and_dynamic_see_the_same_documents(db: ddao.Database, users: ddao.Repository[User]) -> None:
    await users.insert(ANN)
    obj = await db.find_by_id("users", "ann")

    assert obj is not None
    assert obj.fields == {"email": "ann@example.com", "name": "Ann", "age": 30, "profile": {"likes": ["tea"]}}


# What is stored and is no document


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "tables/users/objects/bad.json"),
        (b"[]", "tables/users/objects/bad.json"),
        (b"\xff", "tables/users/objects/bad.json"),
        (b'{"id":"other","fields":{}}', "other"),
        (b'{"id":5}', r"\$\.id"),
        (b'{"id":"bad","fields":{"email":5,"name":"x"}}', r"fields\.email"),
        (b'{"id":"bad","fields":{"name":"x"}}', "email"),
        (b'{"id":"bad","fields":[]}', "fields"),
        (b'{"id":"bad","fields":' + b"[" * 100_000, "tables/users/objects/bad.json"),
    ],
)
async def test_a_corrupt_document_says_where(
    db: ddao.Database, users: ddao.Repository[User], data: bytes, where: str
) -> None:
    await db.store.put("tables/users/objects/bad.json", data)

    with pytest.raises(ddao.CorruptDocumentError, match=where):
        await users.get("bad")


async def test_a_failed_read_is_an_error_and_never_not_found(db: ddao.Database, users: ddao.Repository[User]) -> None:
    await db.store.put("tables/users/objects/bad.json", b"{")

    for call in (users.find_by_id, users.read, users.get):
        with pytest.raises(ddao.CorruptDocumentError):
            await call("bad")
    with pytest.raises(ddao.CorruptDocumentError):
        await users.get_many(["bad"])
