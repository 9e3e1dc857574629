"""Requests of single documents without contention: the table of protocol.md, section 3, row by row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bucket import INDEXED, NO_CONDITIONS, NO_DELETE, PLAIN, Bucket, Client, becomes, fields

from ddao_async.model.index import encode_value
from ddao_async.state import TableLayout

Operation = Callable[[Client], Awaitable[Any]]


async def known(client: Client, change: Callable[..., bytes]) -> None:
    held = await client.documents.read("a")
    client.store.reset()
    await client.documents.update("a", change, version=held.version, known=held)


async def delete_known(client: Client) -> None:
    held = await client.documents.read("a")
    client.store.reset()
    await client.documents.delete("a", version=held.version, known=held)


ROWS: list[tuple[str, TableLayout, Operation, list[str]]] = [
    ("find by id", PLAIN, lambda c: c.documents.get("a"), ["GET a"]),
    ("insert", PLAIN, lambda c: c.documents.insert("k", b"{}"), ["PUT k"]),
    (
        "insert, 1 indexed, 1 unique",
        INDEXED,
        lambda c: c.documents.insert("k", fields(age=2, email="k")),
        ["PUT entry", "PUT claim", "PUT k"],
    ),
    (
        "insert, 1 indexed, unique left out",
        INDEXED,
        lambda c: c.documents.insert("k", fields(age=2)),
        ["PUT entry", "PUT k"],
    ),
    ("update, version known", PLAIN, lambda c: known(c, becomes(n=1)), ["PUT a"]),
    ("update, version known, no value changed", INDEXED, lambda c: known(c, becomes(n=1)), ["PUT a"]),
    (
        "update, version known, both changed",
        INDEXED,
        lambda c: known(c, becomes(age=9, email="z")),
        ["PUT entry", "PUT claim", "PUT a", "DELETE entry", "DELETE claim"],
    ),
    ("update, version unknown", PLAIN, lambda c: c.documents.update("a", becomes(n=1)), ["GET a", "PUT a"]),
    (
        "update, version unknown, indexed changed",
        INDEXED,
        lambda c: c.documents.update("a", becomes(age=9)),
        ["GET a", "PUT entry", "PUT a", "DELETE entry"],
    ),
    (
        "update, version unknown, both changed",
        INDEXED,
        lambda c: c.documents.update("a", becomes(age=9, email="z")),
        ["GET a", "PUT entry", "PUT claim", "PUT a", "DELETE entry", "DELETE claim"],
    ),
    ("update that writes nothing", PLAIN, lambda c: c.documents.update("a", lambda _: None), ["GET a"]),
    ("upsert, new", PLAIN, lambda c: c.documents.upsert("k", lambda _: b"{}"), ["PUT k"]),
    ("upsert, there", PLAIN, lambda c: c.documents.upsert("a", lambda _: b"{}"), ["PUT a", "GET a", "PUT a"]),
    ("delete, version known", PLAIN, delete_known, ["DELETE a"]),
    ("delete, version known, 1 + 1", INDEXED, delete_known, ["DELETE a", "DELETE entry", "DELETE claim"]),
    ("delete, version unknown", PLAIN, lambda c: c.documents.delete("a"), ["GET a", "DELETE a"]),
    (
        "delete, version unknown, 1 + 1",
        INDEXED,
        lambda c: c.documents.delete("a"),
        ["GET a", "DELETE a", "DELETE entry", "DELETE claim"],
    ),
    ("delete of nothing", PLAIN, lambda c: c.documents.delete("k"), ["GET k"]),
]


@pytest.mark.parametrize(("table", "operation", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
async def test_an_operation_makes_these_requests(table: TableLayout, operation: Operation, expected: list[str]):
    client = Bucket().client(table)
    await client.documents.insert("a", fields(age=1, email="a"))
    client.store.reset()

    await operation(client)

    assert client.requests == expected


async def test_find_by_unique_column_is_two_requests():
    client = Bucket().client(INDEXED)
    await client.documents.insert("a", fields(age=1, email="a"))
    client.store.reset()

    found = await client.documents.claimed("email", encode_value("text", "a"))
    await client.documents.get(found or "")

    assert (found, client.requests) == ("a", ["GET claim", "GET a"])


async def test_entries_are_one_request_a_page():
    client = Bucket().client(INDEXED)
    for number in range(5):
        await client.documents.insert(f"d{number}", fields(age=number))
    client.store.reset()
    start, stop = encode_value("integer", 1), encode_value("integer", 4)

    found = [entry.id async for entry in client.documents.entries("age", start=start, stop=stop)]
    requests = list(client.requests)
    paged = [entry.id async for entry in client.documents.entries("age", start=start, stop=stop, page_size=2)]

    assert (found, len(requests)) == (["d1", "d2", "d3"], 1)
    assert (paged, len(client.requests) - 1) == (["d1", "d2", "d3"], 2)


async def test_the_state_of_a_table_is_read_once_a_minute():
    bucket = Bucket()
    client = bucket.client()
    await client.documents.insert("a", b"{}")
    first = list(client.requests)
    for number in range(60):
        bucket.clock.advance(2.0)
        await client.documents.insert(f"k{number}", b"{}")

    assert first == ["GET _state", "LIST ", "PUT _state", "PUT a"]
    assert [r for r in client.requests[4:] if "_state" in r] == ["GET _state"] * 1


async def test_a_reader_asks_for_no_state():
    client = Bucket().client()

    await client.documents.get("a")

    assert client.requests == ["GET a"]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda c: c.documents.delete("a"), ["GET a", "PUT a", "DELETE entry", "PUT claim"]),
        (
            lambda c: c.documents.update("a", becomes(email="z")),
            ["GET a", "PUT claim", "PUT a", "PUT claim"],
        ),
    ],
)
async def test_without_conditional_delete_the_keys_stay(operation: Operation, expected: list[str]):
    client = Bucket().client(INDEXED, capabilities=NO_DELETE)
    await client.documents.insert("a", fields(age=1, email="a"))
    client.store.reset()

    await operation(client)

    assert client.requests == expected


async def test_a_server_without_conditions_is_looked_at_first():
    client = Bucket().client(capabilities=NO_CONDITIONS)
    await client.documents.insert("a", fields(n=1))
    client.store.reset()

    await client.documents.insert("k", b"{}")
    await client.documents.update("a", becomes(n=2))
    await client.documents.delete("a")

    assert client.requests == ["HEAD k", "PUT k", "GET a", "HEAD a", "PUT a", "GET a", "HEAD a", "DELETE a"]
