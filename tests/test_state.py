"""Copies of `_state.json`: how old they may be, who creates it, and what starts over when it changes."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from bucket import AGE, ENFORCED, INDEXED, PLAIN, Bucket, Client, becomes, fields

from ddao_async.documents import Documents
from ddao_async.engine import Engine, Settings
from ddao_async.errors import CorruptDocumentError, UnknownOutcomeError
from ddao_async.lookup import IndexUnusableError
from ddao_async.state import IndexState, TableLayout, TableState
from ddao_async.testing import FaultyStore
from ddao_async.testing.fault import ANSWER, Answer, Lost

KEY = "tables/users/_state.json"
BUILDING = IndexState("building", "b1", ("age",), ("integer",))
COMPLETE = IndexState("complete", "b1", ("age",), ("integer",))


def with_index(index: IndexState) -> Any:
    return lambda state: msgspec.structs.replace(state, indexes=state.indexes | {"age": index})


def without(state: TableState) -> TableState:
    return msgspec.structs.replace(state, indexes={})


async def entries(client: Client) -> list[str]:
    return [entry.id async for entry in client.documents.entries("age")]


async def test_an_empty_table_starts_with_its_indexes_complete():
    bucket = Bucket()
    await bucket.client(INDEXED).documents.insert("a", fields(age=1))
    state = await bucket.json(KEY)

    assert {name: (i["state"], i["columns"], i["types"]) for name, i in state["indexes"].items()} == {
        "age": ("complete", ["age"], ["integer"]),
        "email": ("complete", ["email"], ["text"]),
    }
    assert (state["indexes"]["email"]["unique"], state["transactions"]) == (True, True)


async def test_a_table_that_holds_documents_starts_without_indexes():
    bucket = Bucket()
    await bucket.put("tables/users/objects/go.json", {"id": "go", "fields": {"age": 1}})
    client = bucket.client(INDEXED)
    await client.documents.insert("a", fields(age=1, email="x"))

    assert (await bucket.json(KEY))["indexes"] == {}
    assert await client.documents.is_usable("age") is False
    with pytest.raises(IndexUnusableError):
        await entries(client)


async def test_two_clients_create_one_state():
    bucket = Bucket()
    clients = [bucket.client(INDEXED, name=f"c{number}x") for number in range(2)]
    copies = await asyncio.gather(*(client.engine.states.copy(INDEXED) for client in clients))

    assert copies[0].state == copies[1].state


async def test_a_reader_creates_no_state():
    bucket = Bucket()
    client = bucket.client(INDEXED)

    assert await client.documents.is_usable("age") is False
    assert await bucket.keys() == []


@pytest.mark.parametrize("fates", [(ANSWER, ANSWER, Lost(applied=True)), (ANSWER, ANSWER, Lost())])
async def test_a_state_created_without_an_answer_is_settled(fates: tuple[Any, ...]):
    bucket = Bucket()
    client = bucket.client(INDEXED)
    client.fail(*fates)

    copy = await client.engine.states.copy(INDEXED)

    assert (await bucket.json(KEY))["nonce"] == copy.state.nonce


async def test_many_tasks_fetch_one_copy():
    client = Bucket().client(INDEXED)
    await asyncio.gather(*(client.documents.insert(f"k{number}", fields(age=1)) for number in range(20)))

    assert client.requests.count("GET _state") == 1


def real(bucket: Bucket, deadline: float) -> Client:
    """A client of a store with this deadline."""
    client = bucket.client(INDEXED)
    client.engine.deadline = deadline
    return client


@pytest.mark.parametrize(
    ("deadline", "age", "young", "remaining", "fetches"),
    [
        (0.0, 59.0, True, None, 0),
        (0.0, 61.0, False, -1.0, 1),
        (30.0, 29.0, True, None, 0),
        (30.0, 31.0, False, 29.0, 0),
        (30.0, 49.0, False, 11.0, 0),
        (30.0, 51.0, False, 9.0, 1),
    ],
)
async def test_a_copy_is_gone_by_for_sixty_seconds_repetitions_included(
    deadline: float, age: float, young: bool, remaining: float | None, fetches: int
):
    bucket = Bucket()
    client = real(bucket, deadline)
    copy = await client.engine.states.copy(INDEXED)
    client.store.reset()
    bucket.clock.advance(age)

    assert (client.engine.states.young("users") is not None) is young
    assert client.engine.states.remaining(copy) == remaining
    await client.engine.states.copy(INDEXED)
    assert len(client.requests) == fetches


async def test_the_age_of_a_copy_counts_from_before_its_get():
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()

    async def slow(attempt: Any) -> Answer:
        bucket.clock.advance(40.0)
        return ANSWER

    client.engine.states.forget("users")
    client.faulty._faults = slow
    await client.engine.states.copy(INDEXED)
    client.store.reset()
    client.faulty._faults = slow
    bucket.clock.advance(21.0)
    await client.engine.states.copy(INDEXED)

    assert client.requests == ["GET _state"]


async def test_a_call_is_cut_off_before_its_copy_grows_too_old():
    """A request that hangs in the store beyond the copy's time is a write without an answer."""
    bucket, hung = Bucket(), []

    class Hanging:
        clock, deadline, capabilities = bucket.clock, 30.0, ENFORCED

        def __getattr__(self, name: str) -> Any:
            return getattr(bucket.memory, name)

        async def put(self, key: str, data: bytes, **conditions: Any) -> Any:
            if "objects/" in key and not hung:
                hung.append(key)
                await asyncio.sleep(60)
            return await bucket.memory.put(key, data, **conditions)

    engine = Engine(
        Hanging(),  # type: ignore[arg-type]
        settings=Settings(copy_age=30.2, copy_reserve=0.1, slack=0.0),
        monotonic=bucket.clock,
    )
    documents = Documents(PLAIN, engine=engine)
    await engine.states.copy(PLAIN)
    bucket.clock.advance(30.1)

    with pytest.raises(UnknownOutcomeError):
        await documents.insert("a", b"{}")


