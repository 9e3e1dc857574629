"""Indexes that come and go: built over what a table holds beside its writers, checked, repaired, dropped."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from lax_store import LaxStore
from layout_rules import broken_rules
from table_world import AGE, EMAIL, GO_TIME, QUIET, TableWorld

from ddao_async.documents import Documents
from ddao_async.errors import SchemaError, UniqueViolationError, UnsupportedError
from ddao_async.lookup import IndexUnusableError
from ddao_async.maintenance import add_indexes, check, drop_index, reindex
from ddao_async.model.index import IndexLayout, encode_id
from ddao_async.model.keys import index_prefix
from ddao_async.storage.protocol import Capabilities

LAX = Capabilities(conditional_put=True, conditional_delete=False, sorted_list=True)


@pytest.fixture(params=["conditional delete", "no conditional delete"])
def world(request: pytest.FixtureRequest) -> TableWorld:
    if request.param == "conditional delete":
        return TableWorld()
    world = TableWorld(capabilities=LAX)
    world.store = LaxStore("delete", memory=world.store)
    world.engine = world.client()
    world.documents = Documents(world.layout, engine=world.engine)
    return world


async def test_finds_what_was_there(world: TableWorld) -> None:
    """Documents of before are found by the new index; their revisions and times are what they were."""
    await world.insert("ann", age=7)
    await world.insert("bob", age=7)
    await world.insert("cem", age=8)
    await world.insert("dan", name="no age")
    before = await world.body("ann")
    built = await add_indexes(world.engine, world.layout, [AGE])
    after = await world.body("ann")

    assert (built.indexes, built.documents, built.written) == (("age",), 4, 4)
    assert await world.by_age(7) == ["ann", "bob"]
    assert await world.by_age(8) == ["cem"]
    assert await world.by_age(None) == ["dan"]
    assert after == before | {"tags": after["tags"]}
    assert await broken_rules(world.store) == []


async def test_documents_of_another_tool_get_their_first_revision(world: TableWorld) -> None:
    await world.put_foreign("go", age=7, extra={"deep": [1]})
    await add_indexes(world.engine, world.layout, [AGE])
    body = await world.body("go")

    assert await world.by_age(7) == ["go"]
    assert (body["created_at"], body["updated_at"]) == (GO_TIME, "0001-01-01T00:00:00Z")
    assert body["fields"] == {"age": 7, "extra": {"deep": [1]}}
    assert body["revision"]
    assert await broken_rules(world.store) == []


async def test_waits_until_nothing_ignorant_can_land(world: TableWorld) -> None:
    """17 minutes pass between `building` and the list; `exclusive` skips them."""
    await world.insert("ann", age=7)
    began = world.clock()
    await add_indexes(world.engine, world.layout, [AGE])
    waited = world.clock() - began
    began = world.clock()
    await add_indexes(world.engine, world.layout, [EMAIL], exclusive=True)

    assert waited >= QUIET
    assert world.clock() - began < 1.0


async def test_a_late_create_of_an_ignorant_writer_is_found(world: TableWorld) -> None:
    """A writer signed its create before the index was there; it lands 15 minutes later, before the list."""
    await world.insert("ann", age=7)
    held: list[dict[str, Any]] = []

    async def sleep(seconds: float) -> None:
        if seconds >= QUIET:
            await world.put_foreign("late", age=7)
            held.append(await world.states())
        await world.clock.sleep(seconds)

    world.engine.sleep = sleep
    await add_indexes(world.engine, world.layout, [AGE])

    assert held == [{"age": "building"}]
    assert await world.by_age(7) == ["ann", "late"]


async def test_writers_keep_it_while_it_is_built(world: TableWorld) -> None:
    """What is inserted, changed and deleted during the wait is right afterwards; readers do not use it before."""
    for name in ("ann", "bob", "cem"):
        await world.insert(name, age=7)
    other = Documents(world.layout, engine=world.client())

    async def sleep(seconds: float) -> None:
        await world.clock.sleep(seconds)
        if seconds >= QUIET:
            assert not await other.is_usable("age")
            await other.insert("dan", b'{"age": 7}')
            await other.update("ann", lambda _: b'{"age": 8}')
            await other.update("bob", lambda _: b'{"age": 7, "name": "Bob"}')
            await other.delete("cem")

    world.engine.sleep = sleep
    await add_indexes(world.engine, world.layout, [AGE])

    assert await world.by_age(7) == ["bob", "dan"]
    assert await world.by_age(8) == ["ann"]
    assert len(await world.keys("_indexes")) == 3


async def test_racing_writers_and_builder(world: TableWorld) -> None:
    """Writers that change every document again and again while the builder passes: each is under its last value."""
    for n in range(20):
        await world.insert(f"u{n:02}", age=0)

    async def write(client: Documents, rounds: int) -> None:
        for age in range(1, rounds + 1):
            for n in range(20):
                await client.update(f"u{n:02}", lambda _, age=age: b'{"age": %d}' % age)
                await asyncio.sleep(0)

    writers = [write(Documents(world.layout, engine=world.client()), 5) for _ in range(2)]
    await asyncio.gather(add_indexes(world.engine, world.layout, [AGE]), *writers)
    found = {age: await world.by_age(age) for age in range(6)}
    stored = {name: (await world.body(name))["fields"]["age"] for name in (f"u{n:02}" for n in range(20))}

    assert all(name in found[age] for name, age in stored.items())
    assert (await check(world.engine, world.layout)).is_sound


async def test_unique_values_are_claimed(world: TableWorld) -> None:
    await world.insert("ann", email="a@b.c")
    await world.put_foreign("go", email="g@b.c")
    await world.insert("dan", email=None)
    await add_indexes(world.engine, world.layout, [EMAIL])

    assert await world.by_email("a@b.c") == "ann"
    assert await world.by_email("g@b.c") == "go"
    assert len(await world.keys("_uniques")) == 2
    with pytest.raises(UniqueViolationError):
        await world.insert("eve", email="a@b.c")
    assert await broken_rules(world.store) == []


async def test_all_duplicates_are_listed_and_the_index_goes_again(world: TableWorld) -> None:
    for name, email in (("ann", "x"), ("bob", "x"), ("cem", "x"), ("dan", "y"), ("eve", "y"), ("fay", "z")):
        await world.insert(name, email=email)
    with pytest.raises(SchemaError) as caught:
        await add_indexes(world.engine, world.layout, [EMAIL])
    named = [name for name in ("ann", "bob", "cem", "dan", "eve", "fay") if repr(name) in str(caught.value)]

    assert named == ["ann", "bob", "cem", "dan", "eve"]
    assert await world.states() == {}
    held = [await world.body(key) for key in await world.keys("_uniques")]
    assert [claim["id"] for claim in held if claim["id"]] == []
    await world.insert("gus", email="x")


async def test_duplicates_of_one_do_not_keep_another_from_being_built(world: TableWorld) -> None:
    await world.insert("ann", email="x", age=1)
    await world.insert("bob", email="x", age=2)
    with pytest.raises(SchemaError, match="'ann' and 'bob'"):
        await add_indexes(world.engine, world.layout, [AGE, EMAIL], concurrency=1)

    assert await world.states() == {"age": "complete"}


async def test_several_indexes_cost_one_rewrite(world: TableWorld) -> None:
    """One pass, one wait, one PUT of each document."""
    await world.insert("ann", age=7, email="a@b.c")
    writes: list[str] = []
    put = world.engine.store.put

    async def counted(key: str, data: bytes, **options: Any) -> Any:
        writes.append(key)
        return await put(key, data, **options)

    world.engine.store.put = counted
    await add_indexes(world.engine, world.layout, [AGE, EMAIL])

    assert writes.count("tables/users/objects/ann.json") == 1
    assert sorted((await world.body("ann"))["tags"]) == ["age", "email"]


async def test_a_second_call_does_nothing(world: TableWorld) -> None:
    await world.insert("ann", age=7)
    await add_indexes(world.engine, world.layout, [AGE])
    before = await world.body("tables/users/_state.json")
    built = await add_indexes(world.engine, world.layout, [AGE])

    assert built.indexes == ()
    assert await world.body("tables/users/_state.json") == before


async def test_another_index_of_the_same_name_is_refused(world: TableWorld) -> None:
    await add_indexes(world.engine, world.layout, [AGE])
    with pytest.raises(SchemaError, match="Drop that index first"):
        await add_indexes(world.engine, world.layout, [IndexLayout("age", ("age",), ("text",))])


async def test_a_crashed_builder_is_followed_by_another(world: TableWorld) -> None:
    await world.insert("ann", age=7)

    async def crash(seconds: float) -> None:
        raise asyncio.CancelledError

    world.engine.sleep = crash
    with pytest.raises(asyncio.CancelledError):
        await add_indexes(world.engine, world.layout, [AGE])
    assert await world.states() == {"age": "building"}
    await add_indexes(world.client(), world.layout, [AGE])
    world.clock.advance(61)

    assert await world.by_age(7) == ["ann"]


async def test_a_builder_that_was_overtaken_stops(world: TableWorld) -> None:
    """The second builder's `build` counts; the first finds out and says so."""
    await world.insert("ann", age=7)

    async def sleep(seconds: float) -> None:
        if seconds >= QUIET:
            await add_indexes(world.client(), world.layout, [AGE])

    world.engine.sleep = sleep
    with pytest.raises(SchemaError, match="Another client rebuilt or dropped age"):
        await add_indexes(world.engine, world.layout, [AGE])

    assert await world.states() == {"age": "complete"}


