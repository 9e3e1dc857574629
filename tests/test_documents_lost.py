"""Writes whose answer is lost (protocol.md, section 2): success, conflict or unknown, never a guess."""

from __future__ import annotations

import pytest
from bucket import INDEXED, NO_DELETE, PLAIN, Bucket, adds, becomes, fields, values

from ddao_async.engine import Settings
from ddao_async.errors import ConflictError, StoreUnavailableError, UniqueViolationError, UnknownOutcomeError
from ddao_async.testing.fault import Answer, Failed, Lost

IMPATIENT = Settings(repeat_for=0.0)
DOWN = Failed(StoreUnavailableError("down"))


async def test_an_insert_that_landed_is_a_success():
    bucket = Bucket()
    client = await bucket.client().ready()
    client.fail(Lost(applied=True))

    await client.documents.insert("a", fields(n=1))

    assert client.requests == ["PUT a", "GET a"]
    assert values(await client.documents.get("a")) == {"n": 1}


async def test_an_insert_that_did_not_land_is_unknown_and_its_twin_is_ended():
    bucket = Bucket()
    client = await bucket.client().ready()
    client.fail(Lost(twin=True))

    with pytest.raises(UnknownOutcomeError):
        await client.documents.insert("a", fields(n=1))
    landed = await client.faulty.land()
    body = await bucket.body("a")

    assert client.requests == ["PUT a", "GET a", "PUT a"]
    assert (landed, body["absent"], "fence" in body) == (False, True, True)
    assert await client.documents.get("a") is None


async def test_inserting_again_after_an_unknown_insert_is_safe():
    bucket = Bucket()
    client = await bucket.client().ready()
    client.fail(Lost(twin=True))
    with pytest.raises(UnknownOutcomeError):
        await client.documents.insert("a", fields(n=1))

    await client.documents.insert("a", fields(n=2))
    await client.documents.delete("a")
    landed = await client.faulty.land()

    assert landed is False, "the key must not become missing while a create may be on its way"
    assert await client.documents.get("a") is None


async def test_an_insert_that_meets_another_document_is_unknown():
    bucket = Bucket()
    client, other = await bucket.client().ready(), bucket.client(name="o")

    async def insert_between(attempt: object) -> Lost | Answer:
        if client.store.requests[-1][0] == "put":
            await other.documents.insert("a", fields(n=2))
            return Lost()
        return Answer()

    client.faulty._faults = insert_between

    with pytest.raises(UnknownOutcomeError):
        await client.documents.insert("a", fields(n=1))


async def test_an_update_that_landed_is_applied_once():
    bucket = Bucket()
    client = bucket.client()
    await client.documents.insert("a", fields(n=1))
    client.fail(Answer(), Lost(applied=True))

    await client.documents.update("a", adds(1))

    assert values(await client.documents.get("a")) == {"n": 2}


async def test_an_update_that_did_not_land_is_repeated_with_the_same_bytes():
    bucket = Bucket()
    client = bucket.client()
    await client.documents.insert("a", fields(n=1))
    client.store.reset()
    client.fail(Answer(), Lost(), Lost())

    written = await client.documents.update("a", adds(1))

    assert client.requests == ["GET a", "PUT a", "PUT a", "PUT a"]
    assert (await bucket.body("a"))["revision"] == written.revision


async def test_an_update_that_landed_and_was_built_upon_is_applied_once():
    bucket = Bucket()
    client, other = bucket.client(), bucket.client(name="o")
    await client.documents.insert("a", fields(n=1))
    puts = 0

    async def update_between(attempt: object) -> Lost | Answer:
        nonlocal puts
        if client.store.requests[-1][0] == "put":
            puts += 1
            if puts == 1:
                return Lost(applied=True)
            await other.documents.update("a", adds(10))
        return Answer()

    client.faulty._faults = update_between

    await client.documents.update("a", adds(1))

    assert values(await client.documents.get("a")) == {"n": 12}


async def test_a_lost_update_that_somebody_else_overtook_is_a_conflict_and_done_again():
    bucket = Bucket()
    client, other = bucket.client(), bucket.client(name="o")
    await client.documents.insert("a", fields(n=1))
    puts = 0

    async def update_between(attempt: object) -> Lost | Answer:
        nonlocal puts
        if client.store.requests[-1][0] == "put":
            puts += 1
            if puts == 1:
                await other.documents.update("a", adds(10))
                return Lost()
        return Answer()

    client.faulty._faults = update_between

    await client.documents.update("a", adds(1))

    assert values(await client.documents.get("a")) == {"n": 12}


