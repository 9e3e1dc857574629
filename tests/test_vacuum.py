"""Vacuum: every kind of garbage goes a day after it was written, and nothing else ever does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lax_store import LaxStore
from layout_rules import broken_rules
from table_world import AGE, DAY, EMAIL, TableWorld

from ddao_async.documents import Documents
from ddao_async.errors import UnknownOutcomeError
from ddao_async.maintenance import Garbage, add_indexes, check, drop_index, vacuum
from ddao_async.model.index import encode_value
from ddao_async.storage.protocol import Capabilities

LAX = Capabilities(conditional_put=True, conditional_delete=False, sorted_list=True)
X = encode_value("text", "x")


def lax_world(*indexes: Any) -> TableWorld:
    world = TableWorld(*indexes, capabilities=LAX)
    world.store = LaxStore("delete", memory=world.store)
    world.engine = world.client()
    world.documents = Documents(world.layout, engine=world.engine)
    return world


@pytest.fixture(params=["conditional delete", "no conditional delete"])
async def world(request: pytest.FixtureRequest) -> TableWorld:
    world = TableWorld(AGE, EMAIL) if request.param == "conditional delete" else lax_world(AGE, EMAIL)
    await world.insert("ann", age=7, email="a@b.c")
    return world


async def put(world: TableWorld, key: str, body: dict[str, Any] | None = None) -> str:
    await world.store.put(key, b"" if body is None else json.dumps(body).encode())
    return key


def absent(name: str, **members: Any) -> dict[str, Any]:
    never = "0001-01-01T00:00:00Z"
    body = {"id": name, "table_name": "users", "fields": {}, "created_at": never, "updated_at": never}
    return body | {"revision": f"r-{name}", "fence": "f", "absent": True} | members


async def garbage(world: TableWorld) -> dict[Garbage, str]:
    """One of every kind, as crashes and lost answers leave them."""
    fenced = await world.body("ann") | {"fence": "f1"}
    await put(world, "tables/users/objects/ann.json", fenced)
    return {
        Garbage.ABSENT: await put(world, "tables/users/objects/gone.json", absent("gone")),
        Garbage.FENCE: "tables/users/objects/ann.json",
        Garbage.CLAIM: await put(world, f"tables/users/_uniques/email/{X}.json", {"id": "ann", "nonce": "n"}),
        Garbage.ENTRY: await put(world, "tables/users/_indexes/age/nx/ann/r0"),
        Garbage.LEFTOVER: await put(world, "tables/users/_indexes/size/nx/ann/r0"),
        Garbage.DECISION: await put(world, "_transactions/t1.json", {"state": "aborted", "keys": []}),
        Garbage.PROBE: await put(world, "_probe/abc/object"),
    }


async def test_removes_every_kind_a_day_later(world: TableWorld) -> None:
    left = await garbage(world)
    world.clock.advance(DAY + 1)
    result = await vacuum(world.engine)
    keys = await world.keys()

    assert result.removed == dict.fromkeys(Garbage, 1)
    assert result.problems == {}
    assert [key for kind, key in left.items() if kind is not Garbage.FENCE and key in keys] == []
    assert "fence" not in await world.body("ann")
    assert await broken_rules(world.store) == []


async def test_changes_no_committed_state(world: TableWorld) -> None:
    await garbage(world)
    before = await world.documents.get("ann")
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)
    after = await world.documents.get("ann")

    assert before is not None
    assert after is not None
    assert (after.fields, after.revision, after.tags) == (before.fields, before.revision, before.tags)
    assert await world.by_age(7) == ["ann"]
    assert await world.by_email("a@b.c") == "ann"
    assert (await check(world.engine, world.layout)).is_sound


async def test_leaves_young_things_alone(world: TableWorld) -> None:
    await garbage(world)
    keys = await world.keys()
    world.clock.advance(DAY - 1)
    result = await vacuum(world.engine)

    assert result.removed == {}
    assert await world.keys() == keys
    assert (await world.body("ann"))["fence"] == "f1"


async def test_age_is_that_of_the_body_judged(world: TableWorld) -> None:
    """What was listed as old and rewritten since is young."""
    await put(world, "tables/users/objects/gone.json", absent("gone"))
    await put(world, f"tables/users/_uniques/email/{X}.json", {"id": "ann", "nonce": "n"})
    world.clock.advance(DAY + 1)
    get = world.engine.store.get

    async def rewritten(key: str, **options: Any) -> Any:
        if key == "tables/users/objects/gone.json":
            await put(world, key, absent("gone", fence="f2"))
        if "_uniques" in key:
            await put(world, key, {"id": "ann", "nonce": "n2"})
        return await get(key, **options)

    world.engine.store.get = rewritten
    result = await vacuum(world.engine)

    assert result.removed == {}


async def test_a_dry_run_counts_and_touches_nothing(world: TableWorld) -> None:
    await garbage(world)
    keys = await world.keys()
    etags = [info.etag async for info in world.store.list()]
    world.clock.advance(DAY + 1)
    result = await vacuum(world.engine, dry_run=True)

    assert result.removed == dict.fromkeys(Garbage, 1)
    assert result.dry_run
    assert await world.keys() == keys
    assert [info.etag async for info in world.store.list()] == etags


async def test_a_second_vacuum_finds_nothing(world: TableWorld) -> None:
    await garbage(world)
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)

    assert (await vacuum(world.engine)).removed == {}


async def test_a_key_that_was_vacuumed_can_be_written_again(world: TableWorld) -> None:
    await garbage(world)
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)
    await world.insert("gone", age=1, email="x")

    assert await world.by_email("x") == "gone"


async def test_released_claims_go(world: TableWorld) -> None:
    """Without conditional delete a released claim stays, free to take; vacuum removes it."""
    await world.update("ann", age=7, email="new")
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)

    assert len(await world.keys("_uniques")) == 1


async def test_a_claim_is_live_by_its_value_not_its_tag(world: TableWorld) -> None:
    """A claim whose etag the document has not recorded still guards the document's value."""
    key = (await world.keys("_uniques"))[0]
    await put(world, key, {"id": "ann", "nonce": "another"})
    world.clock.advance(DAY + 1)
    result = await vacuum(world.engine)

    assert result.removed == {}
    assert await world.keys("_uniques") == [key]


