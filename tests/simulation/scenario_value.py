"""Unique and indexed columns of a table whose indexes are complete; leases."""

from __future__ import annotations

from .setup import Setup
from .step import Program, Step, add, delete, find, insert, look, nothing, program, put, tx, upsert


def unique(w: Setup) -> list[Program]:
    """One unique value wanted by three clients, by every operation."""
    r = w.rng
    ids = ["a", "b"]
    if r.random() < 0.5:
        w.document("a", n=0, u="p")
    else:
        w.missing("a")
    w.missing("b")
    if r.random() < 0.4:
        w.missing("c")
        ids.append("c")

    def one() -> Step:
        doc, u, kind = r.choice(ids), r.choice("ppq"), r.randrange(6)
        if kind < 2:
            return insert(doc, n=1, u=u)
        if kind == 2:
            return put(doc, u=u)
        if kind == 3:
            return delete(doc)
        if kind == 4:
            return tx([doc], lambda s: {doc: {"n": 2, "u": u}})
        return look("u", u)

    return [program(one(), one()), program(one(), one()), program(one(), one(), one())]


def takeover(w: Setup) -> list[Program]:
    """Every client wants the same value for its own document, or for the same one; some leave again."""
    w.missing("a"), w.missing("b"), w.missing("c")

    def one(doc: str) -> Program:
        rest = w.rng.choice(([delete(doc)], [delete(doc), insert(doc, n=2, u="p")], [put(doc, u="q" + doc)], []))
        return program(insert(doc, n=1, u="p"), *rest)

    return [one("a"), one("b"), one(w.rng.choice("abc"))]


def index(w: Setup) -> list[Program]:
    """An indexed column that goes back and forth."""
    w.document("a", n=0, x="1"), w.document("b", n=0, x="2")
    r = w.rng

    def one() -> Step:
        doc, x, kind = r.choice("aab"), r.choice("12"), r.randrange(6)
        if kind < 3:
            return put(doc, x=x)
        if kind == 3:
            return tx(["a", "b"], lambda s: {i: {"x": x} for i in "ab" if s[i] is not None})
        if kind == 4:
            return delete(doc) if r.random() < 0.5 else insert(doc, n=5, x=x)
        return lambda a: a.update(doc, lambda d: {"x": "2" if d["x"] == "1" else "1"})

    return [program(one(), one()), program(one(), one()), program(look("x", "1"), look("x", "2"))]


def mixed(w: Setup) -> list[Program]:
    """Everything at once, on few documents with an indexed and a unique column."""
    w.document("a", n=0, x="1", u="p"), w.document("b", n=0, x="2", u="q"), w.missing("k")
    r = w.rng

    def one() -> Step:
        doc, x, u, kind = r.choice("abk"), r.choice("12"), r.choice("pqr"), r.randrange(12)
        return [
            insert(doc, n=1, x=x, u=u),
            upsert(doc, n=2, x=x, u=u),
            put(doc, x=x),
            put(doc, u=u),
            add(doc, 1),
            delete(doc),
            find(doc),
            look("x", x),
            look("u", u),
            tx(["a", "b"], nothing),
            tx(["a", doc], lambda s: {i: {"n": 5, "u": u if i == doc else "p"} for i in ("a", doc)}),
            tx(["a", "k"], lambda s: {"a": {"x": x}, "k": None if s["k"] else {"n": 3, "x": x, "u": u}}),
        ][kind]

    return [program(one(), one(), one()) for _ in range(3)]


def leases(w: Setup) -> list[Program]:
    """One lease wanted by three clients, whose work takes longer than they thought."""
    r = w.rng
    ttl = r.choice((5.0, 30.0))

    def hold() -> Step:
        seconds, timeout = r.choice((0.01, 2.0, 2 * ttl)), r.choice((0.0, ttl, 10 * ttl))
        return lambda a: a.hold("nightly", ttl=ttl, seconds=seconds, timeout=timeout)

    return [program(hold(), hold()) for _ in range(3)]