async def test_a_lost_update_of_a_document_that_is_gone_is_unknown():
    bucket = Bucket()
    client, other = bucket.client(), bucket.client(name="o")
    await client.documents.insert("a", fields(n=1))
    puts = 0

    async def delete_between(attempt: object) -> Lost | Answer:
        nonlocal puts
        if client.store.requests[-1][0] == "put":
            puts += 1
            if puts == 1:
                return Lost(applied=True)
            if puts == 2:
                await other.documents.delete("a")
        return Answer()

    client.faulty._faults = delete_between

    with pytest.raises(UnknownOutcomeError):
        await client.documents.update("a", adds(1))


async def test_an_update_never_answered_is_not_started_over():
    """Its twin may land after any conflict seen now, so it is unknown even while the old revision is there."""
    bucket = Bucket()
    client = bucket.client(settings=IMPATIENT)
    await client.documents.insert("a", fields(n=1))
    client.fail(Answer(), Lost(twin=True))

    with pytest.raises(UnknownOutcomeError):
        await client.documents.update("a", adds(1))
    await client.faulty.land()

    assert values(await client.documents.get("a")) == {"n": 2}


async def test_a_lost_answer_that_cannot_be_looked_up_is_unknown():
    client = await Bucket().client().ready()
    client.fail(Lost(applied=True), DOWN)

    with pytest.raises(UnknownOutcomeError):
        await client.documents.insert("a", fields(n=1))


async def test_an_update_over_a_foreign_document_that_landed_is_applied_once():
    bucket = Bucket()
    client, other = bucket.client(), bucket.client(name="o")
    await bucket.put("tables/notes/objects/a.json", {"id": "a", "table_name": "notes", "fields": {"n": 1}})
    puts = 0

    async def overtaken(attempt: object) -> Lost | Answer:
        nonlocal puts
        if client.store.requests[-1] == ("put", "tables/notes/objects/a.json"):
            puts += 1
            if puts == 1:
                await other.documents.update("a", adds(10))
                return Lost()
        return Answer()

    client.faulty._faults = overtaken

    await client.documents.update("a", adds(1))

    assert values(await client.documents.get("a")) == {"n": 12}


async def test_a_delete_that_landed_is_a_success():
    client = Bucket().client()
    await client.documents.insert("a", b"{}")
    client.fail(Answer(), Lost(applied=True))

    assert await client.documents.delete("a") is True


async def test_a_lost_delete_of_one_version_is_unknown():
    client = Bucket().client()
    await client.documents.insert("a", b"{}")
    held = await client.documents.read("a")
    client.fail(Lost(applied=True))

    with pytest.raises(UnknownOutcomeError):
        await client.documents.delete("a", version=held.version, known=held)


async def test_a_delete_that_leaves_absent_is_recognised_by_its_revision():
    client = Bucket().client(capabilities=NO_DELETE)
    await client.documents.insert("a", b"{}")
    held = await client.documents.read("a")
    client.fail(Lost(applied=True))

    assert await client.documents.delete("a", version=held.version, known=held) is True


async def test_an_entry_that_is_never_answered_means_not_written():
    client = await Bucket().client(INDEXED).ready()
    client.fail(Lost(applied=True))

    with pytest.raises(StoreUnavailableError):
        await client.documents.insert("a", fields(age=1))

    assert await client.documents.get("a") is None


async def test_a_claim_whose_answer_is_lost_is_taken_all_the_same():
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()
    client.fail(Answer(), Lost(applied=True))

    await client.documents.insert("a", fields(email="x"))
    with pytest.raises(UniqueViolationError):
        await client.documents.insert("b", fields(email="x"))

    assert len(await bucket.keys("tables/users/_uniques/")) == 1


async def test_what_cannot_be_cleaned_up_does_not_fail_the_write():
    bucket = Bucket()
    client = bucket.client(INDEXED)
    await client.documents.insert("a", fields(age=1, email="a"))
    client.fail(Answer(), Answer(), Answer(), Answer(), DOWN, DOWN)

    await client.documents.update("a", becomes(age=2, email="b"))

    assert values(await client.documents.get("a")) == {"age": 2, "email": "b"}
    assert len(await bucket.keys("tables/users/_indexes/")) == 2


async def test_a_stale_version_is_a_conflict():
    client = Bucket().client(PLAIN)
    await client.documents.insert("a", fields(n=1))
    held = await client.documents.read("a")
    await client.documents.update("a", adds(1))

    for known in (None, held):
        with pytest.raises(ConflictError):
            await client.documents.update("a", adds(1), version=held.version, known=known)