async def test_a_builder_that_was_overtaken_over_an_empty_table_stops(world: TableWorld) -> None:
    await world.insert("ann", age=7)
    await world.documents.delete("ann")
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds >= QUIET:
            await drop_index(world.client(), world.layout, "age")

    world.engine.sleep = sleep
    with pytest.raises(SchemaError, match="Another client"):
        await add_indexes(world.engine, world.layout, [AGE], on_wait=waits.append)

    assert waits == [QUIET]
    assert await world.states() == {}


async def test_objects_that_are_no_documents_are_named(world: TableWorld) -> None:
    await world.insert("ann", age=7)
    await world.store.put("tables/users/objects/bad.json", b"{")
    built = await add_indexes(world.engine, world.layout, [AGE])

    assert list(built.problems) == ["tables/users/objects/bad.json"]
    assert await world.by_age(7) == ["ann"]


async def test_tags_of_an_earlier_index_are_not_trusted(world: TableWorld) -> None:
    """A document whose tag outlived its entry gets the entry anew, under that tag."""
    await add_indexes(world.engine, world.layout, [AGE], exclusive=True)
    await world.insert("ann", age=7)
    tag = (await world.body("ann"))["tags"]["age"]
    await drop_index(world.engine, world.layout, "age")
    assert await world.keys("_indexes") == []
    await add_indexes(world.engine, world.layout, [AGE])

    assert await world.by_age(7) == ["ann"]
    assert (await world.body("ann"))["tags"]["age"] == tag


