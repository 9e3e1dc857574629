"""
The scenarios of protocol.md, section 9: what is in the bucket at first, and what each client does.

A scenario gets a `Setup`, puts documents and garbage into the bucket through it, draws what varies from its `rng`, and
returns one program for each client.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .actor import Actor
from .setup import Setup
from .world import DAY, MINUTE, Leap, Misfortune

Step = Callable[[Actor], Awaitable[None]]
Focus = Callable[[Misfortune, random.Random], None]
Program = Callable[[Actor], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """
    One kind of run.

    Attributes:
        prepare: Fills the bucket and gives the programs.
        columns: Those of `x` (indexed) and `u` (unique) that the table declares.
        timed: The clock leaps by minutes, hours and days, and requests are long on their way.
        focus: Bends what goes wrong towards what this scenario is about.
    """

    prepare: Callable[[Setup], list[Program]]
    columns: str = ""
    timed: bool = False
    focus: Focus | None = None


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


def slowly(w: Setup, step: Step, *points: int) -> Step:
    """Stand still after the answers of these numbers."""

    async def run(a: Actor) -> None:
        for point in points:
            a.client.stalls[a.client.decided + point] = w.rng.randrange(4, 24)
        await step(a)

    return run


# Transactions and single writes


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


def lost_update(plan: Misfortune, rng: random.Random) -> None:
    """The second client's first write of `a` arrives late."""
    plan.victim, plan.aim, plan.budget, plan.chance = 1, "/objects/a", 1, 0.9
    plan.fates, plan.crash, plan.twin, plan.sticky = (0.0, 1.0), 0.0, 0.15, rng.choice((0.0, 0.5))


def decision_gone(w: Setup) -> list[Program]:
    """Slow readers around a decision that is deleted."""
    w.document("a", n=0), w.document("b", n=0)
    both = grow("a", "b")
    return [
        program(both, both),
        program(find("a"), find("b"), find("a")),
        program(w.rng.choice((add("b", 5), both)), find("a")),
    ]


def at_intent(w: Setup, doc: str, step: Step, *, decided: bool, after: int, steps: int) -> Step:
    """Start at an intent on this key, then stand still after so many answers for so many steps."""

    async def stalled(a: Actor) -> None:
        a.client.stalls[a.client.decided + after] = steps
        await step(a)

    return when(lambda: w.world.is_locked(doc, decided=decided), stalled)


def aborted_owner(w: Setup) -> list[Program]:
    """A transaction, an impatient writer that aborts it, a reader that stalls on its intent; all of them late."""
    w.document("a", n=0), w.document("b", n=0)
    r = w.rng
    impatient = at_intent(w, "a", add("a", 5), decided=False, after=r.randrange(1, 5), steps=r.randrange(40))
    reader = at_intent(w, "b", find("b"), decided=r.random() < 0.5, after=1, steps=r.randrange(20, 160))
    return [program(grow("a", "b")), program(impatient), program(reader)]


def lost_decision(plan: Misfortune, rng: random.Random) -> None:
    """Lose the decision while the reader sleeps."""
    if rng.random() < 0.6:
        plan.aim, plan.budget, plan.chance, plan.frozen = "_transactions/", 2, 0.5, None
        plan.fates, plan.crash, plan.twin = (0.0, 1.0), 0.0, rng.choice((0.02, 0.08))


def quick_changes(plan: Misfortune, rng: random.Random) -> None:
    """Whoever does not stand still goes on: the others get far in between."""
    plan.sticky, plan.budget = rng.choice((0.0, 0.3)), rng.choice((0, 0, 1))


def late_twin(part: str) -> Focus:
    """A write of one key lands late, or once more."""

    def focus(plan: Misfortune, rng: random.Random) -> None:
        if rng.random() < 0.4:
            plan.aim, plan.budget, plan.chance = part, 1, 0.5
            plan.fates, plan.crash, plan.twin = (0.0, 1.0), 0.0, rng.choice((0.08, 0.25))

    return focus


