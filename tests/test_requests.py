"""
What each operation of the public interface costs in requests: the tables of protocol.md, sections 3 and 4, row by row,
and searches by an index whatever the size of the table. `explain()` before and the counters after agree.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
import pytest

import ddao_async as ddao
from ddao_async.database import Database
from ddao_async.model.index import encode_id, encode_value
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import Capabilities
from ddao_async.testing import CountingStore

SHARED = 3
"""Records that share a value of `group`."""


class Plain(ddao.Record, table="plain"):
    name: str = ""


class User(ddao.Record, table="users"):
    email: Annotated[str, ddao.Unique()]
    group: Annotated[int, ddao.Index()] = 0
    name: str = ""


SCHEMA = ddao.Schema.of(Plain, User)


class World:
    """An open database over a counting store, its tables known and warm."""

    def __init__(self, memory: MemoryAdapter) -> None:
        self.store = CountingStore(memory)
        self.db = Database(self.store, SCHEMA)
        self.users = self.db.repository(User)
        self.plain = self.db.repository(Plain)

    async def warm(self) -> None:
        """What is asked once: tables, and `_state.json` at most once a minute."""
        await self.db.create_tables()
        for repository in (self.users, self.plain):
            await repository.find_by_id("nobody")
            await (await repository._documents()).is_usable("group")  # pyright: ignore[reportPrivateUsage]
        self.store.reset()

    async def cost(self, action: Awaitable[Any]) -> dict[str, int]:
        self.store.reset()
        await action
        return self.store.counts()

    def kinds(self) -> list[str]:
        """Requests so far, in order: the operation, and what kind of key it was about."""
        return [f"{operation} {_kind(key)}" for operation, key in self.store.requests]


def _kind(key: str) -> str:
    for part, kind in (("_indexes", "entry"), ("_uniques", "claim"), ("_transactions", "decision"), ("/objects/", "")):
        if part in key:
            return kind or key.rsplit("/", 1)[1].removesuffix(".json")
    return key


@pytest.fixture
async def world() -> World:
    world = World(MemoryAdapter())
    await world.warm()
    await world.users.insert(User(id="ann", email="a", group=1))
    await world.users.insert(User(id="bob", email="b", group=1))
    for name in ("a", "b", "c", "d"):
        await world.plain.insert(Plain(id=name, name=name))
    world.store.reset()
    return world


# ---- section 3: single documents

Row = tuple[str, Callable[[World], Awaitable[Any]], list[str]]


async def update_known(world: World, **changes: Any) -> None:
    doc = await world.users.read("ann")
    world.store.reset()
    await world.users.update(msgspec.structs.replace(doc.value, **changes), if_version=doc.version)


async def delete_known(world: World) -> None:
    doc = await world.users.read("ann")
    world.store.reset()
    await world.users.delete("ann", if_version=doc.version)


def ann(**changes: Any) -> User:
    return msgspec.structs.replace(User(id="ann", email="a", group=1), **changes)


def renamed(user: User) -> User:
    return msgspec.structs.replace(user, name="new")


SECTION_3: list[Row] = [
    ("find by id", lambda w: w.users.get("ann"), ["get ann"]),
    ("find by id, missing", lambda w: w.users.find_by_id("zoe"), ["get zoe"]),
    ("insert, no index", lambda w: w.plain.insert(Plain(id="k")), ["put k"]),
    ("insert, i = u = 1", lambda w: w.users.insert(User(id="k", email="k")), ["put entry", "put claim", "put k"]),
    ("update, version known", lambda w: update_known(w, name="new"), ["put ann"]),
    (
        "update, version known, i' = u' = 1",
        lambda w: update_known(w, email="z", group=9),
        ["put entry", "put claim", "put ann", "delete entry", "delete claim"],
    ),
    ("update, version unknown", lambda w: w.users.update(ann(name="new")), ["get ann", "put ann"]),
    (
        "update, version unknown, i' = 1",
        lambda w: w.users.update(ann(group=9)),
        ["get ann", "put entry", "put ann", "delete entry"],
    ),
    (
        "update, version unknown, u' = 1",
        lambda w: w.users.update(ann(email="z")),
        ["get ann", "put claim", "put ann", "delete claim"],
    ),
    ("modify", lambda w: w.users.modify("ann", renamed), ["get ann", "put ann"]),
    ("modify, nothing changed", lambda w: w.users.modify("ann", lambda user: user), ["get ann"]),
    ("upsert, new", lambda w: w.plain.upsert(Plain(id="k")), ["put k"]),
    ("upsert, there", lambda w: w.plain.upsert(Plain(id="a", name="n")), ["put a", "get a", "put a"]),
    ("delete, version known", delete_known, ["delete ann", "delete entry", "delete claim"]),
    (
        "delete, version unknown",
        lambda w: w.users.delete("ann"),
        ["get ann", "delete ann", "delete entry", "delete claim"],
    ),
    ("delete, no index", lambda w: w.plain.delete("a"), ["get a", "delete a"]),
    ("delete, missing", lambda w: w.plain.delete("zoe"), ["get zoe"]),
    ("find by unique column", lambda w: w.users.find_by_key("email", "a"), ["get claim", "get ann"]),
    ("find by unique column, nobody", lambda w: w.users.find_by_key("email", "zzz"), ["get claim"]),
    ("find by indexed column", lambda w: w.users.find(group=1).all(), ["list entry", "get ann", "get bob"]),
    ("first by indexed column", lambda w: w.users.find_by_key("group", 1), ["list entry", "get ann"]),
    ("first by indexed column, none", lambda w: w.users.find_by_key("group", 5), ["list entry"]),
    ("count by entries", lambda w: w.users.find(group=1).count(estimate=True), ["list entry"]),
]


@pytest.mark.parametrize(("action", "expected"), [row[1:] for row in SECTION_3], ids=[row[0] for row in SECTION_3])
async def test_single_documents(world: World, action: Callable[[World], Awaitable[Any]], expected: list[str]) -> None:
    await action(world)

    assert phases(world.kinds()) == phases(expected)


def phases(kinds: list[str]) -> list[list[str]]:
    """Entries and claims of one step go out together, in any order."""
    together = itertools.groupby(kinds, key=lambda kind: kind.endswith(("entry", "claim")))
    return [sorted(group) if is_step else list(group) for is_step, group in together]


async def test_delete_without_conditional_delete_costs_the_same() -> None:
    """There a delete is a PUT of `absent`, and a claim is released by a PUT."""
    world = World(MemoryAdapter())
    world.store.capabilities = Capabilities(True, False, True)  # type: ignore[attr-defined]
    await world.warm()
    await world.users.insert(ann())
    world.store.reset()
    await world.users.delete("ann")

    assert world.kinds()[:2] == ["get ann", "put ann"]
    assert sorted(world.kinds()[2:]) == ["delete entry", "put claim"]


# ---- section 4: transactions


async def in_transaction(world: World, writes: list[str], reads: list[str]) -> tuple[int, int]:
    """Write these and only read those: requests of the reads, and of the commit."""
    async with world.db.transaction() as tx:
        records = tx.repository(Plain)
        for name in reads:
            await records.get(name)
        for name in writes:
            record = await records.get(name)
            await records.update(msgspec.structs.replace(record, name="new"))
        reading = len(world.store.requests)
    return reading, len(world.store.requests) - reading


@pytest.mark.parametrize(
    ("writes", "reads"),
    [(["a"], ["b"]), (["a", "b"], []), (["a", "b"], ["c", "d"]), (["a", "b", "c"], ["d"]), (["a"], ["b", "c", "d"])],
)
async def test_transactions(world: World, writes: list[str], reads: list[str]) -> None:
    """`n` written and `r` other keys read: reads n + r, commit 2n + r + 2."""
    n, r = len(writes), len(reads)

    assert await in_transaction(world, writes, reads) == (n + r, 2 * n + r + 2)


async def test_commit_requests_in_their_order(world: World) -> None:
    """n + r + 1 of them before the transaction is decided."""
    await in_transaction(world, ["a", "b"], ["c"])

    assert world.kinds()[3:7] == ["put a", "put b", "get c", "put decision"]
    assert world.kinds()[-1] == "delete decision"


async def test_one_written_document_needs_no_transaction(world: World) -> None:
    assert await in_transaction(world, ["a"], []) == (1, 1)


@pytest.mark.parametrize(("reads", "expected"), [(1, 1), (2, 4), (3, 6), (4, 8)])
async def test_read_only_transactions(world: World, reads: int, expected: int) -> None:
    """2r requests; 1 for a single key."""
    reading, commit = await in_transaction(world, [], ["a", "b", "c", "d"][:reads])

    assert reading + commit == expected


async def test_each_changed_column_costs_two_more(world: World) -> None:
    async with world.db.transaction() as tx:
        users = tx.repository(User)
        await users.update(ann(group=9, email="z"))
        await users.update(User(id="bob", email="b", group=1, name="new"))
        reading = len(world.store.requests)
    n, changed = 2, 2

    assert (reading, len(world.store.requests) - reading) == (n, 2 * n + 2 + 2 * changed)


@pytest.mark.parametrize(("decision", "more"), [("committed", 1), ("aborted", 2), (None, 2)])
async def test_reading_past_an_intent(world: World, decision: str | None, more: int) -> None:
    """1 more through a committed one, 2 through an aborted or undecided one."""
    key = "tables/plain/objects/a.json"
    body = msgspec.json.decode((await world.store.get(key)).data)
    new = {name: body[name] for name in ("fields", "created_at", "updated_at")} | {"revision": "r2"}
    body["intent"] = {"tx": "t1", "op": "put", "document": new}
    await world.store.put(key, msgspec.json.encode(body))
    if decision:
        await world.store.put("_transactions/t1.json", b'{"state":"%s","keys":[]}' % decision.encode())

    assert sum((await world.cost(world.plain.get("a"))).values()) == 1 + more


# ---- whatever the size of the table


async def filled(count: int) -> World:
    """A table of this many users, its bodies, entries and claims written straight into the store."""
    memory = MemoryAdapter()
    world = World(memory)
    await world.warm()
    encode, time = msgspec.json.encode, "2026-11-22T10:17:41Z"
    bodies: dict[str, bytes] = {}
    for n in range(count):
        name, group, email = f"u{n:07}", n // SHARED, f"e{n:07}"
        claim = encode({"id": name, "nonce": "n"})
        tags = {"email": hashlib.md5(claim).hexdigest(), "group": "r"}
        body = {"id": name, "table_name": "users", "fields": {"email": email, "group": group, "name": "n"}}
        times = {"created_at": time, "updated_at": time, "revision": "r"}
        bodies[f"tables/users/_uniques/email/{encode_value('text', email)}.json"] = claim
        bodies[f"tables/users/objects/{name}.json"] = encode(body | times | {"tags": tags})
        bodies[f"tables/users/_indexes/group/{encode_value('integer', group)}/{encode_id(name)}/r"] = b""
    for key in sorted(bodies):  # in the order of the keys, a put is an append
        await memory.put(key, bodies[key])
    world.store.reset()
    return world


@pytest.mark.parametrize("count", [10**3, 10**4, 10**5])
async def test_find_by_key_costs_the_same_whatever_the_size(count: int) -> None:
    """2 requests by a unique column and for the first by an indexed one; pages + entries for all of a value."""
    world = await filled(count)
    middle = count // 2
    email, group = f"e{middle:07}", middle // SHARED
    queries = {
        "unique": world.users.find(email=email),
        "index": world.users.find(group=group),
        "first": world.users.find(group=group).limit(1),
        "range": world.users.find(ddao.field("group").between(group, group + 2)),
        "order": world.users.find().order_by("group").limit(5),
        "and": world.users.find(group=group, name="n"),
    }
    found: dict[str, dict[str, int]] = {}
    for name, query in queries.items():
        plan = await query.explain()
        found[name] = await world.cost(query.all())
        assert plan.requests == found[name], (name, plan)
        assert not plan.scans

    assert found == {
        "unique": {"get": 2},
        "index": {"list": 1, "get": SHARED},
        "first": {"list": 1, "get": 1},
        "range": {"list": 1, "get": 3 * SHARED},
        "order": {"list": 1, "get": 5},
        "and": {"list": 1, "get": SHARED},
    }
    assert await world.cost(world.users.find_by_key("email", email)) == {"get": 2}
    assert await world.cost(world.users.find_by_key("group", group)) == {"list": 1, "get": 1}
    assert await world.cost(world.users.get(f"u{middle:07}")) == {"get": 1}
    assert (await world.users.find_by_key("email", email)).id == f"u{middle:07}"


async def test_a_scan_says_so_and_costs_what_it_says() -> None:
    world = await filled(2500)
    query = world.users.find(name="nobody")
    plan = await query.explain()

    assert (plan.access, plan.scans) == ("scan", True)
    assert await world.cost(query.all()) == plan.requests == {"list": 3, "get": 2500}


async def test_stats_are_the_stores_own_counters() -> None:
    """`db.stats()` hands out what the adapter counts, by kind."""
    async with ddao.connect("sqlite://:memory:", schema=SCHEMA) as db:
        await db.create_tables()
        users = db.repository(User)
        await users.find_by_id("nobody")
        before = db.stats()
        await users.find_by_id("nobody")
        after = db.stats()

        assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == {
            "get": 1
        }