async def test_a_unique_column_becomes_an_indexed_one_and_back(world: TableWorld) -> None:
    """The tag then is the etag of a claim, which is no tag of an entry: both ways must end sound."""
    plain = IndexLayout("email", ("email",), ("text",))
    await add_indexes(world.engine, world.layout, [EMAIL], exclusive=True)
    await world.insert("ann", email="a@b.c")
    for index in (plain, EMAIL, plain):
        await drop_index(world.engine, world.layout, "email")
        await add_indexes(world.engine, world.layout, [index])
        assert (await check(world.engine, world.layout)).is_sound


async def test_a_tag_that_does_not_fit_a_key_is_replaced(world: TableWorld) -> None:
    """Some servers' etags hold other symbols than keys of entries may."""
    await add_indexes(world.engine, world.layout, [AGE], exclusive=True)
    await world.insert("ann", age=7)
    await drop_index(world.engine, world.layout, "age")
    body = await world.body("ann") | {"tags": {"age": "d41d8cd9-1"}}
    await world.store.put("tables/users/objects/ann.json", json.dumps(body).encode())
    await add_indexes(world.engine, world.layout, [AGE])
    tag = (await world.body("ann"))["tags"]["age"]

    assert [key.rsplit("/", 1)[1] for key in await world.keys("_indexes")] == [tag]
    assert tag.isalnum()