async def test_a_write_starts_over_when_an_index_appears():
    """The state changes while the writer sleeps between its first look and its document."""
    bucket = Bucket()
    table = TableLayout("users")
    client, builder = await bucket.client(table).ready(), bucket.client(table, name="b")

    async def sleepy(attempt: Any) -> Answer:
        if attempt.operation == "get" and "objects/" in attempt.key and not client.store.requests[1:]:
            await builder.engine.states.change(table, with_index(BUILDING))
            bucket.clock.advance(61.0)
        return ANSWER

    await builder.documents.insert("a", fields(age=1))
    client.faulty._faults = sleepy
    client.store.reset()
    await client.documents.update("a", becomes(age=2))

    assert client.requests == ["GET a", "GET _state", "PUT entry", "PUT a"]
    assert list((await bucket.body("a", "users"))["tags"]) == ["age"]


@pytest.mark.parametrize(
    ("before", "after", "starts_over"),
    [(BUILDING, COMPLETE, False), (COMPLETE, msgspec.structs.replace(COMPLETE, build="b2"), True)],
)
async def test_an_attempt_depends_on_builds_not_on_states(before: IndexState, after: IndexState, starts_over: bool):
    bucket = Bucket()
    table = TableLayout("users")
    client, builder = bucket.client(table), bucket.client(table, name="b")
    await builder.engine.states.change(table, with_index(before))
    await client.ready()

    async def sleepy(attempt: Any) -> Answer:
        if "_indexes" in attempt.key and attempt.operation == "put" and client.requests.count("PUT entry") == 1:
            await builder.engine.states.change(table, with_index(after))
            bucket.clock.advance(61.0)
        return ANSWER

    client.faulty._faults = sleepy
    await client.documents.insert("a", fields(age=1))

    assert client.requests.count("PUT entry") == (2 if starts_over else 1)
    assert len(await bucket.keys("tables/users/_indexes/")) == 1


async def test_a_lost_write_is_not_started_over_under_a_new_index():
    bucket = Bucket()
    table = TableLayout("users")
    client, builder = bucket.client(table), bucket.client(table, name="b")
    await client.documents.insert("a", fields(age=1))

    async def lost(attempt: Any) -> Any:
        if "objects/" in attempt.key and attempt.operation == "put":
            await builder.engine.states.change(table, with_index(BUILDING))
            bucket.clock.advance(61.0)
            return Lost(twin=True)
        return ANSWER

    client.faulty._faults = lost
    with pytest.raises(UnknownOutcomeError):
        await client.documents.update("a", becomes(age=2))


async def test_a_dropped_index_takes_its_tags_along():
    bucket = Bucket()
    client = bucket.client(TableLayout("users", (AGE,)))
    await client.documents.insert("a", fields(age=1))
    await client.engine.states.change(client.table, without)

    await client.documents.update("a", becomes(n=1))

    assert "tags" not in await bucket.body("a", "users")


async def test_a_changed_state_has_a_new_nonce_and_is_used_at_once():
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()
    before = await bucket.json(KEY)

    await client.engine.states.change(INDEXED, lambda state: state)
    after = await bucket.json(KEY)
    copy = await client.engine.states.copy(INDEXED)

    assert (before["nonce"] != after["nonce"], copy.state.nonce) == (True, after["nonce"])
    assert await client.engine.states.change(INDEXED, lambda _: None) is None


async def test_a_change_beside_another_is_made_again():
    bucket = Bucket()
    clients = [bucket.client(INDEXED, name=f"c{number}x") for number in range(4)]
    await clients[0].ready()

    async def add(number: int, client: Client) -> None:
        index = {f"i{number}": BUILDING}
        await client.engine.states.change(
            INDEXED, lambda state: msgspec.structs.replace(state, indexes=state.indexes | index)
        )

    await asyncio.gather(*(add(number, client) for number, client in enumerate(clients)))

    assert set((await bucket.json(KEY))["indexes"]) == {"age", "email", "i0", "i1", "i2", "i3"}


@pytest.mark.parametrize("fate", [Lost(applied=True), Lost()])
async def test_a_change_without_an_answer_is_settled(fate: Lost):
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()
    client.fail(ANSWER, fate)
    seen: list[TableState] = []

    def change(state: TableState) -> TableState:
        seen.append(state)
        return without(state)

    await client.engine.states.change(INDEXED, change)

    assert len(seen) == 1
    assert (await bucket.json(KEY))["indexes"] == {}


async def test_a_list_is_given_up_when_its_index_goes():
    bucket = Bucket()
    client = bucket.client(INDEXED)
    for number in range(6):
        await client.documents.insert(f"d{number}", fields(age=number))
    reading = client.documents.entries("age", page_size=2)
    first = await anext(reading)
    await client.engine.states.change(INDEXED, without)

    with pytest.raises(IndexUnusableError):
        _ = [entry async for entry in reading]
    assert first.id == "d0"


async def test_a_state_that_is_none_is_named():
    bucket = Bucket()
    await bucket.memory.put(KEY, b"[]")

    with pytest.raises(CorruptDocumentError, match="_state"):
        await bucket.client(INDEXED).documents.insert("a", b"{}")


def test_the_wait_before_an_index_may_be_relied_on_is_the_stores():
    bucket = Bucket()
    remote = FaultyStore(bucket.memory, lambda _: None, grace=900.0)  # type: ignore[arg-type, return-value]

    assert (Engine(remote).quiet_time, Engine(bucket.memory).quiet_time) == (17 * 60.0, 6.0)