async def test_an_entry_needs_value_and_tag(world: TableWorld) -> None:
    """The right value under another tag is dead: its key never comes back."""
    (live,) = await world.keys("_indexes")
    dead = await put(world, live.rsplit("/", 1)[0] + "/r0")
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)

    assert await world.keys("_indexes") == [live]
    assert dead != live


async def test_documents_of_another_tool_keep_their_entries(world: TableWorld) -> None:
    """A document without revision records no tags: an entry of its value stays."""
    await world.put_foreign("go", age=7)
    key = (await world.keys("_indexes"))[0]
    entry = await put(world, key.rsplit("/", 2)[0] + "/go/r9")
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)

    assert entry in await world.keys()


@pytest.mark.parametrize("tables", [None, []], ids=["every table", "decisions only"])
async def test_a_committed_decision_goes_after_its_documents(world: TableWorld, tables: list[str] | None) -> None:
    """The crash came after the decision: vacuum finishes the transaction, then forgets it."""
    body = await world.body("ann")
    changed = {name: body[name] for name in ("created_at", "updated_at")}
    changed |= {"fields": {"age": 8, "email": "a@b.c"}, "revision": "r2", "past": [body["revision"]], "tags": {}}
    intent = {"tx": "t1", "op": "put", "document": changed | {"tags": body["tags"]}}
    await put(world, "tables/users/objects/ann.json", body | {"intent": intent})
    keys = ["tables/users/objects/ann.json"]
    await put(world, "_transactions/t1.json", {"state": "committed", "keys": keys})
    world.clock.advance(DAY + 1)
    await vacuum(world.engine, tables=tables)
    after = await world.body("ann")

    assert (after["fields"]["age"], "intent" in after) == (8, False)
    assert await world.keys("_transactions") == []


async def test_tables_without_state_are_left_alone(world: TableWorld) -> None:
    """What another tool wrote and this library never touched: nothing of it is ours."""
    body = absent("gone")
    await put(world, "tables/others/objects/gone.json", body | {"table_name": "others"})
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)

    assert await world.keys("tables/others") == ["tables/others/objects/gone.json"]