async def test_long_ids_and_values(world: TableWorld) -> None:
    """An id too long for an entry key stands in the entry's body."""
    long = "x" * 400
    await world.insert(long, age=7, email="e" * 500)
    await add_indexes(world.engine, world.layout, [AGE, EMAIL])

    assert await world.by_age(7) == [long]
    assert await world.by_email("e" * 500) == long
    assert await broken_rules(world.store) == []
    assert (await check(world.engine, world.layout)).is_sound


# ---- refusals


async def test_no_unique_index_without_conditional_writes() -> None:
    world = TableWorld(capabilities=Capabilities(False, False, True), store=LaxStore("create", "replace", "delete"))
    await world.insert("ann", email="x", age=7)
    with pytest.raises(UnsupportedError):
        await add_indexes(world.engine, world.layout, [EMAIL])
    await add_indexes(world.engine, world.layout, [AGE])

    assert await world.states() == {"age": "complete"}
    assert await world.by_age(7) == ["ann"]


async def test_no_unique_index_where_deletes_are_plain() -> None:
    """A table made with transactions=False deletes unconditionally there, for good: nothing of it may be claimed."""
    world = TableWorld(capabilities=LAX, store=LaxStore("delete"), transactions=False)
    await world.insert("ann", email="x")
    with pytest.raises(UnsupportedError, match="transactions=False"):
        await add_indexes(world.engine, world.layout, [EMAIL])

    assert await world.states() == {}


# ---- drop


async def test_drop_takes_readers_away_before_entries(world: TableWorld) -> None:
    await add_indexes(world.engine, world.layout, [AGE], exclusive=True)
    await world.insert("ann", age=7)
    reader = world.client()
    seen: list[Any] = []

    async def sleep(seconds: float) -> None:
        seen.append((await world.states(), len(await world.keys("_indexes")), await world.by_age(7, reader)))
        await world.clock.sleep(seconds)

    world.engine.sleep = sleep
    assert await world.by_age(7, reader) == ["ann"]
    dropped = await drop_index(world.engine, world.layout, "age")

    assert seen == [({"age": "dropping"}, 1, ["ann"])]
    assert (dropped.removed, dropped.is_known) == (1, True)
    assert await world.states() == {}
    assert await world.keys("_indexes") == []
    with pytest.raises(IndexUnusableError):
        await world.by_age(7, reader)


async def test_writers_keep_an_index_that_is_being_dropped(world: TableWorld) -> None:
    """Readers with a copy of before still rely on it for a minute."""
    await add_indexes(world.engine, world.layout, [AGE], exclusive=True)
    other = Documents(world.layout, engine=world.client())
    kept: list[int] = []

    async def sleep(seconds: float) -> None:
        await other.insert("ann", b'{"age": 7}')
        kept.append(len(await world.keys("_indexes")))
        await world.clock.sleep(seconds)

    world.engine.sleep = sleep
    await drop_index(world.engine, world.layout, "age")

    assert kept == [1]
    assert await world.keys("_indexes") == []


async def test_a_drop_overtaken_by_a_new_build_stops(world: TableWorld) -> None:
    await add_indexes(world.engine, world.layout, [AGE], exclusive=True)
    await world.insert("ann", age=7)

    async def sleep(seconds: float) -> None:
        if seconds >= QUIET:
            await add_indexes(world.client(), world.layout, [AGE])

    world.engine.sleep = sleep
    with pytest.raises(SchemaError, match="added again"):
        await drop_index(world.engine, world.layout, "age")

    assert await world.states() == {"age": "complete"}
    assert await world.by_age(7) == ["ann"]


async def test_deleting_entries_stops_when_the_index_is_back(world: TableWorld) -> None:
    """Each delete goes by a copy of the state that is at most a minute old."""
    await add_indexes(world.engine, world.layout, [AGE], exclusive=True)
    for n in range(5):
        await world.insert(f"u{n}", age=n)
    delete = world.engine.store.delete
    deleted: list[str] = []

    async def slow(key: str, **options: Any) -> None:
        deleted.append(key)
        await delete(key, **options)
        if len(deleted) == 2:
            await add_indexes(world.client(), world.layout, [AGE])

    world.engine.store.delete = slow
    await drop_index(world.engine, world.layout, "age", concurrency=1)

    assert len([key for key in deleted if key.startswith(index_prefix("users", "age"))]) == 2
    assert (await check(world.client(), world.layout)).is_sound


