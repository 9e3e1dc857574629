"""Unique values: who gets one, whom a takeover stops, and what a delete leaves (protocol.md, sections 3 and 8)."""

from __future__ import annotations

from typing import Any

import pytest
from bucket import INDEXED, NO_CONDITIONS, NO_DELETE, Bucket, becomes, fields, values

from ddao_async.errors import CorruptDocumentError, UniqueViolationError, UnknownOutcomeError, UnsupportedError
from ddao_async.model.index import encode_value
from ddao_async.testing.fault import Answer, Crash, Crashed, Lost

X = f"tables/users/_uniques/email/{encode_value('text', 'x')}.json"


async def crashed(bucket: Bucket, id: str, requests: int, **values: Any) -> None:
    """A client that dies at the request with this number of an insert."""
    client = await bucket.client(INDEXED, name="dead").ready()
    client.fail(*[Answer()] * requests, Crash())
    with pytest.raises(Crashed):
        await client.documents.insert(id, fields(**values))


async def test_a_live_claim_is_a_violation_and_leaves_nothing():
    bucket = Bucket()
    client = bucket.client(INDEXED)
    await client.documents.insert("a", fields(age=1, email="x"))
    before = await bucket.keys()

    with pytest.raises(UniqueViolationError, match="'a'"):
        await client.documents.insert("b", fields(age=2, email="x"))

    assert await bucket.keys() == before


async def test_a_value_is_free_again_after_a_delete_or_an_update():
    client = Bucket().client(INDEXED)
    await client.documents.insert("a", fields(email="x"))
    await client.documents.update("a", becomes(email="y"))
    await client.documents.insert("b", fields(email="x"))
    await client.documents.delete("b")
    await client.documents.insert("c", fields(email="x"))

    assert await client.documents.claimed("email", encode_value("text", "x")) == "c"


async def test_a_dead_claim_is_taken_and_its_owner_fenced():
    bucket = Bucket()
    await crashed(bucket, "dead", 2, age=1, email="x")
    client = bucket.client(INDEXED)

    await client.documents.insert("a", fields(email="x"))
    fence = await bucket.body("dead", "users")

    assert (await bucket.json(X))["id"] == "a"
    assert (fence["absent"], "fence" in fence) == (True, True)


async def test_a_fenced_owner_that_goes_on_loses():
    """The owner sleeps between its claim and its document; by then the value is taken."""
    bucket = Bucket()
    owner, other = await bucket.client(INDEXED, name="o").ready(), bucket.client(INDEXED)

    async def overtaken(attempt: Any) -> Answer:
        if attempt.key.endswith("objects/slow.json") and attempt.operation == "put":
            await other.documents.insert("a", fields(email="x"))
        return Answer()

    owner.faulty._faults = overtaken

    with pytest.raises(UniqueViolationError):
        await owner.documents.insert("slow", fields(email="x"))

    assert values(await other.documents.get("a")) == {"email": "x"}
    assert await other.documents.get("slow") is None


async def test_a_dead_claim_of_the_same_id_is_fenced_too():
    bucket = Bucket()
    await crashed(bucket, "a", 2, age=1, email="x")
    client = bucket.client(INDEXED)

    written = await client.documents.insert("a", fields(email="x"))

    assert written.fence is not None
    assert values(await client.documents.get("a")) == {"email": "x"}


async def test_a_fence_stays_until_vacuum():
    bucket = Bucket()
    await crashed(bucket, "a", 2, age=1, email="x")
    client = bucket.client(INDEXED)
    fence = (await client.documents.insert("a", fields(email="x"))).fence

    updated = await client.documents.update("a", becomes(n=1))
    await client.documents.delete("a")
    body = await bucket.body("a", "users")

    assert updated.fence == fence
    assert (body["absent"], body["past"][0], "fence" in body) == (True, updated.revision, True)


async def test_an_insert_over_absent_keeps_its_chain():
    bucket = Bucket()
    client = bucket.client(INDEXED, capabilities=NO_DELETE)
    first = await client.documents.insert("a", fields(n=1))
    await client.documents.delete("a")
    gone = await bucket.body("a", "users")

    second = await client.documents.insert("a", fields(n=2))

    assert second.past == (gone["revision"], first.revision)
    assert second.created_at == second.updated_at


async def test_a_claim_is_released_only_while_it_is_ones_own():
    """The owner's release comes after the value has been taken by somebody else."""
    bucket = Bucket()
    client, other = bucket.client(INDEXED), bucket.client(INDEXED, name="o")
    await client.documents.insert("a", fields(email="x"))

    async def overtaken(attempt: Any) -> Answer:
        if attempt.key == X and attempt.operation == "delete":
            await other.documents.insert("b", fields(email="x"))
        return Answer()

    client.faulty._faults = overtaken
    await client.documents.delete("a")

    assert (await bucket.json(X))["id"] == "b"


async def test_a_released_claim_without_conditional_delete_is_free_to_take():
    bucket = Bucket()
    client = bucket.client(INDEXED, capabilities=NO_DELETE)
    await client.documents.insert("a", fields(email="x"))
    await client.documents.delete("a")
    released = await bucket.json(X)
    client.store.reset()

    await client.documents.insert("b", fields(email="x"))

    assert released["id"] is None
    assert client.requests == ["PUT entry", "PUT claim", "GET claim", "PUT claim", "PUT b"]


async def test_no_claim_is_deleted_after_an_unknown_outcome():
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()
    client.fail(Answer(), Answer(), Lost())

    with pytest.raises(UnknownOutcomeError):
        await client.documents.insert("a", fields(age=1, email="x"))

    assert len(await bucket.keys("tables/users/_uniques/")) == 1
    assert len(await bucket.keys("tables/users/_indexes/")) == 1


async def test_a_dying_claim_is_waited_for_until_its_delete_can_no_longer_land():
    bucket = Bucket()
    client = await bucket.client(INDEXED, capabilities=NO_DELETE).ready()
    await bucket.put(X, {"id": None, "nonce": "v", "dying": "v"})
    began = bucket.clock()

    await client.documents.insert("a", fields(email="x"))

    assert bucket.clock() - began > 17 * 60
    assert await bucket.json(X) == {"id": "a", "nonce": (await bucket.json(X))["nonce"], "dying": None}


async def test_a_dying_document_is_missing_to_readers_and_waited_for_by_writers():
    bucket = Bucket()
    client = await bucket.client(capabilities=NO_DELETE).ready()
    dying = {"id": "a", "table_name": "notes", "fields": {}, "revision": "r", "absent": True, "dying": "v"}
    await bucket.put("tables/notes/objects/a.json", dying)
    began = bucket.clock()

    assert await client.documents.get("a") is None
    await client.documents.insert("a", fields(n=1))

    assert bucket.clock() - began > 17 * 60
    assert "dying" not in await bucket.body("a")


async def test_a_unique_column_is_refused_where_the_server_ignores_conditions():
    client = Bucket().client(INDEXED, capabilities=NO_CONDITIONS)

    with pytest.raises(UnsupportedError, match="unique"):
        await client.documents.insert("a", fields(email="x"))


async def test_a_claim_that_is_none_is_named():
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()
    await bucket.memory.put(X, b"[]")

    with pytest.raises(CorruptDocumentError, match="_uniques/email"):
        await client.documents.insert("a", fields(email="x"))
