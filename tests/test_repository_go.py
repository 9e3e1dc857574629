"""The bucket that Go wrote, through repositories: every document reads, is found, and stays readable when changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest
from fix_go import GoObject
from layout_rules import broken_rules, check_go_reads

import ddao_async as ddao


class Profile(msgspec.Struct):
    age: int
    city: str
    interests: list[str]


class User(ddao.Record, table="users"):
    email: Annotated[str, ddao.Unique()]
    name: str
    profile: Profile | None = None
    created_at: datetime


class Document(ddao.Record, table="documents"):
    user_id: Annotated[str, ddao.Index()]
    title: str
    content: str
    metadata: dict[str, Any] | None = None
    created_at: datetime


@pytest.fixture
def db(go_store: ddao.MemoryAdapter) -> ddao.Database:
    return ddao.Database(go_store)


async def test_every_document_reads_back(db: ddao.Database, go_objects: list[GoObject]) -> None:
    tables = {one.table for one in go_objects if one.table}
    await db.create_tables(ddao.Schema.of(*(ddao.Table(name) for name in sorted(tables))))
    for one in go_objects:
        if one.table and one.id:
            obj = await db.find_by_id(one.table, one.id)

            assert obj is not None
            assert obj.fields == json.loads(one.data)["fields"]
    for name in tables:
        query = db.repository(name).find()
        assert len(await query.all()) == len([one for one in go_objects if one.table == name and one.id])
        assert query.problems == {}


async def test_go_tables_need_no_creating_where_go_described_them(db: ddao.Database) -> None:
    assert [table for table in await db.tables() if table in ("users", "documents")] == ["documents", "users"]
    user = await db.repository(User).get("user123")

    assert user == User(
        id="user123",
        email="john.doe@example.com",
        name="John Doe",
        profile=Profile(30, "New York", ["technology", "reading"]),
        created_at=datetime.fromisoformat("2025-09-20T11:14:36-04:00"),
    )
    assert [doc.id async for doc in db.repository(Document).find(user_id="user123")] == ["doc1", "doc2", "doc3"]
    assert (await db.repository(Document).get("doc1")).metadata == {"format": "text", "language": "en"}


async def test_never_is_the_first_instant_and_nanoseconds_are_cut(db: ddao.Database) -> None:
    created = await db.repository(User).read("user123")
    updated = await db.repository(User).read("updated1")

    assert created.created_at == datetime(2026, 11, 22, 10, 17, 41, 946289, UTC)
    assert created.updated_at == updated.created_at == datetime.min.replace(tzinfo=UTC)


async def test_go_documents_are_changed_deleted_and_stay_readable(
    db: ddao.Database, go_store: ddao.MemoryAdapter
) -> None:
    users = db.repository(User)

    def rename(user: User) -> User:
        user.name = "Renamed"
        return user

    await users.modify("user123", rename)
    await users.delete("upserted1")
    await users.insert(User(id="new", email="n@example.com", name="New", created_at=datetime.now(UTC)))
    found = await go_store.get("tables/users/objects/user123.json")
    assert found is not None
    body = json.loads(found.data)

    check_go_reads(body)
    assert body["created_at"] == "2026-11-22T10:17:41.946289548Z"
    assert body["fields"]["created_at"] == "2025-09-20T11:14:36-04:00"
    assert await broken_rules(go_store) == []
    assert await users.find_by_key("name", "Renamed") is not None
    assert await users.find_by_id("upserted1") is None


async def test_a_declaration_is_merged_into_what_go_declared(db: ddao.Database, go_store: ddao.MemoryAdapter) -> None:
    merged = await db.create_tables(ddao.Schema.of(User, Document))
    found = await go_store.get("_schema.json")
    assert found is not None
    summary = json.loads(found.data)

    assert merged["users"]["email"].comment == "User email address"
    assert summary["DatabaseName"] == "s3demo"
    assert summary["Tables"]["users"]["FieldOrder"] == ["id", "email", "name", "profile", "created_at"]


async def test_a_go_table_is_searched_by_scan_until_it_is_indexed(db: ddao.Database) -> None:
    documents = db.repository(Document)
    assert (await documents.find(user_id="user123").explain()).scans
    await db.reindex("documents", exclusive=True)

    assert (await documents.find(user_id="user123").explain()).index == "user_id"
    assert [doc.id async for doc in documents.find(user_id="user123")] == ["doc1", "doc2", "doc3"]