async def test_dropping_an_unknown_index_clears_its_remains(world: TableWorld) -> None:
    await world.insert("ann", age=7)
    await world.store.put("tables/users/_indexes/age/nx/tann/r1", b"")
    dropped = await drop_index(world.engine, world.layout, "age")

    assert (dropped.removed, dropped.is_known) == (1, False)


# ---- check and reindex


async def test_check_of_a_sound_table(world: TableWorld) -> None:
    await add_indexes(world.engine, world.layout, [AGE, EMAIL], exclusive=True)
    for n in range(5):
        await world.insert(f"u{n}", age=n, email=f"{n}@b.c")
    checked = await check(world.engine, world.layout)

    assert checked.is_sound
    assert checked.documents == 5
    assert [(index.name, index.live, index.missing, index.dead) for index in checked.indexes] == [
        ("age", 5, [], []),
        ("email", 5, [], []),
    ]


async def test_check_writes_what_is_missing_and_names_what_is_dead(world: TableWorld) -> None:
    await add_indexes(world.engine, world.layout, [AGE, EMAIL], exclusive=True)
    for n in range(4):
        await world.insert(f"u{n}", age=n, email=f"{n}@b.c")
    await world.put_foreign("go", age=9, email="go@b.c")
    (entry,) = await world.keys(f"/{encode_id('u1')}/")
    await world.store.delete(entry)
    claim = (await world.keys("_uniques"))[2]
    await world.store.delete(claim)
    dead = ["tables/users/_indexes/age/npqbc/tgone/r1", "tables/users/_uniques/email/tnobody.json"]
    await world.store.put(dead[0], b"")
    await world.store.put(dead[1], b'{"id":"gone","nonce":"n"}')
    first = {index.name: index for index in (await check(world.engine, world.layout)).indexes}
    second = await check(world.engine, world.layout)

    assert (first["age"].missing, first["email"].missing) == (["go", "u1"], ["go", "u2"])
    assert (first["age"].dead, first["email"].dead) == ([dead[0]], [dead[1]])
    assert second.is_sound
    assert await world.by_age(9) == ["go"]
    assert await world.by_email("go@b.c") == "go"
    assert set(dead) <= set(await world.keys())


async def test_check_names_duplicates_that_another_tool_wrote(world: TableWorld) -> None:
    """The claim stays with its owner; nothing is written for the other."""
    await add_indexes(world.engine, world.layout, [EMAIL], exclusive=True)
    await world.insert("ann", email="x")
    await world.put_foreign("go", email="x")
    checked = await check(world.engine, world.layout)

    assert checked.indexes[0].duplicates == [("ann", "go")]
    assert not checked.is_sound
    assert await world.by_email("x") == "ann"


async def test_reindex_builds_what_is_declared_and_checks_the_rest(world: TableWorld) -> None:
    await add_indexes(world.engine, world.layout, [AGE], exclusive=True)
    await world.put_foreign("go", age=9, email="go@b.c")
    built, checked = await reindex(world.engine, world.declared(AGE, EMAIL))

    assert built.indexes == ("email",)
    assert [(index.name, index.missing) for index in checked.indexes] == [("age", ["go"])]
    assert await world.by_age(9) == ["go"]
    assert await world.by_email("go@b.c") == "go"


async def test_progress_names_each_document(world: TableWorld) -> None:
    for n in range(3):
        await world.insert(f"u{n}", age=n)
    seen: list[str] = []
    await add_indexes(world.engine, world.layout, [AGE], on_document=seen.append)

    assert sorted(seen) == ["u0", "u1", "u2"]


async def test_the_state_is_readable_json(world: TableWorld) -> None:
    await world.insert("ann", age=7)
    await add_indexes(world.engine, world.layout, [AGE])
    body = json.loads((await world.store.get("tables/users/_state.json")).data)

    assert body["indexes"]["age"]["state"] == "complete"
    assert body["indexes"]["age"]["columns"] == ["age"]
