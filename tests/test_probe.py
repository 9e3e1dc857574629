"""The probe of maintenance.probe: what it finds on servers of every habit, and how it is remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from fix_storage import Place
from lax_store import LaxStore

from ddao_async.errors import AccessDeniedError, CorruptDocumentError, UnknownOutcomeError, UnsupportedError
from ddao_async.maintenance.doctor import Health, diagnose
from ddao_async.maintenance.probe import ensure_probed, probe, probe_again
from ddao_async.storage.capability import Probe, learned, record
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import Capabilities, ObjectInfo

BY_DIRECTORY = "seaweedfs"
ALL = Capabilities(conditional_put=True, conditional_delete=True, sorted_list=True)


async def keys_of(store: LaxStore) -> list[str]:
    return [info.key async for info in store.memory.list()]


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (LaxStore(), (True, True, True)),
        (LaxStore("delete"), (True, False, True)),
        (LaxStore("create", "replace", "delete"), (False, False, True)),
        (LaxStore("create"), (False, True, True)),
        (LaxStore("replace"), (False, True, True)),
        (LaxStore(racy=True), (False, True, True)),
        (LaxStore(refuses=("create",)), (False, True, True)),
        (LaxStore(refuses=("replace", "delete")), (False, False, True)),
        (LaxStore(by_directory=True), (True, True, False)),
    ],
    ids=["all", "minio", "rclone", "no create", "no replace", "racy", "501 create", "501 others", "directories"],
)
async def test_finds_what_is_enforced(store: LaxStore, expected: tuple[bool, bool, bool]) -> None:
    found = (await probe(store)).probe

    assert (found.conditional_put, found.conditional_delete, found.sorted_list) == expected
    assert await keys_of(store) == []


async def test_touches_throw_away_keys_only() -> None:
    """A probe beside data writes below `_probe/` and nowhere else."""
    store = LaxStore("create", "replace", "delete")
    await store.memory.put("tables/users/objects/ann.json", b"{}")
    await probe(store)

    assert all(key.startswith("_probe/") for _, key in store.requests)
    assert await keys_of(store) == ["tables/users/objects/ann.json"]


async def test_is_asked_once_and_remembered() -> None:
    """The second client reads one object and probes nothing."""
    memory = MemoryAdapter()
    first = await ensure_probed(LaxStore("delete", memory=memory))
    second_store = LaxStore("delete", memory=memory)
    second = await ensure_probed(second_store)

    assert first == second == Capabilities(conditional_put=True, conditional_delete=False, sorted_list=True)
    assert second_store.requests == [("get", "_ddao.json")]


async def test_memory_needs_no_probe() -> None:
    """A store that declares everything costs no request and gets no `_ddao.json`."""
    store = MemoryAdapter()

    assert await ensure_probed(store) == ALL
    assert [info.key async for info in store.list()] == []


async def test_a_bucket_never_probed_is_known_for_nothing() -> None:
    assert await learned(LaxStore()) == Capabilities()


async def test_what_one_server_enforces_says_nothing_about_another() -> None:
    """A bucket copied to another endpoint brings its `_ddao.json` along; it is not believed there."""

    class At(LaxStore):
        address = ""

    memory = MemoryAdapter()
    strict, lax = At(memory=memory), At("delete", memory=memory)
    strict.address, lax.address = "https://s3.amazonaws.com/b", "http://127.0.0.1:9000/b"
    await ensure_probed(strict)

    assert await learned(lax) == Capabilities()
    assert (await ensure_probed(lax)).conditional_delete is False
    assert await learned(strict) == ALL


async def test_a_declaration_wins_over_a_record() -> None:
    class Knows(LaxStore):
        capabilities = Capabilities(conditional_delete=False)

    assert await ensure_probed(Knows()) == Capabilities(True, False, True)


async def test_tells_the_store_what_it_enforces() -> None:
    class Learns(LaxStore):
        told: Capabilities | None = None

        def learn(self, capabilities: Capabilities) -> None:
            self.told = capabilities

    memory = MemoryAdapter()
    store, later = Learns("delete", memory=memory), Learns("delete", memory=memory)
    await ensure_probed(store)
    await learned(later)

    assert store.told == later.told == Capabilities(True, False, True)


async def test_racing_probers_agree() -> None:
    """Eight clients probe one new bucket at once: one record, one answer."""
    memory = MemoryAdapter()
    found = await asyncio.gather(*(ensure_probed(LaxStore("delete", memory=memory)) for _ in range(8)))

    assert set(found) == {Capabilities(True, False, True)}
    assert [info.key async for info in memory.list()] == ["_ddao.json"]


@pytest.mark.parametrize("first", [True, False])
async def test_where_two_records_meet_the_weaker_stays(first: bool) -> None:
    """Two first probers that saw different servers behind one address: nobody may rely on what one did not see."""
    store = LaxStore()
    await record(store, Probe(True, first, True, "2026-01-01T00:00:00Z"), replace=False)
    kept = await record(store, Probe(True, not first, True, "2026-01-02T00:00:00Z"), replace=False)

    assert not kept.conditional_delete
    assert await learned(store) == Capabilities(True, False, True)


async def test_probing_again_replaces_the_record() -> None:
    memory = MemoryAdapter()
    await ensure_probed(LaxStore("delete", memory=memory))
    await probe_again(LaxStore(memory=memory))

    assert await learned(LaxStore(memory=memory)) == ALL


async def test_a_corrupt_record_is_an_error() -> None:
    store = LaxStore()
    await store.memory.put("_ddao.json", b"[]")

    with pytest.raises(CorruptDocumentError, match=r"_ddao\.json.*doctor"):
        await learned(store)


class Unlucky(LaxStore):
    """Loses the answer of the n-th put, applied or not."""

    def __init__(self, at: int, *, applied: bool) -> None:
        super().__init__("delete")
        self.at, self.applied = at, applied

    async def put(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
        self.at -= 1
        if self.at == 0:
            if self.applied:
                await super().put(key, data, **options)
            raise UnknownOutcomeError("No answer.", operation="put", key=key)
        return await super().put(key, data, **options)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("at", range(1, 14))
async def test_a_lost_answer_proves_nothing(at: int, applied: bool) -> None:
    """Whichever answer is lost, the probe looks again on other keys and comes to the same result."""
    store = Unlucky(at, applied=applied)

    assert await ensure_probed(store) == Capabilities(True, False, True)
    assert await keys_of(store) == ["_ddao.json"]


async def test_a_refused_write_is_no_verdict() -> None:
    """Credentials that may not write say nothing about the server: the error comes through, nothing is recorded."""

    class ReadOnly(LaxStore):
        async def put(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
            raise AccessDeniedError("Access denied.", operation="put", key=key, status=403)

    store = ReadOnly()
    with pytest.raises(AccessDeniedError):
        await ensure_probed(store)

    assert await keys_of(store) == []


async def test_record_is_the_documented_json() -> None:
    """`_ddao.json` as storage.capability draws it."""
    store = LaxStore("delete")
    await ensure_probed(store)
    body = msgspec.json.decode((await store.memory.get("_ddao.json")).data)  # type: ignore[union-attr]
    found = body["servers"][""]

    assert sorted(found) == ["conditional_delete", "conditional_put", "probed_at", "sorted_list"]
    assert (found["conditional_put"], found["conditional_delete"]) == (True, False)


# ---- every store there is


async def test_finds_the_habits_of_every_store(place: Place, store: Any) -> None:
    """Against servers.md: what each real server enforces, through both lanes."""
    looks = await probe(store)
    found = looks.probe

    assert (found.conditional_put, found.conditional_delete, found.sorted_list) == (
        not place.gaps.ignores_put_conditions,
        not place.gaps.ignores_delete_conditions,
        not place.name.startswith(BY_DIRECTORY),
    ), looks.looks
    assert [info.key async for info in store.list()] == []


async def test_is_remembered_in_every_bucket(place: Place, store: Any) -> None:
    """A second adapter of the same bucket knows after one GET, and refuses by itself what would go wrong."""
    found = await ensure_probed(store)
    async with place.store() as second:
        assert await learned(second) == found
        assert second.capabilities == found
        if found.conditional_delete is False:
            await second.put("key", b"data")
            with pytest.raises(UnsupportedError):
                await second.delete("key", if_match="0" * 32)


async def test_the_doctor_passes_every_store(place: Place, store: Any) -> None:
    """No step fails anywhere; what a server lacks is a note."""
    steps = {step.name: step async for step in diagnose(store)}
    notes = [name for name, step in steps.items() if step.health is Health.NOTE]
    gaps = place.gaps
    lacking = (gaps.ignores_put_conditions, gaps.ignores_delete_conditions, place.name.startswith(BY_DIRECTORY))
    promises = ("conditional put", "conditional delete", "list order")

    assert [step for step in steps.values() if step.health in (Health.FAILED, Health.SKIPPED)] == []
    assert notes == [name for name, lacks in zip(promises, lacking, strict=True) if lacks]
