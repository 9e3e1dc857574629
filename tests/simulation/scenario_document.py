"""Transactions, and writes of single documents beside them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from .actor import Actor
from .setup import Setup
from .step import (
    Program,
    Step,
    add,
    at_intent,
    delete,
    find,
    grow,
    insert,
    move,
    nothing,
    program,
    put,
    slowly,
    tx,
)


def transfers(w: Setup) -> list[Program]:
    """Transfers, with a plain reader and a writer that meets intents."""
    w.document("a", n=10), w.document("b", n=10)
    if w.rng.random() < 0.6:
        return [program(move("a", "b", 1)), program(move("b", "a", 2)), program(find("a"), find("b"), find("a"))]
    w.document("c", n=10)
    return [
        program(move("a", "b", 1), find("a")),
        program(move("b", "c", 2)),
        program(find("b"), add("b", 5), find("a")),
    ]


def skew(w: Setup) -> list[Program]:
    """Each of two transactions reads what the other writes."""
    w.document("a", n=1), w.document("b", n=1)

    def sum_into(read: str, write: str) -> Step:
        ids = [read, write] if w.rng.random() < 0.5 else [write, read]
        return tx(ids, lambda s: {write: {"n": s[read]["n"] + s[write]["n"]}})

    third = [program(sum_into("a", "b")), program(find("a"), find("b")), program(tx(["a", "b"], nothing))]
    return [program(sum_into("a", "b")), program(sum_into("b", "a")), w.rng.choice(third)]


def reading(w: Setup) -> list[Program]:
    """Transactions that only read, also over missing keys."""
    w.document("a", n=1), w.document("b", n=1), w.missing("k"), w.missing("l")

    def flip(s: Any) -> Any:
        return {"a": {"n": s["a"]["n"] + 1}, "k": {"n": 1} if s["k"] is None else None}

    def swap(s: Any) -> Any:
        return {i: {"n": 1} if s[i] is None else None for i in "kl"}

    choice = w.rng.random()
    if choice < 0.35:
        return [
            program(move("a", "b", 1), move("b", "a", 1)),
            program(tx(["a", "b"], nothing)),
            program(add("a", 1), find("b")),
        ]
    if choice < 0.65:
        return [
            program(tx(["a", "k"], flip), tx(["a", "k"], flip)),
            program(tx(w.rng.choice((["a", "k"], ["k", "a"])), nothing)),
        ]
    return [
        program(insert("k", n=1), tx(["k", "l"], swap), delete("l")),
        program(tx(["k", "l"], nothing), tx(["k", "l"], nothing)),
    ]


def one_is_missing(w: Setup) -> list[Program]:
    """Two documents of which there is always one: no transaction sees none."""
    w.missing("k"), w.document("l", n=1)
    swap = tx(["k", "l"], lambda s: {i: {"n": 1} if s[i] is None else None for i in "kl"})
    look = slowly(w, tx(["k", "l"], nothing), 1, 3)
    return [program(swap, swap, swap, swap), program(look, look)]


def updating(w: Setup) -> list[Program]:
    """Updates with and without a version beside transactions."""
    w.document("a", n=0), w.document("b", n=0)

    async def stale(a: Actor) -> None:
        known = await a.read("a")
        await a.update("a", lambda d: {"n": d["n"] + 3}, known=known)

    async def stale_delete(a: Actor) -> None:
        known = await a.read("a")
        await a.delete("a", known=known)

    third = w.rng.choice((find("a"), add("b", 7), stale_delete))
    return [program(move("a", "b", 1)), program(add("a", 1), add("a", -1)), program(stale, third)]


def overtaken(w: Setup) -> list[Program]:
    """An update is lost on its way; a transaction comes between, and is aborted."""
    w.document("a", n=0), w.document("b", n=0)
    return [program(slowly(w, move("a", "b", 1), 4)), program(slowly(w, add("a", 1), 3))]


def decision_gone(w: Setup) -> list[Program]:
    """Slow readers around a decision that is deleted."""
    w.document("a", n=0), w.document("b", n=0)
    both = grow("a", "b")
    return [
        program(both, both),
        program(find("a"), find("b"), find("a")),
        program(w.rng.choice((add("b", 5), both)), find("a")),
    ]


def aborted_owner(w: Setup) -> list[Program]:
    """A transaction, an impatient writer that aborts it, a reader that stalls on its intent; all of them late."""
    w.document("a", n=0), w.document("b", n=0)
    r = w.rng
    impatient = at_intent(w, "a", add("a", 5), decided=False, after=r.randrange(1, 5), steps=r.randrange(40))
    reader = at_intent(w, "b", find("b"), decided=r.random() < 0.5, after=1, steps=r.randrange(20, 160))
    return [program(grow("a", "b")), program(impatient), program(reader)]


def deleting(w: Setup) -> list[Program]:
    """Delete and insert again, in and beside transactions."""
    w.document("a", n=0), w.missing("k")
    r = w.rng

    def swap(may_delete: bool) -> Step:
        def body(s: Any) -> Any:
            return {
                "a": {"n": s["a"]["n"] + 1},
                "k": None if s["k"] is not None and may_delete else {"n": 3},
            }

        return tx(["a", "k"], body)

    def one() -> Step:
        return r.choice((swap(True), swap(True), swap(False), insert("k", n=1), delete("k"), put("k", n=9), find("k")))

    return [program(one(), one()), program(one(), one()), program(one(), find("k"))]


def values_back(w: Setup) -> list[Program]:
    """Equal contents at different times."""
    w.document("a", n=0), w.document("b", n=0)

    def toggle(a: Actor) -> Awaitable[None]:
        return a.update("a", lambda d: {"n": 1 - d["n"]})

    copy = tx(["a", "b"], lambda s: {"b": {"n": s["a"]["n"]}})
    return [
        program(toggle, toggle),
        program(copy),
        program(w.rng.choice((toggle, tx(["a", "b"], nothing))), find("b")),
    ]
