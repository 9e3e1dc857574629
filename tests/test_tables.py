"""Creating and altering tables: safe to repeat, in company, beside Go, and clear about clashes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from lax_store import LaxStore
from layout_rules import broken_rules

import ddao_async as ddao
from ddao_async.testing import CountingStore, FaultyStore, RandomFaults


class User(ddao.Record, table="users"):
    email: Annotated[str, ddao.Unique()]
    name: str
    country: Annotated[str, ddao.Index()] = "NL"


@pytest.fixture
async def store() -> AsyncIterator[CountingStore]:
    async with ddao.MemoryAdapter() as memory:
        yield CountingStore(memory)


async def content(store: Any, key: str) -> dict[str, Any]:
    return json.loads((await store.get(key)).data)


async def test_a_new_table_has_metadata_summary_and_state(store: CountingStore) -> None:
    async with ddao.Database(store) as db:
        created = await db.create_tables(ddao.Schema.of(User))

    assert created["users"] == ddao.Schema.of(User)["users"]
    assert sorted([info.key async for info in store.list()]) == [
        "_schema.json",
        "tables/users/_metadata.json",
        "tables/users/_state.json",
    ]
    state = await content(store, "tables/users/_state.json")
    assert {name: index["state"] for name, index in state["indexes"].items()} == {
        "country": "complete",
        "email": "complete",
    }
    info = await store.head("tables/users/_metadata.json")
    assert (info.content_type, info.metadata["ddao-type"], info.metadata["ddao-table"]) == (
        "application/json",
        "table-metadata",
        "users",
    )
    assert (await store.head("_schema.json")).metadata["ddao-type"] == "schema"
    assert await broken_rules(store) == []


async def test_creating_again_writes_nothing(store: CountingStore) -> None:
    for n in range(3):
        async with ddao.Database(store) as db:
            await db.create_tables(ddao.Schema.of(User))
        if n:
            assert "put" not in store.counts()
        store.reset()


async def test_columns_are_added_and_none_is_lost(store: CountingStore) -> None:
    async with ddao.Database(store) as db:
        await db.create_tables(ddao.Schema.of(User))
        merged = await db.create_tables(
            ddao.Schema.of(ddao.Table("users", [ddao.Column("shoe", "float", comment="size")]), ddao.Table("other"))
        )

    assert [column.name for column in merged["users"].columns] == ["email", "name", "country", "shoe"]
    stored = await content(store, "_schema.json")
    assert list(stored["Tables"]) == ["users", "other"]
    assert stored["Tables"]["users"]["FieldOrder"] == ["id", "email", "name", "country", "shoe"]
    assert stored["Tables"]["users"]["Fields"]["shoe"]["DataType"] == "real"


async def test_a_clash_names_the_column_and_changes_nothing(store: CountingStore) -> None:
    async with ddao.Database(store) as db:
        await db.create_tables(ddao.Schema.of(User))
        before = [(info.key, info.etag) async for info in store.list()]
        with pytest.raises(
            ddao.SchemaError, match=r"users\.name is declared as integer, but the bucket holds it as text"
        ):
            await db.create_tables(ddao.Schema.of(ddao.Table("users", [ddao.Column("name", "integer")])))

    class Other(ddao.Record, table="users"):
        name: int

    async with ddao.Database(store) as db:
        with pytest.raises(ddao.SchemaError, match=r"users\.name"):
            await db.repository(Other).get("x")
    assert [(info.key, info.etag) async for info in store.list()] == before


async def test_what_may_not_be_declared_is_refused(store: CountingStore) -> None:
    async with ddao.Database(store) as db:
        with pytest.raises(ddao.SchemaError, match="unknown type"):
            await db.create_tables(ddao.Schema({"t": ddao.Table("t", [ddao.Column("a", "strng")])}))
        with pytest.raises(ddao.SchemaError, match=r"Schema\.of"):
            await db.create_tables(User)  # type: ignore[arg-type]


async def test_transactions_are_chosen_once(store: CountingStore) -> None:
    async with ddao.Database(store) as db:
        await db.create_tables(ddao.Schema.of(ddao.Table("t", transactions=False)))
        assert (await content(store, "tables/t/_state.json"))["transactions"] is False
        with pytest.raises(ddao.SchemaError, match="transactions=False"):
            await db.create_tables(ddao.Schema.of(ddao.Table("t")))


async def test_many_programs_start_at_once(store: CountingStore) -> None:
    """Each declares one more column; all of them are there in the end."""

    async def start(n: int) -> None:
        table = ddao.Table("t", [ddao.Column("common", "text"), ddao.Column(f"c{n}", "text")])
        await ddao.Database(store).create_tables(ddao.Schema.of(table))

    class Yielding(CountingStore):
        async def get(self, key: str, **conditions: Any) -> Any:
            await asyncio.sleep(0)
            return await super().get(key, **conditions)

    store = Yielding(ddao.MemoryAdapter())
    await asyncio.gather(*(start(n) for n in range(8)))

    assert set((await content(store, "tables/t/_metadata.json"))["fields"]) == {
        "id",
        "common",
        *(f"c{n}" for n in range(8)),
    }
    assert set((await content(store, "_schema.json"))["Tables"]["t"]["Fields"]) >= {"id", "common"}


@pytest.mark.parametrize("seed", range(20))
async def test_lost_answers_do_not_keep_a_table_from_being_created(seed: int) -> None:
    memory = ddao.MemoryAdapter()
    faulty = FaultyStore(memory, RandomFaults(seed=seed, lost=0.2))
    await ddao.Database(faulty).create_tables(ddao.Schema.of(User))
    async with ddao.Database(memory) as db:
        await db.repository(User).insert(User(email="x", name="x"))
        assert await db.repository(User).find_by_key("email", "x") is not None


async def test_unique_columns_are_refused_where_conditions_are_ignored() -> None:
    async with ddao.Database(LaxStore("create", "replace", "delete")) as db:
        with pytest.raises(ddao.UnsupportedError, match="unique"):
            await db.create_tables(ddao.Schema.of(User))
        await db.create_tables(ddao.Schema.of(ddao.Table("plain", [ddao.Column("a", "text", index=True)])))
        await db.insert(ddao.Object("plain", "1", {"a": "x"}))
        assert (await db.find_by_key("plain", "a", "x")).id == "1"  # type: ignore[union-attr]


# Altering


async def test_a_column_with_an_index_is_added_to_a_table_with_documents() -> None:
    async with ddao.connect("memory://") as db:
        await db.create_tables(ddao.Schema.of(ddao.Table("t", [ddao.Column("a", "text")])))
        await db.insert(ddao.Object("t", "1", {"a": "x", "age": 5}))
        altered = await db.alter_table("t", ddao.Column("age", "integer", nullable=True, index=True))

        assert altered["age"].index
        assert db.schema["t"] == altered
        assert (await db.repository("t").find(age=5).explain()).access == "index"
        assert [obj.id async for obj in db.repository("t").find(age=5)] == ["1"]
        await db.insert(ddao.Object("t", "2", {"a": "y"}))
        assert [obj.id async for obj in db.repository("t").find().order_by("age")] == ["2", "1"]


async def test_a_known_column_gets_an_index_and_several_columns_get_one() -> None:
    async with ddao.connect("memory://") as db:
        table = ddao.Table("t", [ddao.Column("a", "text"), ddao.Column("b", "text", nullable=True)])
        await db.create_tables(ddao.Schema.of(table))
        await db.repository("t").insert_many(
            ddao.Object("t", str(n), {"a": "xy"[n % 2], "b": str(9 - n)}) for n in range(10)
        )
        await db.alter_table("t", ddao.Column("a", "text", index=True), indexes=[("a", "b")])
        query = db.repository("t").find(a="x").order_by("b")

        assert (await query.explain()).index == "a~b"
        assert [obj.id async for obj in query] == ["8", "6", "4", "2", "0"]
        assert (await db.repository("t").find(a="x").explain()).index == "a"


async def test_a_repository_made_before_goes_by_the_altered_table() -> None:
    async with ddao.connect("memory://") as db:
        await db.create_tables(ddao.Schema.of(ddao.Table("t", [ddao.Column("a", "text")])))
        objects = db.repository("t")
        await objects.insert(ddao.Object("t", "1", {"a": "x"}))
        await db.alter_table("t", ddao.Column("n", "integer", nullable=True))

        with pytest.raises(ddao.ValidationError, match=r"t\.n"):
            await objects.insert(ddao.Object("t", "2", {"a": "x", "n": "five"}))
        with pytest.raises(ddao.ValidationError, match=r"t\.n"):
            await db.insert(ddao.Object("t", "2", {"a": "x", "n": "five"}))


async def test_a_unique_column_over_duplicates_is_refused_and_lists_them() -> None:
    async with ddao.connect("memory://") as db:
        await db.create_tables(ddao.Schema.of(ddao.Table("t", [ddao.Column("a", "text")])))
        for n in range(3):
            await db.insert(ddao.Object("t", str(n), {"a": "same"}))
        with pytest.raises(ddao.SchemaError, match="a"):
            await db.alter_table("t", ddao.Column("a", "text", unique=True))


async def test_altering_what_is_not_there_is_an_error() -> None:
    async with ddao.connect("memory://") as db:
        with pytest.raises(ddao.SchemaError, match="create_tables"):
            await db.alter_table("t", ddao.Column("a", "text"))


async def test_a_declared_index_that_a_table_with_data_lacks_is_said_in_the_log(
    store: CountingStore, caplog: pytest.LogCaptureFixture
) -> None:
    bare = ddao.Table("t", [ddao.Column("a", "text")])
    async with ddao.Database(store) as db:
        await db.create_tables(ddao.Schema.of(bare))
        await db.insert(ddao.Object("t", "1", {"a": "x"}))
    with caplog.at_level(logging.WARNING, "ddao_async.tables"):
        async with ddao.Database(store) as db:
            await db.create_tables(ddao.Schema.of(ddao.Table("t", [ddao.Column("a", "text", index=True)])))
            assert [obj.id async for obj in db.repository("t").find(a="x")] == ["1"]

    assert ["ddao-async reindex t" in record.message for record in caplog.records] == [True]