async def test_only_the_tables_asked_for(world: TableWorld) -> None:
    await put(world, "tables/users/objects/gone.json", absent("gone"))
    world.clock.advance(DAY + 1)

    assert (await vacuum(world.engine, tables=[])).removed == {}


async def test_problems_are_named_and_end_nothing(world: TableWorld) -> None:
    left = await garbage(world)
    await world.store.put("tables/users/objects/bad.json", b"{")
    await world.store.put(f"tables/users/_uniques/email/{encode_value('text', 'bad')}.json", b"{")
    await world.store.put("_transactions/bad.json", b"{")
    world.clock.advance(DAY + 1)
    result = await vacuum(world.engine)

    assert len(result.problems) == 3
    assert left[Garbage.ABSENT] not in await world.keys()
    assert "tables/users/objects/bad.json" in await world.keys()


async def test_leftovers_of_a_dropped_index(world: TableWorld) -> None:
    """What a late writer left after the drop goes, as long as the index does not come back."""
    await drop_index(world.engine, world.layout, "age")
    entry = await put(world, "tables/users/_indexes/age/nx/ann/r0")
    claim = await put(world, f"tables/users/_uniques/old/{X}.json", {"id": "ann", "nonce": "n"})
    world.clock.advance(DAY + 1)
    result = await vacuum(world.engine)

    assert result.removed == {Garbage.LEFTOVER: 2}
    keys = await world.keys()
    assert entry not in keys
    assert claim not in keys


async def test_an_index_being_built_is_no_leftover(world: TableWorld) -> None:
    await drop_index(world.engine, world.layout, "age")
    await add_indexes(world.engine, world.layout, [AGE])
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)

    assert await world.by_age(7) == ["ann"]


# ---- without conditional delete


async def test_marks_before_it_deletes() -> None:
    """`dying` keeps writers away while the unconditional delete may be on its way."""
    world = lax_world()
    await world.insert("ann", age=1)
    await world.documents.delete("ann")
    world.clock.advance(DAY + 1)
    seen: list[dict[str, Any]] = []
    delete = world.engine.store.delete

    async def watched(key: str, **options: Any) -> None:
        seen.append(await world.body("ann"))
        await delete(key, **options)

    world.engine.store.delete = watched
    await vacuum(world.engine)

    assert [bool(body.get("dying")) and body["absent"] for body in seen] == [True]
    assert await world.keys("objects") == []


async def test_a_late_delete_is_not_sent() -> None:
    """The delete must be signed within a minute of the mark: after a stall it is left to the next vacuum."""
    world = lax_world()
    await world.insert("ann", age=1)
    await world.documents.delete("ann")
    world.clock.advance(DAY + 1)
    put_ = world.engine.store.put

    async def stalled(key: str, data: bytes, **options: Any) -> Any:
        info = await put_(key, data, **options)
        world.clock.advance(61)
        return info

    world.engine.store.put = stalled
    result = await vacuum(world.engine)

    assert result.removed == {}
    assert (await world.body("ann"))["dying"]


async def test_a_crash_after_the_mark_blocks_one_key_for_a_while() -> None:
    """Writers wait 17 minutes, then write over the mark; the next vacuum is not needed for that."""
    world = lax_world()
    await put(world, "tables/users/objects/ann.json", absent("ann", dying="d"))
    began = world.clock()
    await world.insert("ann", age=1)

    assert world.clock() - began > 15 * 60
    assert (await world.body("ann"))["fields"] == {"age": 1}
    assert "dying" not in await world.body("ann")


async def test_a_mark_that_was_left_behind_goes_a_day_later() -> None:
    world = lax_world()
    await world.insert("bob", age=1)
    await put(world, "tables/users/objects/ann.json", absent("ann", dying="d"))
    world.clock.advance(DAY + 1)
    await vacuum(world.engine)

    assert await world.keys("objects/ann") == []


async def test_an_unanswered_delete_is_not_counted() -> None:
    world = lax_world()
    await world.insert("ann", age=1)
    await world.documents.delete("ann")
    world.clock.advance(DAY + 1)

    async def lost(key: str, **options: Any) -> None:
        raise UnknownOutcomeError("No answer.", operation="delete", key=key)

    world.engine.store.delete = lost
    result = await vacuum(world.engine)

    assert result.removed == {}
