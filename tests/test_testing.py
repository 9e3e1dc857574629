"""FaultyStore, CountingStore and ManualClock: what users build their own tests on."""

from __future__ import annotations

import asyncio

import pytest

from ddao_async.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    ConnectionTimeoutError,
    NotFoundError,
    StoreUnavailableError,
    ThrottledError,
    UnknownOutcomeError,
    UnsupportedError,
)
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import Capabilities
from ddao_async.testing import (
    Answer,
    CountingStore,
    Crash,
    Crashed,
    Failed,
    FaultyStore,
    Lost,
    ManualClock,
    RandomFaults,
    Refused,
    Script,
)


async def test_without_faults_it_is_the_store_inside():
    store = FaultyStore(MemoryAdapter(), Script())

    info = await store.put("a/1", b"x", if_none_match=True, metadata={"M": "v"}, content_type="text/plain")
    found = await store.get("a/1")
    assert found is not None
    assert (found.data, found.info.metadata, found.info.content_type) == (b"x", {"m": "v"}, "text/plain")
    assert await store.get("a/1", if_none_match=info.etag) is None
    assert (await store.head("a/1")).etag == info.etag
    assert [i.key async for i in store.list("a/")] == ["a/1"]
    with pytest.raises(AlreadyExistsError):
        await store.put("a/1", b"y", if_none_match=True)
    with pytest.raises(ConflictError):
        await store.delete("a/1", if_match="other")
    await store.delete("a/1", if_match=info.etag)
    with pytest.raises(NotFoundError):
        await store.get("a/1")


async def test_a_create_without_an_answer_is_not_repeated():
    for applied in (False, True):
        memory, script = MemoryAdapter(), Script(Lost(applied=applied))
        with pytest.raises(UnknownOutcomeError) as error:
            await FaultyStore(memory, script).put("k", b"x", if_none_match=True)

        assert error.value.status is None
        assert len(script.attempts) == 1
        assert [i.key async for i in memory.list()] == (["k"] if applied else [])


async def test_a_delete_without_condition_is_not_repeated():
    """It could delete what somebody wrote after it had taken effect."""
    script = Script(Lost(applied=True))
    with pytest.raises(UnknownOutcomeError):
        await FaultyStore(MemoryAdapter(), script).delete("k")

    assert len(script.attempts) == 1


async def test_a_replacing_put_is_repeated_until_it_is_answered():
    memory = MemoryAdapter()
    etag = (await memory.put("k", b"1")).etag

    script = Script(Lost(), Lost(), Answer())
    await FaultyStore(memory, script).put("k", b"2", if_match=etag)

    assert [attempt.number for attempt in script.attempts] == [1, 2, 3]
    found = await memory.get("k")
    assert found is not None
    assert found.data == b"2"


async def test_a_refused_repetition_is_an_unknown_outcome():
    """The first attempt may be the very reason for the refusal: that is not a conflict."""
    memory = MemoryAdapter()
    etag = (await memory.put("k", b"1")).etag

    with pytest.raises(UnknownOutcomeError) as error:
        await FaultyStore(memory, Script(Lost(applied=True))).put("k", b"2", if_match=etag)
    assert error.value.status == 412
    with pytest.raises(UnknownOutcomeError) as error:
        await FaultyStore(memory, Script(Lost(applied=True))).delete("k", if_match=(await memory.head("k")).etag)
    assert error.value.status == 404


async def test_a_refusal_without_a_lost_answer_is_a_conflict():
    with pytest.raises(ConflictError):
        await FaultyStore(MemoryAdapter(), Script(Refused(409), Refused(503))).put("k", b"2", if_match="e")


@pytest.mark.parametrize(
    ("fate", "error"),
    [(Refused(503), ThrottledError), (Refused(409), StoreUnavailableError), (Lost(), UnknownOutcomeError)],
)
async def test_attempts_are_bounded(fate, error):
    async def always(_):
        return fate

    with pytest.raises(error):
        await FaultyStore(MemoryAdapter(), always, max_attempts=3).put("k", b"")


async def test_a_read_without_an_answer_times_out_and_is_not_unknown():
    async def never(_):
        return Lost()

    store = FaultyStore(MemoryAdapter(), never, max_attempts=3)
    with pytest.raises(ConnectionTimeoutError):
        await store.get("k")
    with pytest.raises(ConnectionTimeoutError):
        async for _ in store.list():
            pass


