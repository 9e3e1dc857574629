"""Transactions: all or nothing, requests as counted by protocol.md, and every lost answer on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bucket import ENFORCED, INDEXED, NO_CONDITIONS, NO_DELETE, PLAIN, Bucket, Client, adds, becomes, fields, values

from ddao_async.engine import Settings
from ddao_async.errors import (
    AlreadyExistsError,
    ClosedError,
    ConflictError,
    NotFoundError,
    StoreUnavailableError,
    TransactionConflictError,
    UniqueViolationError,
    UnknownOutcomeError,
    UnsupportedError,
    ValidationError,
)
from ddao_async.model.index import encode_value
from ddao_async.settle import settled
from ddao_async.state import TableLayout
from ddao_async.testing.fault import ANSWER, Attempt, Crash, Crashed, Failed, Fate, Lost
from ddao_async.transaction import Transaction, TransactionDocuments, again

IMPATIENT = Settings(repeat_for=0.0)
DOWN = Failed(StoreUnavailableError("down"))
X = encode_value("text", "x")

Work = Callable[[TransactionDocuments], Awaitable[Any]]


async def seeded(table: TableLayout = PLAIN, **options: Any) -> Client:
    """A client of a bucket with the documents a to e, each with n=0."""
    client = Bucket().client(table, **options)
    for doc in "abcde":
        await client.documents.insert(doc, fields(n=0))
    client.store.reset()
    return client


async def commit(client: Client, work: Work) -> Transaction:
    async with Transaction(client.engine) as tx:
        await work(tx.documents(client.table))
    return tx


def writes(written: str, read: str = "") -> Work:
    """Read all, add one to `n` of the written."""

    async def work(documents: TransactionDocuments) -> None:
        for doc in written + read:
            await documents.get(doc)
        for doc in written:
            await documents.update(doc, adds(1))

    return work


async def numbers(client: Client) -> dict[str, int]:
    client.fail()
    found = {doc: values(await client.documents.get(doc)) for doc in "abcde"}
    return {doc: value["n"] for doc, value in found.items() if value}


def failing_at(kind: str, *fates: Fate, operation: str = "put", skip: int = 0) -> Callable[[Attempt], Awaitable[Fate]]:
    """The next fates of requests to keys that contain this."""
    left = [ANSWER] * skip + list(fates)

    async def faults(attempt: Attempt) -> Fate:
        if kind in attempt.key and attempt.operation == operation and left:
            return left.pop(0)
        return ANSWER

    return faults


# Requests


@pytest.mark.parametrize(
    ("written", "read", "expected"),
    [
        ("b", "c", 2 + 2 + 1 + 2),
        ("bc", "", 2 + 4 + 2),
        ("bc", "ae", 4 + 4 + 2 + 2),
        ("b", "", 2),
        ("", "b", 1),
        ("", "abc", 6),
    ],
)
async def test_a_commit_makes_2n_plus_r_plus_2_requests(written: str, read: str, expected: int):
    client = await seeded()

    await commit(client, writes(written, read))

    assert len(client.requests) == expected, client.requests


async def test_the_steps_of_a_commit_come_in_their_order():
    client = await seeded()

    await commit(client, writes("ca", "e"))

    assert client.requests == [
        *("GET c", "GET a", "GET e"),
        *("PUT a", "PUT c"),
        "GET e",
        "PUT decision",
        *("PUT a", "PUT c"),
        "DELETE decision",
    ]


async def test_changed_columns_cost_two_requests_each():
    client = Bucket().client(INDEXED)
    for doc in "ab":
        await client.documents.insert(doc, fields(age=1, email=doc))
    client.store.reset()

    async def work(documents: TransactionDocuments) -> None:
        await documents.update("a", becomes(age=2, email="z"))
        await documents.update("b", becomes(n=1))

    await commit(client, work)

    assert len(client.requests) == 2 + 2 * 2 + 2 + 2 * 2
    assert client.requests[2:4] == ["PUT entry", "PUT claim"]


async def test_meeting_an_intent_costs_a_reader_one_request_or_two():
    client = await crashed("_transactions", Crash(applied=True))
    undecided = await crashed("_transactions", Crash())

    assert values(await client.documents.get("a")) == {"n": 1}
    assert client.requests == ["GET a", "GET decision"]
    assert values(await undecided.documents.get("a")) == {"n": 0}
    assert undecided.requests == ["GET a", "GET decision", "GET a"]


async def crashed(kind: str, fate: Crash, *, skip: int = 0, operation: str = "put") -> Client:
    """A fresh client beside one that died at this request of a commit that adds 1 to a and b."""
    dead = await seeded()
    dead.faulty._faults = failing_at(kind, fate, skip=skip, operation=operation)
    with pytest.raises(Crashed):
        await commit(dead, writes("ab"))
    return await dead.bucket.client(name="z").ready()


# What a transaction sees


async def test_a_transaction_reads_its_own_writes_and_nobody_else_does():
    client = await seeded()
    tx = Transaction(client.engine)
    documents = tx.documents(PLAIN)

    await documents.update("a", adds(1))
    await documents.insert("k", fields(n=7))
    await documents.delete("b")

    assert [values(await documents.get(doc)) for doc in "akb"] == [{"n": 1}, {"n": 7}, None]
    assert [values(await client.documents.get(doc)) for doc in "akb"] == [{"n": 0}, None, {"n": 0}]
    await tx.commit()
    assert [values(await client.documents.get(doc)) for doc in "akb"] == [{"n": 1}, {"n": 7}, None]
    assert tx.status == "committed"


async def test_a_transaction_refuses_what_documents_refuse():
    client = await seeded()
    documents = Transaction(client.engine).documents(PLAIN)

    with pytest.raises(AlreadyExistsError):
        await documents.insert("a", b"{}")
    with pytest.raises(NotFoundError):
        await documents.update("k", adds(1))
    with pytest.raises(ConflictError):
        await documents.update("a", adds(1), version="other")
    assert await documents.delete("k") is False
    assert [await documents.upsert("a", lambda _: b"{}"), await documents.upsert("k", lambda _: b"{}")] == [False, True]


async def test_a_document_deleted_and_inserted_again_is_new():
    client = await seeded()
    before = await client.documents.get("a")
    client.bucket.clock.advance(5)

    async def work(documents: TransactionDocuments) -> None:
        await documents.delete("a")
        await documents.insert("a", fields(n=9))

    await commit(client, work)
    after = await client.documents.get("a")

    assert (after.created_at > before.created_at, after.past) == (True, (before.revision,))


async def test_an_exception_rolls_back():
    client = await seeded()

    with pytest.raises(ZeroDivisionError):
        await commit(client, lambda documents: _update_then_fail(documents))

    assert await numbers(client) == dict.fromkeys("abcde", 0)
    assert not any(request.startswith("PUT") for request in client.requests)


async def _update_then_fail(documents: TransactionDocuments) -> None:
    await documents.update("a", adds(1))
    raise ZeroDivisionError


async def test_an_ended_transaction_is_closed_and_none_is_nested():
    client = await seeded()
    tx = await commit(client, writes("a"))

    with pytest.raises(ClosedError):
        await tx.documents(PLAIN).get("a")
    with pytest.raises(ClosedError):
        await tx.commit()
    with pytest.raises(UnsupportedError, match="nested"):
        async with tx:
            pass


async def test_a_transaction_is_bounded():
    client = await seeded(settings=Settings(max_transaction_keys=2))
    documents = Transaction(client.engine).documents(PLAIN)
    await documents.get("a")
    await documents.get("b")
    await documents.get("a")

    with pytest.raises(ValidationError, match="2 documents"):
        await documents.get("c")


async def test_a_table_without_transactions_refuses_them():
    client = Bucket().client(TableLayout("notes", transactions=False))

    with pytest.raises(UnsupportedError, match="transactions=False"):
        await Transaction(client.engine).documents(client.table).get("a")


async def test_a_server_without_conditions_refuses_them():
    client = Bucket().client(capabilities=NO_CONDITIONS)

    with pytest.raises(UnsupportedError, match="transaction"):
        await Transaction(client.engine).documents(PLAIN).get("a")


# Conflicts


@pytest.mark.parametrize(("written", "read"), [("ab", ""), ("a", "b"), ("", "ab"), ("b", "")])
async def test_a_write_between_aborts_and_says_what_changed(written: str, read: str):
    client = await seeded()
    other = client.bucket.client(name="o")

    async def work(documents: TransactionDocuments) -> None:
        await writes(written, read)(documents)
        await other.documents.update("b", adds(10))

    with pytest.raises(TransactionConflictError, match="'b'") as conflict:
        await commit(client, work)

    assert (conflict.value.status, conflict.value.retryable) == ("aborted", True)
    assert await numbers(client) == {"a": 0, "b": 10, "c": 0, "d": 0, "e": 0}
    assert await client.bucket.keys("_transactions/") == []


async def test_an_insert_of_a_key_read_as_missing_aborts():
    client = await seeded()
    other = client.bucket.client(name="o")

    async def work(documents: TransactionDocuments) -> None:
        await documents.get("k")
        await documents.update("a", adds(1))
        await other.documents.insert("k", fields(n=1))

    with pytest.raises(TransactionConflictError):
        await commit(client, work)


async def test_a_second_missing_key_that_came_and_went_aborts_or_is_locked():
    """Two missing keys, one of which exists whenever the other does not."""
    client = await seeded()

    await commit(client, lambda documents: _get_all(documents, "kl"))

    assert client.requests == [
        *("GET k", "GET l"),
        "PUT l",
        "GET k",
        "PUT decision",
        "DELETE l",
        "DELETE decision",
    ]


async def _get_all(documents: TransactionDocuments, ids: str) -> None:
    for doc in ids:
        await documents.get(doc)


async def test_an_aborted_insert_leaves_its_key_missing():
    client = await seeded()
    other = client.bucket.client(name="o")

    async def work(documents: TransactionDocuments) -> None:
        await documents.insert("k", fields(n=1))
        await documents.get("a")
        await other.documents.update("a", adds(1))

    with pytest.raises(TransactionConflictError):
        await commit(client, work)

    assert await client.bucket.body("k") is None


async def test_rolling_back_does_not_bring_old_bytes_back():
    client = await seeded()
    other = client.bucket.client(name="o")
    before = await client.documents.read("a")

    async def work(documents: TransactionDocuments) -> None:
        await documents.update("a", adds(1))
        await documents.get("b")
        await other.documents.update("b", adds(1))

    with pytest.raises(TransactionConflictError):
        await commit(client, work)
    after = await client.documents.read("a")

    assert (after.document.revision, after.version != before.version) == (before.document.revision, True)
    assert after.document.fence is not None


async def test_again_runs_until_it_meets_nobody():
    clients = [await seeded()]
    clients += [clients[0].bucket.client(name=f"c{number}x") for number in range(4)]

    async def ten(client: Client) -> None:
        for _ in range(10):
            await again(client.engine, lambda: commit(client, writes("ab")))

    await asyncio.gather(*map(ten, clients))

    assert await numbers(clients[0]) == {"a": 50, "b": 50, "c": 0, "d": 0, "e": 0}
    assert await clients[0].bucket.keys("_transactions/") == []


async def test_again_gives_up_after_its_time_and_on_other_errors():
    client = await seeded(settings=Settings(retry_for=1.0))
    began, calls = client.bucket.clock(), 0

    async def meets() -> None:
        nonlocal calls
        calls += 1
        raise TransactionConflictError("met")

    async def violates() -> None:
        raise UniqueViolationError("taken")

    with pytest.raises(TransactionConflictError):
        await again(client.engine, meets)
    assert calls > 3
    assert 1.0 <= client.bucket.clock() - began < 3.0
    with pytest.raises(UniqueViolationError):
        await again(client.engine, violates, on=ConflictError)


# Unique columns


async def test_a_taken_value_aborts_and_leaves_nothing():
    client = Bucket().client(INDEXED)
    await client.documents.insert("a", fields(email="x"))
    before = await client.bucket.keys()

    async def work(documents: TransactionDocuments) -> None:
        await documents.insert("b", fields(email="y"))
        await documents.insert("c", fields(email="x"))

    with pytest.raises(UniqueViolationError):
        await commit(client, work)

    assert await client.bucket.keys() == before


async def test_a_live_value_is_not_handed_over_within_a_transaction():
    client = Bucket().client(INDEXED)
    await client.documents.insert("a", fields(email="x"))

    async def work(documents: TransactionDocuments) -> None:
        await documents.delete("a")
        await documents.insert("b", fields(email="x"))

    with pytest.raises(UniqueViolationError):
        await commit(client, work)


async def test_two_documents_of_a_transaction_do_not_share_a_value():
    client = Bucket().client(INDEXED)

    async def work(documents: TransactionDocuments) -> None:
        await documents.insert("a", fields(email="x"))
        await documents.insert("b", fields(email="x"))

    with pytest.raises(UniqueViolationError, match="Two documents"):
        await commit(client, work)


async def test_values_of_a_committed_transaction_are_found():
    client = Bucket().client(INDEXED)

    async def work(documents: TransactionDocuments) -> None:
        await documents.insert("a", fields(email="x", age=1))
        await documents.insert("b", fields(email="y", age=1))

    await commit(client, work)

    assert await client.documents.claimed("email", X) == "a"
    assert [entry.id async for entry in client.documents.entries("age")] == ["a", "b"]


# Lost answers and crashes


async def test_a_decision_that_landed_without_an_answer_is_a_commit():
    client = await seeded()
    client.faulty._faults = failing_at("_transactions", Lost(applied=True))

    await commit(client, writes("ab"))

    assert await numbers(client) == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0}


async def test_a_decision_that_did_not_land_is_sent_again():
    client = await seeded()
    client.faulty._faults = failing_at("_transactions", Lost(), Lost(), DOWN)

    await commit(client, writes("ab"))

    assert client.requests.count("PUT decision") == 4
    assert await numbers(client) == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0}


async def test_a_decision_never_answered_is_unknown_and_never_aborted_by_its_owner():
    client = await seeded(settings=IMPATIENT)
    client.faulty._faults = failing_at("_transactions", Lost(twin=True))
    tx = Transaction(client.engine)
    await writes("ab")(tx.documents(PLAIN))

    with pytest.raises(UnknownOutcomeError):
        await tx.commit()
    undecided = await client.bucket.keys("_transactions/")
    await client.faulty.land()

    assert (tx.status, undecided) == ("undecided", [])
    assert await numbers(client) == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0}


async def test_an_aborted_decision_stays_after_a_lost_answer():
    """The twin of its `committed` could follow."""
    client = await seeded()
    other = client.bucket.client(name="o", settings=Settings(intent_lease=0.0))

    async def overtaken(attempt: Attempt) -> Fate:
        if "_transactions" in attempt.key and attempt.operation == "put" and not attempt.key.endswith("done"):
            client.faulty._faults = failing_at("none")
            await settled(other.engine, PLAIN, "a")
            return Lost(twin=True)
        return ANSWER

    client.faulty._faults = overtaken
    with pytest.raises(TransactionConflictError):
        await commit(client, writes("ab"))
    kept = await client.bucket.keys("_transactions/")
    landed = await client.faulty.land()

    assert (len(kept), landed) == (1, False)
    assert await numbers(client) == dict.fromkeys("abcde", 0)


async def test_a_commit_that_is_cancelled_is_undecided_and_settled_by_others():
    client = await seeded()
    tx = Transaction(client.engine)
    await writes("ab")(tx.documents(PLAIN))

    async def cancelled(attempt: Attempt) -> Fate:
        if "_transactions" in attempt.key:
            committing.cancel()
            await asyncio.sleep(0)
        return ANSWER

    client.faulty._faults = cancelled
    committing = asyncio.create_task(tx.commit())
    with pytest.raises(asyncio.CancelledError):
        await committing
    with pytest.raises(ClosedError):
        await tx.commit()
    client.fail()
    await client.documents.update("a", adds(10))

    assert tx.status == "undecided"
    assert await numbers(client) == {"a": 10, "b": 0, "c": 0, "d": 0, "e": 0}


async def test_a_create_prewrite_without_an_answer_aborts():
    client = await seeded()
    client.faulty._faults = failing_at("objects/k", Lost(twin=True))

    async def work(documents: TransactionDocuments) -> None:
        await documents.insert("k", fields(n=1))
        await documents.update("a", adds(1))

    with pytest.raises(TransactionConflictError):
        await commit(client, work)
    await client.faulty.land()

    assert await client.documents.get("k") is None
    assert len(await client.bucket.keys("_transactions/")) == 1


async def test_a_prewrite_that_landed_without_an_answer_goes_on():
    client = await seeded()
    client.faulty._faults = failing_at("objects/a", Lost(applied=True))

    await commit(client, writes("ab"))

    assert await numbers(client) == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0}


@pytest.mark.parametrize("fate", [DOWN, Lost(), Lost(applied=True)])
async def test_a_failure_while_rolling_forward_does_not_fail_the_commit(fate: Fate):
    client = await seeded(settings=IMPATIENT)
    client.faulty._faults = failing_at("objects/a", fate, skip=1)

    await commit(client, writes("ab"))
    kept = await client.bucket.keys("_transactions/")

    assert len(kept) == (0 if fate == Lost(applied=True) and not kept else 1)
    assert await numbers(client) == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0}


async def test_a_store_that_fails_before_the_decision_means_not_done():
    client = await seeded()
    client.faulty._faults = failing_at("objects/b", DOWN)

    with pytest.raises(StoreUnavailableError):
        await commit(client, writes("ab"))

    assert await numbers(client) == dict.fromkeys("abcde", 0)


@pytest.mark.parametrize(
    ("kind", "fate", "skip", "expected"),
    [
        ("objects/a", Crash(applied=True), 0, 0),
        ("objects/b", Crash(applied=True), 0, 0),
        ("_transactions", Crash(), 0, 0),
        ("_transactions", Crash(applied=True), 0, 1),
        ("objects/a", Crash(), 1, 1),
        ("objects/b", Crash(applied=True), 1, 1),
    ],
)
async def test_whoever_comes_next_finishes_a_crashed_transaction(kind: str, fate: Crash, skip: int, expected: int):
    client = await crashed(kind, fate, skip=skip)

    for doc in "ab":
        await client.documents.update(doc, adds(10))

    assert await numbers(client) == {"a": 10 + expected, "b": 10 + expected, "c": 0, "d": 0, "e": 0}
    for doc in "ab":
        assert "intent" not in await client.bucket.body(doc)


async def test_an_undecided_transaction_is_waited_for():
    client = await crashed("_transactions", Crash())
    began = client.bucket.clock()

    await client.documents.update("a", adds(1))

    assert 10.0 <= client.bucket.clock() - began < 13.0


async def test_a_crashed_delete_is_rolled_forward():
    for capabilities, operation, skip in ((ENFORCED, "delete", 0), (NO_DELETE, "put", 1)):
        dead = await seeded(capabilities=capabilities)
        dead.faulty._faults = failing_at("objects/a", Crash(), operation=operation, skip=skip)
        with pytest.raises(Crashed):
            await commit(dead, _delete_both)
        client = dead.bucket.client(name="z", capabilities=capabilities)

        assert [await client.documents.get(doc) for doc in "ab"] == [None, None]
        assert await client.documents.insert("a", fields(n=5))


async def _delete_both(documents: TransactionDocuments) -> None:
    await documents.update("b", adds(1))
    await documents.delete("a")
    await documents.delete("b")


async def test_a_reader_stalled_at_an_intent_is_not_misled_by_a_late_aborted():
    """The decision went only after its intents: a second look at the document tells."""
    client = await seeded()
    reader = client.bucket.client(name="r")

    async def stalled(attempt: Attempt) -> Fate:
        if "_transactions" in attempt.key and attempt.operation == "get":
            await committing
            await client.bucket.put(attempt.key, {"state": "aborted"})
        return ANSWER

    async def until_decided(attempt: Attempt) -> Fate:
        if "_transactions" in attempt.key and attempt.operation == "put":
            reading.append(asyncio.create_task(reader.documents.get("a")))
            for _ in range(20):
                await asyncio.sleep(0)
        return ANSWER

    reading: list[asyncio.Task[Any]] = []
    reader.faulty._faults, client.faulty._faults = stalled, until_decided
    committing = asyncio.create_task(commit(client, writes("ab")))
    await committing

    assert values(await reading[0]) == {"n": 1}


async def test_a_transaction_older_than_an_hour_is_not_committed():
    client = await seeded()

    async def work(documents: TransactionDocuments) -> None:
        await writes("ab")(documents)
        client.bucket.clock.advance(3601)

    with pytest.raises(TransactionConflictError):
        await commit(client, work)

    assert await numbers(client) == dict.fromkeys("abcde", 0)
