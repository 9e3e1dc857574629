"""Two libraries, one bucket: tables that Go wrote are indexed, updated and deleted here, and stay readable there."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import msgspec
import pytest
from fix_go import GoObject
from layout_rules import broken_rules, check_go_reads

import ddao_async as ddao
from ddao_async.documents import Documents
from ddao_async.engine import Engine
from ddao_async.errors import ConflictError
from ddao_async.maintenance import add_indexes, check, drop_index, vacuum
from ddao_async.model.index import IndexLayout, encode_value
from ddao_async.state import TableLayout
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.transaction import Transaction

INDEXES = {
    "users": [IndexLayout("email", ("email",), ("text",), unique=True), IndexLayout("name", ("name",), ("text",))],
    "documents": [
        IndexLayout("user_id", ("user_id",), ("text",)),
        IndexLayout("created_at", ("created_at",), ("datetime",)),
    ],
    "edge": [IndexLayout("emoji", ("emoji",), ("text",)), IndexLayout("html", ("html",), ("text",), unique=True)],
    "ids": [IndexLayout("v", ("v",), ("text",))],
}


class GoUser(ddao.Record, table="users"):
    """The users of the Go demo, as a program here declares them."""

    email: Annotated[str, ddao.Unique()]
    name: Annotated[str, ddao.Index()]
    created_at: datetime
    profile: dict[str, Any] | None = None


class Tables:
    """Every table of the Go bucket, through the engine."""

    def __init__(self, store: MemoryAdapter, objects: list[GoObject]) -> None:
        self.store = store
        self.engine = Engine(store)
        self.ids = [(one.table, one.id) for one in objects if one.table and one.id]
        self.layouts = {name: TableLayout(name, tuple(indexes)) for name, indexes in INDEXES.items()}
        self.documents = {name: Documents(layout, engine=self.engine) for name, layout in self.layouts.items()}

    async def index(self) -> None:
        for name, layout in self.layouts.items():
            await add_indexes(self.engine, layout, INDEXES[name], exclusive=True)

    async def bodies(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            (table, name): json.loads((await self.store.get(f"tables/{table}/objects/{name}.json")).data)
            for table, name in self.ids
        }

    async def found(self, table: str, index: str, value: str) -> list[str]:
        entries = self.documents[table].entries(index, start=value, stop=value + "0")
        return [entry.id async for entry in entries]


@pytest.fixture
def tables(go_store: MemoryAdapter, go_objects: list[GoObject]) -> Tables:
    return Tables(go_store, go_objects)


async def test_the_rules_pass_what_go_wrote(go_store: MemoryAdapter) -> None:
    assert await broken_rules(go_store) == []


async def test_go_tables_are_indexed(tables: Tables) -> None:
    """Fields and times stay what they were; documents are found by every indexed value."""
    before = await tables.bodies()
    await tables.index()
    after = await tables.bodies()

    assert [check_go_reads(body) for body in after.values()] == [None] * len(before)
    for key, body in before.items():
        assert {name: after[key][name] for name in body} == body
        assert after[key]["revision"]
    assert await broken_rules(tables.store) == []
    assert await tables.found("documents", "user_id", encode_value("text", "user123")) == ["doc1", "doc2", "doc3"]
    assert await tables.documents["users"].claimed("email", encode_value("text", "v@example.com")) == "upserted1"
    for layout in tables.layouts.values():
        assert (await check(tables.engine, layout)).is_sound


async def test_indexing_leaves_the_users_bytes_alone(tables: Tables, go_objects: list[GoObject]) -> None:
    """`fields` is rewritten byte by byte: numbers, escapes and order as Go wrote them."""
    await tables.index()
    for one in go_objects:
        if one.id is None:
            continue
        raw = one.data[one.data.index(b'"fields":') + 9 : one.data.rindex(b',\n  "created_at"')].strip()
        stored = (await tables.store.get(one.key)).data

        assert raw in stored


@pytest.mark.parametrize("indexed", [True, False])
async def test_go_documents_are_updated(tables: Tables, indexed: bool) -> None:
    """With and without indexes; `created_at` is kept as Go wrote it."""
    if indexed:
        await tables.index()
    before = await tables.bodies()
    for table, name in tables.ids:
        await tables.documents[table].update(name, lambda document: bytes(document.fields))
    after = await tables.bodies()

    for key, body in before.items():
        assert (after[key]["fields"], after[key]["created_at"]) == (body["fields"], body["created_at"])
        assert after[key]["updated_at"] != body["updated_at"]
    assert await broken_rules(tables.store) == []


@pytest.mark.parametrize("indexed", [True, False])
async def test_go_documents_are_deleted(tables: Tables, indexed: bool) -> None:
    """Nothing of them is left, neither entries nor claims."""
    if indexed:
        await tables.index()
    for table, name in tables.ids:
        assert await tables.documents[table].delete(name)
    keys = [info.key async for info in tables.store.list()]

    assert [key for key in keys if "/objects/" in key or "/_indexes/" in key or "/_uniques/" in key] == []


async def test_go_documents_take_part_in_transactions(tables: Tables) -> None:
    await tables.index()
    async with Transaction(tables.engine) as tx:
        users, documents = tx.documents(tables.layouts["users"]), tx.documents(tables.layouts["documents"])
        await users.update("user123", lambda _: b'{"email":"new@example.com","name":"N"}')
        await documents.delete("doc1")
    found = await tables.documents["users"].claimed("email", encode_value("text", "new@example.com"))

    assert found == "user123"
    assert await tables.documents["documents"].get("doc1") is None
    assert await broken_rules(tables.store) == []


async def test_what_go_rewrites_is_found_again_by_a_check(tables: Tables, go_objects: list[GoObject]) -> None:
    """Go writes over our documents without a condition and drops what it does not know: `reindex --check` repairs."""
    await tables.index()
    for one in go_objects:
        if one.id is not None:
            await tables.store.put(one.key, one.data, metadata=one.metadata, content_type=one.content_type)
    for layout in tables.layouts.values():
        assert not (await check(tables.engine, layout)).is_sound
        assert (await check(tables.engine, layout)).is_sound


async def test_dropping_and_vacuum_leave_the_documents(tables: Tables, go_objects: list[GoObject]) -> None:
    await tables.index()
    before = await tables.bodies()
    for name, layout in tables.layouts.items():
        for index in INDEXES[name]:
            await drop_index(tables.engine, layout, index.name, exclusive=True)
    await vacuum(tables.engine)

    assert await tables.bodies() == before
    assert [
        info.key async for info in tables.store.list() if "/_indexes/" in info.key or "/_uniques/" in info.key
    ] == []


async def test_a_body_that_does_not_name_its_table(tables: Tables) -> None:
    """A tool that leaves the name out, or has another: the key counts, and what is written says so."""
    for name, table in (("bare", None), ("moved", "others")):
        body = {"id": name, "fields": {"name": name, "email": name}, "created_at": "2026-11-22T10:17:41Z"}
        body |= {"updated_at": "2026-11-22T10:17:41Z"} | ({"table_name": table} if table else {})
        await tables.store.put(f"tables/users/objects/{name}.json", json.dumps(body).encode())
    await tables.index()
    await tables.documents["users"].update("moved", lambda document: bytes(document.fields))

    assert await tables.found("users", "name", encode_value("text", "bare")) == ["bare"]
    assert await broken_rules(tables.store) == []


async def test_a_refused_write_keeps_a_claim_that_the_document_has(tables: Tables, go_objects: list[GoObject]) -> None:
    """Go dropped the tag of a claimed value; a write that takes the claim anew and then fails must not release it."""
    await tables.index()
    (john,) = (one for one in go_objects if one.id == "user123")
    await tables.store.put(john.key, john.data)
    put = tables.store.put

    async def overtaken(key: str, data: bytes, **options: Any) -> Any:
        if key == john.key and b"mine" in data:
            tables.engine.store.put = put
            await put(key, john.data + b" ")
            raise ConflictError("Somebody else wrote.")
        return await put(key, data, **options)

    class Crash(Exception):
        pass

    def change(document: Any) -> bytes:
        if tables.engine.store.put is put:
            raise Crash
        return b'{"name":"mine","email":"john.doe@example.com"}'

    tables.engine.store.put = overtaken
    with pytest.raises(Crash):
        await tables.documents["users"].update("user123", change)

    assert await tables.documents["users"].claimed("email", encode_value("text", "john.doe@example.com")) == "user123"


# ---- through the public interface


async def test_a_program_takes_over_a_go_table(go_store: MemoryAdapter) -> None:
    """Declare, reindex, search, change, delete: and Go can read every step."""
    db = ddao.Database(go_store, ddao.Schema.of(GoUser))
    await db.create_tables()
    users = db.repository(GoUser)
    assert (await users.find(email="v@example.com").explain()).scans
    assert (await users.find_by_key("email", "v@example.com")).id == "upserted1"
    assert (await db.reindex("users", exclusive=True)).is_sound

    john = await users.find_by_key("email", "john.doe@example.com")
    assert (john.id, john.name, john.profile["age"]) == ("user123", "John Doe", 30)
    assert (await users.find(email="v@example.com").explain()).access == "unique"
    assert [user.id for user in await users.find(name="After").all()] == ["updated1"]
    with pytest.raises(ddao.UniqueViolationError):
        await users.insert(msgspec.structs.replace(john, id="another"))
    await users.modify("user123", lambda user: msgspec.structs.replace(user, name="Johnny"))
    assert [user.id for user in await users.find(name="Johnny").all()] == ["user123"]
    assert await users.delete("updated1")
    assert await users.find(name="After").count() == 0
    assert await broken_rules(go_store) == []


async def test_dynamic_objects_of_every_go_table(go_store: MemoryAdapter, go_objects: list[GoObject]) -> None:
    """Each document that Go wrote, read and written back by table name, keeps its fields."""
    db = ddao.Database(go_store)
    known = [one for one in go_objects if one.table in ("users", "documents") and one.id]
    for one in known:
        obj = await db.find_by_id(one.table, one.id)
        assert obj is not None
        await db.update(obj)
        body = json.loads((await go_store.get(one.key)).data)
        before = json.loads(one.data)
        assert (body["id"], body["created_at"]) == (before["id"], before["created_at"])
        assert sorted(body["fields"]) == sorted(before["fields"])
        assert await db.find_by_id(one.table, one.id) == obj

    assert await broken_rules(go_store) == []