async def test_attempts_end_with_the_deadline():
    clock = ManualClock()

    async def slow(_):
        clock.advance(20)
        return Lost()

    store = FaultyStore(MemoryAdapter(clock=clock), slow, deadline=30)
    with pytest.raises(UnknownOutcomeError):
        await store.put("k", b"")

    assert clock() - ManualClock()() == 40


async def test_a_twin_lands_once_and_later():
    memory = MemoryAdapter()
    store = FaultyStore(memory, Script(Lost(twin=True)))
    with pytest.raises(UnknownOutcomeError):
        await store.put("k", b"late", if_none_match=True)

    assert [i.key async for i in memory.list()] == []
    assert await store.land()
    assert [i.key async for i in memory.list()] == ["k"]
    assert not await store.land()


async def test_a_twin_obeys_its_condition():
    memory = MemoryAdapter()
    store = FaultyStore(memory, Script(Lost(twin=True)))
    with pytest.raises(UnknownOutcomeError):
        await store.put("k", b"late", if_none_match=True)
    await memory.put("k", b"other")

    assert not await store.land()


async def test_a_twin_dies_with_its_signature():
    clock = ManualClock()
    store = FaultyStore(MemoryAdapter(clock=clock), Script(Lost(twin=True)), grace=900, deadline=30)
    with pytest.raises(UnknownOutcomeError):
        await store.put("k", b"late", if_none_match=True)
    clock.advance(931)

    assert not await store.land()


async def test_a_crashed_client_does_nothing_any_more():
    memory = MemoryAdapter()
    store = FaultyStore(memory, Script(Answer(), Crash(applied=True)))
    await store.put("a", b"")
    with pytest.raises(Crashed):
        await store.put("b", b"")
    with pytest.raises(Crashed):
        await store.put("c", b"")

    assert [i.key async for i in memory.list()] == ["a", "b"]


async def test_any_error_can_be_planted():
    refused = AccessDeniedError("No.", operation="get", key="k", status=403)
    store = FaultyStore(MemoryAdapter(), Script(Failed(refused)))

    with pytest.raises(AccessDeniedError) as error:
        await store.get("k")
    assert error.value is refused


async def test_a_server_without_conditional_delete():
    capabilities = Capabilities(conditional_put=True, conditional_delete=False, sorted_list=True)
    store = FaultyStore(MemoryAdapter(), Script(), capabilities=capabilities)

    with pytest.raises(UnsupportedError):
        await store.delete("k", if_match="e")


async def test_lists_come_in_pages_with_a_fault_for_each():
    memory = MemoryAdapter()
    for key in ("a/1", "a/2", "b", "c/1", "d"):
        await memory.put(key, b"")
    script = Script()
    store = FaultyStore(memory, script, page_size=2)

    assert [i.key async for i in store.list()] == ["a/1", "a/2", "b", "c/1", "d"]
    assert len(script.attempts) == 3
    assert [i.key async for i in store.list(start_after="a/1", limit=2)] == ["a/2", "b"]
    pages = [(page.prefixes, [i.key for i in page.objects]) async for page in store.list_pages(delimiter="/")]
    assert pages == [(["a/"], ["b"]), (["c/"], ["d"])]


async def test_a_late_answer_is_late():
    async with asyncio.timeout(5):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await FaultyStore(MemoryAdapter(), Script(Answer(late=0.05))).put("k", b"")

    assert loop.time() - began >= 0.04


async def test_random_faults_are_a_function_of_their_seed():
    async def history(seed: int) -> list[str]:
        store = FaultyStore(MemoryAdapter(), RandomFaults(seed, lost=0.3, refused=0.2, crash=0.02))
        told = []
        for number in range(40):
            try:
                await store.put(f"k{number % 3}", b"%d" % number, if_none_match=number % 2 == 0)
                told.append("ok")
            except Exception as error:
                told.append(type(error).__name__)
            except Crashed:
                break
        return told

    assert await history(1) == await history(1)
    assert await history(1) != await history(2)


async def test_requests_are_counted():
    store = CountingStore(MemoryAdapter())
    await store.put("a", b"1")
    await store.get("a")
    await store.head("a")
    assert [i.key async for i in store.list()] == ["a"]
    await store.delete("a")

    assert store.counts() == {"put": 1, "get": 1, "head": 1, "list": 1, "delete": 1}
    assert store.requests[0] == ("put", "a")
    assert store.capabilities.conditional_put
    store.reset()
    assert store.counts() == {}


async def test_a_manual_clock_moves_by_hand_and_by_sleeping():
    clock = ManualClock(start=100)
    clock.advance(5)
    await clock.sleep(2.5)

    assert clock() == 107.5
