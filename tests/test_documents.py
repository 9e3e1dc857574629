"""Documents of one table: what each operation does and refuses, on documents of our own and of other tools."""

from __future__ import annotations

import asyncio
import logging

import pytest
from bucket import INDEXED, NO_CONDITIONS, NO_DELETE, Bucket, adds, becomes, fields, values

from ddao_async.claims import fence
from ddao_async.engine import Engine, Nonces
from ddao_async.errors import AlreadyExistsError, ConflictError, CorruptDocumentError, NotFoundError
from ddao_async.model.document import NEVER
from ddao_async.state import TableLayout
from ddao_async.storage.protocol import Capabilities
from ddao_async.testing.fault import Answer

GO = {
    "id": "a",
    "table_name": "notes",
    "fields": {"n": 1, "big": 12345678901234567890},
    "created_at": "2026-11-22T10:17:41.946289548Z",
    "updated_at": NEVER,
}


async def test_a_new_document_has_two_equal_times_and_a_revision():
    bucket = Bucket()
    client = bucket.client()

    document = await client.documents.insert("a", fields(n=1))
    body = await bucket.body("a")

    assert list(body) == ["id", "table_name", "fields", "created_at", "updated_at", "revision"]
    assert body["created_at"] == body["updated_at"] == document.created_at == "2026-11-22T00:00:00.000000Z"


async def test_an_update_keeps_created_at_and_the_chain():
    bucket = Bucket()
    client = bucket.client()
    first = await client.documents.insert("a", fields(n=1))
    bucket.clock.advance(1.5)
    second = await client.documents.update("a", adds(1))
    third = await client.documents.update("a", adds(1))

    assert (third.created_at, third.updated_at) == (first.created_at, "2026-11-22T00:00:01.500000Z")
    assert third.past == (second.revision, first.revision)


async def test_the_chain_keeps_eight_revisions():
    client = Bucket().client()
    await client.documents.insert("a", fields(n=0))
    written = [await client.documents.update("a", adds(1)) for _ in range(12)]

    assert written[-1].past == tuple(one.revision for one in reversed(written[3:11]))


async def test_an_object_carries_the_metadata_of_the_layout():
    bucket = Bucket()
    await bucket.client().documents.insert("a", b"{}")
    await bucket.client(name="d").documents.insert("é", b"{}")
    ascii_, other = [await bucket.memory.head(f"tables/notes/objects/{one}.json") for one in ("a", "é")]

    expected = {"ddao-type": "object", "ddao-table": "notes", "ddao-timestamp": "2026-11-22T00:00:00Z"}
    assert (ascii_.metadata, ascii_.content_type) == (expected | {"ddao-id": "a"}, "application/json")
    assert other.metadata == expected


async def test_insert_refuses_an_id_that_exists_and_update_one_that_does_not():
    client = Bucket().client()
    await client.documents.insert("a", b"{}")

    with pytest.raises(AlreadyExistsError):
        await client.documents.insert("a", b"{}")
    with pytest.raises(NotFoundError):
        await client.documents.update("k", adds(1))
    with pytest.raises(ConflictError) as gone:
        await client.documents.update("k", adds(1), version="etag")
    assert not isinstance(gone.value, AlreadyExistsError)


async def test_delete_tells_whether_there_was_a_document():
    client = Bucket().client()
    await client.documents.insert("a", b"{}")

    assert [await client.documents.delete("a"), await client.documents.delete("a")] == [True, False]
    with pytest.raises(ConflictError):
        await client.documents.delete("a", version="etag")


async def test_upsert_gives_its_function_what_is_there():
    client = Bucket().client()
    seen = []

    def fields_for(document):
        seen.append(values(document))
        return fields(n=len(seen))

    created = [await client.documents.upsert("a", fields_for), await client.documents.upsert("a", fields_for)]

    assert created == [True, False]
    assert seen == [None, None, {"n": 1}]


async def test_concurrent_updates_lose_nothing():
    bucket = Bucket()
    clients = [bucket.client(name=f"c{number}x") for number in range(5)]
    await clients[0].documents.insert("a", fields(n=0))

    async def ten(client):
        for _ in range(10):
            await client.documents.update("a", adds(1))

    await asyncio.gather(*map(ten, clients))

    assert values(await clients[0].documents.get("a")) == {"n": 50}


async def test_a_foreign_document_reads_updates_and_deletes():
    bucket = Bucket()
    client = bucket.client()
    await bucket.put("tables/notes/objects/a.json", GO)
    etag = (await bucket.memory.head("tables/notes/objects/a.json")).etag

    read = await client.documents.get("a")
    updated = await client.documents.update("a", becomes(n=2))
    body = await bucket.body("a")

    assert (read.revision, read.created_at, read.updated_at) == (None, GO["created_at"], NEVER)
    assert body["fields"] == {"n": 2, "big": 12345678901234567890}
    assert (body["created_at"], body["past"], body["revision"]) == (GO["created_at"], [etag], updated.revision)
    assert await client.documents.delete("a") is True


async def test_a_foreign_document_without_fields_is_a_document():
    bucket = Bucket()
    client = bucket.client()
    await bucket.put("tables/notes/objects/a.json", {"id": "a", "fields": None})

    assert values(await client.documents.get("a")) is None
    await client.documents.update("a", lambda _: fields(n=1))
    assert values(await client.documents.get("a")) == {"n": 1}


