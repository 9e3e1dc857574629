"""What a commit must do, as a table."""

from __future__ import annotations

import pytest

from ddao_async.model.body import Versioned
from ddao_async.model.document import Document, Intent
from ddao_async.transaction.plan import ERASE, Plan, Put, Write, claimed_twice, is_unchanged, plan

HELD = Versioned(Document("x", revision="r1"), "e1")
ABSENT = Versioned(Document("x", revision="r1", absent=True), "e1")
PUT = Put(b"{}")


def key(id: str) -> tuple[str, str]:
    return ("t", id)


CASES: list[tuple[str, dict[str, Versioned | None], dict[str, Write], Plan]] = [
    ("nothing", {}, {}, Plan()),
    ("one read", {"a": HELD}, {}, Plan()),
    ("one missing read", {"a": None}, {}, Plan()),
    ("one written", {"a": HELD}, {"a": PUT}, Plan(single=(key("a"), PUT))),
    ("one inserted", {"a": None}, {"a": PUT}, Plan(single=(key("a"), PUT))),
    ("one deleted", {"a": HELD}, {"a": ERASE}, Plan(single=(key("a"), ERASE))),
    ("a missing one deleted", {"a": None}, {"a": ERASE}, Plan()),
    (
        "written in key order",
        {"b": HELD, "a": HELD},
        {"b": PUT, "a": ERASE},
        Plan(locks=((key("a"), ERASE), (key("b"), PUT))),
    ),
    ("one read, one written", {"a": HELD, "b": HELD}, {"b": PUT}, Plan(locks=((key("b"), PUT),), checks=(key("a"),))),
    ("read only", {"b": HELD, "a": ABSENT}, {}, Plan(checks=(key("a"), key("b")))),
    ("a missing key is checked first", {"a": HELD, "b": None}, {}, Plan(checks=(key("b"), key("a")))),
    (
        "all missing keys but the first are locked",
        {"c": None, "b": None, "a": HELD, "d": None},
        {},
        Plan(locks=((key("c"), ERASE), (key("d"), ERASE)), checks=(key("b"), key("a"))),
    ),
    (
        "deleting an absent document is a read of it",
        {"a": ABSENT, "b": HELD},
        {"a": ERASE, "b": PUT},
        Plan(locks=((key("b"), PUT),), checks=(key("a"),)),
    ),
]


@pytest.mark.parametrize(("seen", "writes", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_commit_is_planned(seen: dict[str, Versioned | None], writes: dict[str, Write], expected: Plan):
    planned = plan({key(doc): held for doc, held in seen.items()}, {key(doc): write for doc, write in writes.items()})

    assert planned == expected


def changed(**members: object) -> Versioned:
    return Versioned(Document(**({"id": "x", "revision": "r1"} | members)), "e2")


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (None, None, True),
        (None, HELD, False),
        (HELD, None, False),
        (HELD, HELD, True),
        (HELD, changed(fence="f"), True),
        (HELD, changed(revision="r2"), False),
        (HELD, changed(intent=Intent("tx", "delete")), False),
        (HELD, changed(absent=True), False),
        (ABSENT, changed(absent=True, fence="f"), False),
        (Versioned(Document("x"), "e1"), Versioned(Document("x"), "e2"), False),
    ],
)
def test_what_was_read_is_unchanged_by_its_etag_or_its_revision(
    seen: Versioned | None, now: Versioned | None, expected: bool
):
    assert is_unchanged(seen, now) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([("a", "x"), ("b", "y")], None),
        ([("a", "x"), ("b", "x")], "email"),
        ([("a", None), ("b", None)], None),
    ],
)
def test_a_unique_value_is_given_to_one_document_of_a_transaction(
    values: list[tuple[str, str | None]], expected: str | None
):
    encoded = [(key(doc), {"email": value, "age": "same"}) for doc, value in values]

    assert claimed_twice(encoded, {"t": {"email"}}) == expected
