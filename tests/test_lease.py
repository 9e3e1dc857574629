"""Leases: one holder at a time, tokens that only grow, losses that reach the holder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

import pytest
from bucket import NO_CONDITIONS, Bucket

from ddao_async.engine import Engine
from ddao_async.errors import ConflictError, LeaseLostError, StoreUnavailableError, UnsupportedError, ValidationError
from ddao_async.lease import SKEW, Lease
from ddao_async.storage.protocol import ObjectStore
from ddao_async.testing import FaultyStore
from ddao_async.testing.fault import Answer, Failed, Lost, Script

KEY = "_leases/nightly.json"


class Sleeper:
    """Time that moves only by `advance`, and wakes whoever slept so long."""

    def __init__(self, bucket: Bucket) -> None:
        self._clock = bucket.clock
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleeping.append((self._clock() + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        until = self._clock() + seconds
        await settle()
        while due := sorted(at for at, future in self._sleeping if at <= until and not future.done()):
            self._clock.advance(max(0.0, due[0] - self._clock()))
            for at, future in self._sleeping:
                if at <= self._clock() and not future.done():
                    future.set_result(None)
            await settle()
        self._clock.advance(until - self._clock())
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def client(bucket: Bucket, sleeper: Sleeper, name: str = "c", store: ObjectStore | None = None) -> Engine:
    drawn = count(1)
    return Engine(
        store or bucket.memory,
        clock=bucket.clock,
        monotonic=bucket.clock,
        sleep=sleeper.sleep,
        nonce=lambda: f"{name}{next(drawn)}",
        jitter=lambda: 0.5,
    )


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def sleeper(bucket: Bucket) -> Sleeper:
    return Sleeper(bucket)


async def test_a_lease_is_held_released_and_its_token_grows(bucket: Bucket, sleeper: Sleeper):
    engine = client(bucket, sleeper)
    tokens = []
    for _ in range(3):
        async with Lease(engine, "nightly", ttl=30) as lease:
            tokens.append(lease.token)
            held = await bucket.json(KEY)
    released = await bucket.json(KEY)

    assert tokens == [1, 2, 3]
    assert (held["holder"], held["token"], held["expires_at"]) == ("c3", 3, "2026-11-22T00:00:30Z")
    assert (released["holder"], released["token"]) == (None, 3)


async def test_a_held_lease_is_renewed_and_keeps_others_out(bucket: Bucket, sleeper: Sleeper):
    async with Lease(client(bucket, sleeper), "nightly", ttl=30) as lease:
        waiting = asyncio.create_task(enter(Lease(client(bucket, sleeper, "d"), "nightly", timeout=100)))
        await sleeper.advance(200)

        assert isinstance(waiting.exception(), ConflictError)
        assert (lease.is_lost, lease.token) == (False, 1)
        lease.check()


async def enter(lease: Lease) -> int:
    async with lease:
        return lease.token


async def test_who_waits_gets_it_when_it_is_released(bucket: Bucket, sleeper: Sleeper):
    async with Lease(client(bucket, sleeper), "nightly", ttl=30):
        waiting = asyncio.create_task(enter(Lease(client(bucket, sleeper, "d"), "nightly")))
        await sleeper.advance(100)
    await sleeper.advance(2)

    assert await waiting == 2


async def test_a_crashed_holder_is_followed_after_its_time(bucket: Bucket, sleeper: Sleeper):
    await bucket.put(KEY, {"holder": "dead", "token": 6, "expires_at": "2026-11-22T00:00:30Z"})
    waiting = asyncio.create_task(enter(Lease(client(bucket, sleeper), "nightly")))
    await sleeper.advance(30 + SKEW)

    assert waiting.done() is False
    await sleeper.advance(2)
    assert await waiting == 7


async def hold(lease: Lease, work: Callable[[], object]) -> str:
    """Hold a lease for ever; what the block saw."""
    try:
        async with lease:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                work()
                raise
    except LeaseLostError:
        return "lost"
    return "left"


async def test_a_lease_taken_over_cancels_its_block_and_says_why(bucket: Bucket, sleeper: Sleeper):
    seen: list[str] = []
    holding = asyncio.create_task(
        hold(Lease(client(bucket, sleeper), "nightly", ttl=30), lambda: seen.append("cancelled"))
    )
    await settle()
    await bucket.put(KEY, {"holder": "thief", "token": 2, "expires_at": "2026-11-22T01:00:00Z"})
    await sleeper.advance(11)

    assert (await holding, seen) == ("lost", ["cancelled"])
    assert (await bucket.json(KEY))["holder"] == "thief"


async def test_a_lease_that_cannot_be_renewed_in_time_is_lost(bucket: Bucket, sleeper: Sleeper):
    async def down(attempt: object) -> Answer | Failed:
        return Failed(StoreUnavailableError("down")) if bucket.clock() > began else Answer()

    began = bucket.clock()
    engine = client(bucket, sleeper, store=FaultyStore(bucket.memory, down))
    lease = Lease(engine, "nightly", ttl=30)
    holding = asyncio.create_task(hold(lease, lambda: None))
    await settle()
    await sleeper.advance(29)

    assert (holding.done(), lease.is_lost) == (False, False)
    await sleeper.advance(5)
    assert (await holding, lease.is_lost) == ("lost", True)
    with pytest.raises(LeaseLostError):
        lease.check()


async def test_renewals_without_an_answer_are_settled(bucket: Bucket, sleeper: Sleeper):
    store = FaultyStore(bucket.memory, Script(), deadline=0.0, max_attempts=1)
    lease = Lease(client(bucket, sleeper, store=store), "nightly", ttl=30)
    async with lease:
        store._faults = Script(Lost(applied=True), Answer(), Lost(), Answer())
        await sleeper.advance(60)

        assert lease.is_lost is False
    assert (await bucket.json(KEY))["holder"] is None


async def test_a_taking_without_an_answer_is_settled(bucket: Bucket, sleeper: Sleeper):
    faults = Script(Answer(), Lost(applied=True))
    store = FaultyStore(bucket.memory, faults, deadline=0.0, max_attempts=1)
    entering = asyncio.create_task(enter(Lease(client(bucket, sleeper, store=store), "nightly", ttl=30)))
    await settle()
    await sleeper.advance(1)

    assert await entering == 1


async def test_a_block_that_ends_while_its_lease_is_lost_still_says_so(bucket: Bucket, sleeper: Sleeper):
    lease = Lease(client(bucket, sleeper), "nightly", ttl=30)

    async def work() -> None:
        async with lease:
            await bucket.put(KEY, {"holder": "thief", "token": 2, "expires_at": "2026-11-22T01:00:00Z"})
            moving = asyncio.create_task(sleeper.advance(11))
            try:
                await asyncio.shield(moving)
            except asyncio.CancelledError:
                await moving

    with pytest.raises(LeaseLostError):
        await work()
    await asyncio.sleep(0)  # no cancellation is left behind
    assert asyncio.current_task().cancelling() == 0


async def test_an_error_of_the_block_passes_and_the_lease_is_released(bucket: Bucket, sleeper: Sleeper):
    with pytest.raises(ZeroDivisionError):
        async with Lease(client(bucket, sleeper), "nightly"):
            raise ZeroDivisionError

    assert (await bucket.json(KEY))["holder"] is None


async def test_a_cancelled_block_stays_cancelled_and_the_lease_is_released(bucket: Bucket, sleeper: Sleeper):
    holding = asyncio.create_task(hold(Lease(client(bucket, sleeper), "nightly"), lambda: None))
    await settle()
    holding.cancel()

    with pytest.raises(asyncio.CancelledError):
        await holding
    assert (await bucket.json(KEY))["holder"] is None


async def test_no_task_is_left_behind(bucket: Bucket, sleeper: Sleeper):
    before = asyncio.all_tasks()
    async with Lease(client(bucket, sleeper), "nightly"):
        pass

    assert asyncio.all_tasks() == before


async def test_eight_clients_hold_it_one_after_the_other(bucket: Bucket, sleeper: Sleeper):
    inside, most, tokens = 0, 0, []

    async def work(name: str) -> None:
        nonlocal inside, most
        async with Lease(client(bucket, sleeper, name), "nightly", ttl=30) as lease:
            inside += 1
            most = max(most, inside)
            tokens.append(lease.token)
            await sleeper.sleep(5)
            inside -= 1

    working = [asyncio.create_task(work(f"c{number}x")) for number in range(8)]
    await sleeper.advance(120)
    await asyncio.gather(*working)

    assert (most, tokens) == (1, list(range(1, 9)))


async def test_what_cannot_be_a_lease_is_refused(bucket: Bucket, sleeper: Sleeper):
    engine = client(bucket, sleeper)
    with pytest.raises(ValidationError):
        Lease(engine, "", ttl=30)
    with pytest.raises(ValidationError):
        Lease(engine, "nightly", ttl=0)
    with pytest.raises(UnsupportedError, match="lease"):
        async with Lease(bucket.client(capabilities=NO_CONDITIONS).engine, "nightly"):
            pass