async def test_a_foreign_document_gets_its_entry_and_claim_with_the_first_write():
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()
    await bucket.put("tables/users/objects/a.json", {"id": "a", "fields": {"age": 7, "email": "x"}})

    await client.documents.update("a", becomes(n=1))

    assert set((await bucket.body("a", "users"))["tags"]) == {"age", "email"}
    assert len(await bucket.keys("tables/users/_indexes/")) == 1


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b'"x"', b'{"id": 1}', b'{"id": "\xff"}', b"[" * 100_000, b"{}"])
async def test_what_is_no_document_is_named(data: bytes):
    bucket = Bucket()
    client = bucket.client()
    await bucket.memory.put("tables/notes/objects/a.json", data)

    for operation in (client.documents.get, client.documents.read, client.documents.delete):
        with pytest.raises(CorruptDocumentError, match=r"objects/a\.json"):
            await operation("a")


async def test_a_document_of_another_id_is_not_written_over():
    bucket = Bucket()
    client = bucket.client()
    await bucket.put("tables/notes/objects/a.json", {"id": "b", "fields": {}})

    with pytest.raises(CorruptDocumentError, match="'b'"):
        await client.documents.update("a", adds(1))


async def test_a_fence_is_no_conflict_for_a_version_read_before():
    client = Bucket().client()
    await client.documents.insert("a", fields(n=1))
    held = await client.documents.read("a")
    await fence(client.engine, client.table, "a", held)

    await client.documents.update("a", adds(1), version=held.version, known=held)

    assert values(await client.documents.get("a")) == {"n": 2}


async def test_an_index_of_a_value_that_changes_back_and_forth_shows_each_document():
    bucket = Bucket()
    client = bucket.client(INDEXED)
    await client.documents.insert("a", fields(age=1))
    for age in (2, 1, 2, 1):
        await client.documents.update("a", becomes(age=age))

    assert [entry.id async for entry in client.documents.entries("age")] == ["a"]
    assert len(await bucket.keys("tables/users/_indexes/")) == 1


async def test_an_id_too_long_for_an_entry_key_is_read_from_its_body():
    client = Bucket().client(INDEXED)
    long = "é" * 120
    await client.documents.insert(long, fields(age=1))

    assert [entry.id async for entry in client.documents.entries("age")] == [long]


async def test_entries_go_on_after_the_last_one_seen():
    client = Bucket().client(INDEXED)
    for number in range(6):
        await client.documents.insert(f"d{number}", fields(age=number // 3))
    found = [entry async for entry in client.documents.entries("age")]

    rest = [entry async for entry in client.documents.entries("age", after=found[3])]

    assert [entry.id for entry in found] == [f"d{number}" for number in range(6)]
    assert rest == found[4:]


async def test_a_document_whose_fields_are_none_can_be_deleted():
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()
    await bucket.put("tables/users/objects/a.json", {"id": "a", "fields": [1], "tags": {"age": "t"}})

    assert await client.documents.delete("a") is True


async def test_a_table_without_transactions_deletes_without_a_condition_where_the_server_has_none():
    bucket = Bucket()
    table = TableLayout("notes", transactions=False)
    client = bucket.client(table, capabilities=NO_DELETE)
    await client.documents.insert("a", b"{}")
    client.store.reset()

    await client.documents.delete("a")

    assert client.requests == ["GET a", "DELETE a"]
    assert await bucket.body("a") is None


async def test_one_version_is_never_deleted_without_a_condition():
    bucket = Bucket()
    client = bucket.client(TableLayout("notes", transactions=False), capabilities=NO_DELETE)
    await client.documents.insert("a", b"{}")
    held = await client.documents.read("a")

    await client.documents.delete("a", version=held.version)

    assert (await bucket.body("a"))["absent"] is True


async def test_how_a_table_deletes_is_fixed_when_its_state_is_created():
    bucket = Bucket()
    await bucket.client(capabilities=NO_DELETE).documents.insert("a", b"{}")
    later = bucket.client(TableLayout("notes", transactions=False), capabilities=NO_DELETE, name="l")

    await later.documents.delete("a")

    assert (await bucket.body("a"))["absent"] is True


async def test_checking_first_is_said_once(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        client = Bucket().client(capabilities=NO_CONDITIONS)
        await client.documents.insert("a", fields(n=1))
        with pytest.raises(AlreadyExistsError):
            await client.documents.insert("a", fields(n=1))
        await client.documents.update("a", adds(1))

    assert [record.message.split(":")[0] for record in caplog.records] == [
        "The server does not enforce conditional writes"
    ]
    assert values(await client.documents.get("a")) == {"n": 2}


async def test_a_bucket_never_probed_counts_as_one_without_conditional_delete():
    bucket = Bucket()
    client = bucket.client(capabilities=Capabilities())
    await client.documents.insert("a", b"{}")
    await client.documents.delete("a")

    assert (await bucket.body("a"))["absent"] is True


async def test_an_attempt_older_than_an_hour_starts_over():
    """The writer sleeps between its claim and its document."""
    bucket = Bucket()
    client = await bucket.client(INDEXED).ready()

    async def sleepy(attempt):
        if "_uniques" in attempt.key:
            bucket.clock.advance(3601 if len(client.store.requests) < 4 else 0)
        return Answer()

    client.faulty._faults = sleepy
    await client.documents.insert("a", fields(email="x"))

    assert client.requests.count("PUT entry") == 2
    assert len(await bucket.keys("tables/users/_indexes/")) == 1


def test_nonces_are_letters_and_digits_and_never_come_back():
    one, other = Nonces(), Nonces()
    drawn = [one() for _ in range(1000)] + [other() for _ in range(1000)]

    assert len(set(drawn)) == 2000
    assert all(nonce.isalnum() and nonce.isascii() for nonce in drawn)


def test_an_engine_goes_by_the_clock_of_its_store():
    bucket = Bucket()

    assert Engine(bucket.memory).timestamp() == "2026-11-22T00:00:00.000000Z"
