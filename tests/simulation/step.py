"""What programs are made of: the single things that a client does, and when it begins them or stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .actor import Actor
from .setup import Setup

Step = Callable[[Actor], Awaitable[None]]
Program = Callable[[Actor], Awaitable[None]]


def program(*steps: Step) -> Program:
    """A client that does one thing after the other."""

    async def run(actor: Actor) -> None:
        for step in steps:
            await step(actor)

    return run


def find(doc: str) -> Step:
    return lambda a: a.find(doc)


def add(doc: str, n: int) -> Step:
    return lambda a: a.update(doc, lambda d: {"n": d.get("n", 0) + n})


def upsert(doc: str, **fields: Any) -> Step:
    return lambda a: a.upsert(doc, **fields)


def put(doc: str, **fields: Any) -> Step:
    """Change these fields."""
    return lambda a: a.update(doc, lambda d: fields)


def insert(doc: str, **fields: Any) -> Step:
    return lambda a: a.insert(doc, **fields)


def delete(doc: str) -> Step:
    return lambda a: a.delete(doc)


def look(column: str, value: str) -> Step:
    return lambda a: a.find_by(column, value)


def tx(reads: list[str], body: Any) -> Step:
    return lambda a: a.transaction(reads, body)


def nothing(_: Any) -> dict[str, Any]:
    return {}


def move(source: str, target: str, n: int) -> Step:
    def body(s: Any) -> Any:
        if s[source] is None or s[target] is None:
            return None
        return {source: {"n": s[source]["n"] - n}, target: {"n": s[target]["n"] + n}}

    return tx([source, target], body)


def grow(*ids: str) -> Step:
    """One transaction that adds one to each."""
    return tx(list(ids), lambda s: {i: {"n": s[i]["n"] + 1} for i in ids})


def when(holds: Callable[[], bool], step: Step) -> Step:
    """Begin once this holds; or at last anyway."""

    async def run(a: Actor) -> None:
        for _ in range(300):
            if holds():
                break
            await a.client.turn()
        await step(a)

    return run


def once(w: Setup, column: str, state: str | None, step: Step) -> Step:
    """Begin when `_state.json` says this of an index; None: there is none."""
    return when(lambda: w.world.index_state(column) == state, step)


def sleepy(w: Setup, program: Program, *, longest: int = 16) -> Program:
    """More often than not, one of the first answers arrives after most of an hour."""

    async def run(a: Actor) -> None:
        if w.rng.random() < 0.7:
            a.client.naps = {w.rng.randrange(1, longest): w.rng.choice((1100.0, 2200.0, 3000.0, 3400.0))}
        await program(a)

    return run


def slowly(w: Setup, step: Step, *points: int) -> Step:
    """Stand still after the answers of these numbers."""

    async def run(a: Actor) -> None:
        for point in points:
            a.client.stalls[a.client.decided + point] = w.rng.randrange(4, 24)
        await step(a)

    return run


def at_intent(w: Setup, doc: str, step: Step, *, decided: bool, after: int, steps: int) -> Step:
    """Start at an intent on this key, then stand still after so many answers for so many steps."""

    async def stalled(a: Actor) -> None:
        a.client.stalls[a.client.decided + after] = steps
        await step(a)

    return when(lambda: w.world.is_locked(doc, decided=decided), stalled)