def late_under_new_index(plan: Misfortune, rng: random.Random) -> None:
    """A write lands late, and the copy of `_state.json` that it was made by is old."""
    late_twin("/objects/a")(plan, rng)
    plan.leap = Leap(rng.choice((0.05, 0.15, 0.3)), (0.5 * MINUTE, MINUTE, 2 * MINUTE))


def small_leaps(plan: Misfortune, rng: random.Random) -> None:
    """Minutes only: who sleeps for most of an hour wakes up again within it."""
    plan.leap = Leap(rng.choice((0.0, 0.02, 0.05)), (0.5 * MINUTE, 2 * MINUTE, 5 * MINUTE))


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


# Unique columns and indexes


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


# Leases


def leases(w: Setup) -> list[Program]:
    """One lease wanted by three clients, whose work takes longer than they thought."""
    r = w.rng
    ttl = r.choice((5.0, 30.0))

    def hold() -> Step:
        seconds, timeout = r.choice((0.01, 2.0, 2 * ttl)), r.choice((0.0, ttl, 10 * ttl))
        return lambda a: a.hold("nightly", ttl=ttl, seconds=seconds, timeout=timeout)

    return [program(hold(), hold()) for _ in range(3)]


# Indexes that come and go, vacuum


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
    return [program(*build), program(one(), one()), program(*r.choice(third))]


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


def quiet(plan: Misfortune, rng: random.Random) -> None:
    """The clock moves by sleeping only, and whoever does not stand still goes on."""
    plan.leap, plan.hold, plan.late = Leap(), 0.0, 0.0
    plan.budget, plan.sticky = rng.choice((0, 0, 1)), rng.choice((0.0, 0.5))


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

    def sleepy(steps: list[Step], longest: int = 16) -> Program:
        async def run(a: Actor) -> None:
            if r.random() < 0.7:
                a.client.naps = {r.randrange(1, longest): r.choice((1100.0, 2200.0, 3000.0, 3400.0))}
            await program(*steps)(a)

        return run

    def build(a: Actor) -> Awaitable[None]:
        return a.build(column)

    def drop(a: Actor) -> Awaitable[None]:
        return a.drop(column)

    def one() -> Step:
        doc, v = r.choice("abk"), r.choice("123")
        return r.choice((put(doc, **{column: v}), add(doc, 1), insert("k", n=1, **{column: v}), look(column, v)))

    if not is_there:
        return [sleepy([build]), sleepy([drop, build]), sleepy([one(), one()], 5)]
    second = r.choice(([once(w, column, None, build)], [build], [one(), one()]))
    return [sleepy([drop, *r.choice(([build], []))]), sleepy(second), sleepy([one(), one()], 5)]


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
    return [program(clean, clean), program(one(), one()), r.choice(third)]


SCENARIOS = {
    "transfers": Scenario(transfers),
    "skew": Scenario(skew),
    "reading": Scenario(reading),
    "one_is_missing": Scenario(one_is_missing, focus=quick_changes),
    "updating": Scenario(updating, focus=late_twin("/objects/a")),
    "overtaken": Scenario(overtaken, focus=lost_update),
    "decision_gone": Scenario(decision_gone),
    "aborted_owner": Scenario(aborted_owner, focus=lost_decision),
    "deleting": Scenario(deleting, focus=late_twin("/objects/k")),
    "values_back": Scenario(values_back),
    "unique": Scenario(unique, "u"),
    "takeover": Scenario(takeover, "u"),
    "index": Scenario(index, "x"),
    "mixed": Scenario(mixed, "xu"),
    "leases": Scenario(leases),
    "build": Scenario(build_beside, "x", timed=True),
    "build_lost": Scenario(lost_beside, "x", timed=True, focus=late_under_new_index),
    "build_unique": Scenario(build_unique, "u", timed=True),
    "built_claims": Scenario(built_claims, "u", timed=True, focus=quiet),
    "drop": Scenario(drop_beside, "xu", timed=True),
    "back_again": Scenario(back_again, "xu", timed=True, focus=small_leaps),
    "vacuum": Scenario(vacuuming, "xu", timed=True),
}
