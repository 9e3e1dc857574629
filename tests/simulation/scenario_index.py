"""Indexes that come and go beside readers and writers."""

from __future__ import annotations

from collections.abc import Awaitable

from .actor import Actor
from .misfortune import DAY
from .setup import Setup
from .step import Program, Step, add, delete, find, insert, look, once, program, put, sleepy, slowly, tx, when


def build_beside(w: Setup) -> list[Program]:
    """An index is added beside writers and readers, with leftovers of an earlier one."""
    r = w.rng
    leftover_tags = r.random() < 0.3
    for doc, x in (("a", "1"), ("b", "2")):
        w.document(doc, n=0, x=x, tags=leftover_tags, entry=r.random() < 0.2)
    w.missing("k")
    w.state(x=None)

    def one() -> Step:
        doc, x, kind = r.choice("abk"), r.choice("12"), r.randrange(8)
        return [
            put(doc, x=x),
            put(doc, x=x),
            add(doc, 1),
            delete(doc),
            insert("k", n=1, x=x),
            insert("k", n=1, x=x),
            tx(["a", "k"], lambda s: {i: {"n": 7, "x": x} for i in "ak"}),
            look("x", x),
        ][kind]

    build: list[Step] = [lambda a: a.build("x")]
    if r.random() < 0.3:
        build += [lambda a: a.sleep(DAY), lambda a: a.vacuum()]
    third = ((one(), one()), (look("x", "1"), look("x", "2")), (lambda a: a.vacuum(), one()))
    second = program(one(), one())
    if r.random() < 0.3:
        second = sleepy(w, second, longest=5)
    return [program(*build), second, program(*r.choice(third))]


def lost_beside(w: Setup) -> list[Program]:
    """An answer is lost while an index appears."""
    w.document("a", n=0, x="1", tags=False, entry=False)
    w.state(x=None)

    def up(a: Actor) -> Awaitable[None]:
        return a.update("a", lambda d: {"n": d["n"] + 1, "x": w.rng.choice("12")})

    return [program(lambda a: a.build("x")), program(up, up), program(find("a"))]


def build_unique(w: Setup) -> list[Program]:
    """A unique index is added beside writers and readers, with leftovers of an earlier one, and duplicates."""
    r = w.rng
    w.state(u=None)
    for doc, u in (("a", "p"), ("b", "q")):
        w.document(doc, n=0, u=u, entry=r.random() < 0.2, tags=r.random() < 0.5)
    w.missing("k")

    def one() -> Step:
        doc, u, kind = r.choice("abk"), r.choice("pqr"), r.randrange(7)
        return [
            put(doc, u="r"),
            add(doc, 1),
            delete(doc),
            insert("k", n=1, u=u),
            insert("k", n=1, u="r"),
            tx(["a"], lambda s: {"a": {"n": 7, "u": "r"}}),
            look("u", u),
        ][kind]

    third = ((one(), one()), (look("u", "p"), look("u", "q")), (lambda a: a.vacuum(), one()))
    return [program(lambda a: a.build("u")), program(one(), one()), program(*r.choice(third))]


def built_claims(w: Setup) -> list[Program]:
    """Right after a unique index is complete, two clients write the same document, its value unchanged."""
    w.document("a", n=0, u="p", entry=False, tags=False)
    w.state(u=None)
    first = once(w, "u", "complete", slowly(w, add("a", 1), w.rng.randrange(9, 13)))
    second = when(lambda: w.world.is_fenced("a"), slowly(w, add("a", 1), w.rng.randrange(9, 13)))
    return [program(lambda a: a.build("u")), program(first), program(second)]


def drop_beside(w: Setup) -> list[Program]:
    """An index goes and comes back beside writers and readers."""
    r = w.rng
    column = r.choice("xxu")
    w.document("a", n=0, **{column: "1"}), w.document("b", n=0, **{column: "2"}), w.missing("k")

    def one() -> Step:
        doc, v, kind = r.choice("abk"), r.choice("123"), r.randrange(5)
        return [
            put(doc, **{column: v}),
            add(doc, 1),
            delete(doc),
            insert("k", n=1, **{column: v}),
            look(column, v),
        ][kind]

    first = [lambda a: a.build(column)] if r.random() < 0.4 else [one(), one(), one()]
    again = [lambda a: a.build(column)] if r.random() < 0.5 else []
    return [program(lambda a: a.drop(column), *again), program(*first), program(one(), one(), one())]


def back_again(w: Setup) -> list[Program]:
    """An index that is dropped and built by several clients, some of which sleep over it for most of an hour."""
    r = w.rng
    column = r.choice("xxu")
    w.document("a", n=0, **{column: "1"}), w.document("b", n=0, **{column: "2"}), w.missing("k")
    is_there = r.random() < 0.6
    if not is_there:
        w.state(**{column: None})

    def build(a: Actor) -> Awaitable[None]:
        return a.build(column)

    def drop(a: Actor) -> Awaitable[None]:
        return a.drop(column)

    def one() -> Step:
        doc, v = r.choice("abk"), r.choice("123")
        return r.choice((put(doc, **{column: v}), add(doc, 1), insert("k", n=1, **{column: v}), look(column, v)))

    if not is_there:
        programs = [program(build), program(drop, build)]
    else:
        second = r.choice(([once(w, column, None, build)], [build], [one(), one()]))
        programs = [program(drop, *r.choice(([build], []))), program(*second)]
    return [*(sleepy(w, each) for each in programs), sleepy(w, program(one(), one()), longest=5)]
