"""`vacuum` beside writers."""

from __future__ import annotations

from collections.abc import Awaitable

from .actor import Actor
from .misfortune import DAY
from .setup import Setup
from .step import Program, Step, delete, find, insert, program, put, sleepy, tx, when


def vacuuming(w: Setup) -> list[Program]:
    """`vacuum` with garbage of every kind beside writers that sleep for a day."""
    r = w.rng
    w.document("a", n=0, x="1", u="p", fence=r.random() < 0.3)
    if r.random() < 0.5:
        w.entry("a", "2"), w.entry("k", "1")
    if r.random() < 0.5:
        w.claim(r.choice((None, "a", "b", "k")), "q")
    for doc in "bk":
        if r.random() < 0.6:
            w.absent(doc)
        else:
            w.missing(doc)

    def one() -> Step:
        doc, u, x, kind = r.choice("abk"), r.choice("ppq"), r.choice("12"), r.randrange(9)
        return [
            insert(doc, n=1, u=u),
            insert(doc, n=1, x=x),
            put(doc, u=u),
            put(doc, x=x),
            delete(doc),
            insert("k", n=1, u="q"),
            tx(["a", "b"], lambda s: {"a": {"n": 2}, "b": {"n": 3}}),
            tx([doc], lambda s: {doc: {"n": 2, "u": u}}),
            find(doc),
        ][kind]

    def clean(a: Actor) -> Awaitable[None]:
        return a.vacuum()

    third = [program(one(), one()), program(clean, one()), program(lambda a: a.sleep(DAY), one())]
    first = program(clean, clean)
    if r.random() < 0.4:
        first = sleepy(w, first, longest=24)
    return [first, program(one(), one()), r.choice(third)]


def burying(w: Setup) -> list[Program]:
    """`vacuum` falls asleep between marking a key and deleting it, and somebody wants to write there."""
    w.ignore_conditions_on_delete()
    w.absent("k"), w.claim(None, "p")

    async def clean(a: Actor) -> None:
        a.client.naps = {w.rng.randrange(4, 14): w.rng.choice((100.0, 1100.0, 2200.0))}
        await a.vacuum()

    late = when(w.world.is_dying, insert("k", n=1, u="p"))
    return [program(clean), program(late), program(insert("k", n=2), find("k"))]
