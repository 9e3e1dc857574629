"""The pace of bulk work: up a little with every answer, down by half when the store refuses, and what waits for it."""

from __future__ import annotations

import asyncio

import msgspec

from ddao_async.storage.congestion import Pace, answered, begun, refused
from ddao_async.storage.gate import Gate


def rounds(pace: Pace, count: int, seconds: float = 0.01, start: float = 0.0) -> Pace:
    """The pace after so many answers, each as late."""
    for n in range(count):
        pace = answered(pace, seconds, start + n * seconds)
    return pace


def test_it_starts_by_one_for_each_answer_and_stops_at_the_ceiling() -> None:
    assert begun(64).limit == 8
    assert rounds(begun(64), 20).limit == 28
    assert rounds(begun(64), 500).limit == 64
    assert begun(3).limit == 3


def test_a_refusal_halves_it_and_then_it_grows_by_one_a_round() -> None:
    pace = refused(rounds(begun(64), 500), 100.0)

    assert pace.limit == 32
    assert 32.9 < rounds(pace, 32, start=101.0).limit < 33.1


def test_refusals_of_what_was_in_flight_together_count_once() -> None:
    pace = refused(rounds(begun(64), 500), 100.0)
    for late in (100.001, 100.005, 100.009):
        pace = refused(pace, late)

    assert pace.limit == 32
    assert refused(pace, 100.2).limit == 16


def test_it_never_falls_below_one() -> None:
    pace = begun(64)
    for n in range(100):
        pace = refused(pace, float(n))

    assert pace.limit == 1


def test_answers_that_become_slow_cut_it_and_a_busy_client_does_not() -> None:
    quick = rounds(begun(64), 500, seconds=0.005)

    assert rounds(quick, 200, seconds=0.05, start=10.0).limit == 64
    slow = rounds(quick, 200, seconds=0.5, start=10.0)
    assert slow.limit < 32
    assert rounds(slow, 3000, seconds=0.005, start=200.0).limit == 64


def test_a_lucky_answer_is_forgotten() -> None:
    pace = rounds(answered(begun(64), 0.0001, 0.0), 20_000, seconds=0.3)

    assert pace.limit == 64


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_the_gate_lets_in_as_many_as_the_pace_says_first_come_first_served() -> None:
    clock = Clock()
    gate = Gate(object(), clock=clock)
    gate.open(2)
    order: list[int] = []

    async def work(n: int) -> None:
        await gate.enter()
        order.append(n)

    tasks = [asyncio.create_task(work(n)) for n in range(4)]
    await asyncio.sleep(0)
    assert (order, gate.in_flight) == ([0, 1], 2)
    gate.leave(0.0)
    await asyncio.sleep(0)
    gate.leave(0.0)
    await asyncio.gather(*tasks)
    assert (order, gate.in_flight) == ([0, 1, 2, 3], 2)


async def test_whoever_is_cancelled_while_waiting_gives_the_place_on() -> None:
    gate = Gate(object(), clock=Clock())
    gate.open(1)
    await gate.enter()
    first, second = (asyncio.create_task(gate.enter()) for _ in range(2))
    await asyncio.sleep(0)
    gate.leave(None)  # lets the first in, which is cancelled before it runs
    first.cancel()
    await second

    assert gate.in_flight == 1
    gate.leave(None)
    assert gate.in_flight == 0


async def test_two_at_once_share_one_pace() -> None:
    gate = Gate(object(), clock=Clock())
    gate.open(64)
    for _ in range(200):
        await gate.enter()
        gate.leave(0.0)
    gate.refused()
    before = gate.pace.limit
    gate.open(16)
    gate.close(64)

    assert (before, gate.pace.limit, gate.pace.ceiling) == (32, 16, 16)


async def test_each_refused_attempt_that_a_store_tells_of_slows_it() -> None:
    class Sent(msgspec.Struct):
        status: int

    class Watched:
        def watch(self, watcher: object) -> None:
            self.watcher = watcher

    store = Watched()
    gate = Gate(store, clock=Clock())
    gate.open(8)
    store.watcher(Sent(200))  # type: ignore[operator]
    assert gate.pace.limit == 8
    store.watcher(Sent(503))  # type: ignore[operator]
    assert gate.pace.limit == 4
