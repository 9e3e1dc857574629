"""From one stored body to the next, as tables."""

from __future__ import annotations

import json

import msgspec
import pytest

from ddao_async.model.body import (
    Versioned,
    chain,
    committed_of,
    decode,
    encode,
    fenced,
    gone,
    intended,
    locked,
    lost_write,
    rolled_back,
    successor,
    visible,
)
from ddao_async.model.document import MAX_PAST, Document, Intent

OLD = Document(
    "a",
    "t",
    msgspec.Raw(b'{"n":1}'),
    "2026-01-01T00:00:00Z",
    "2026-01-02T00:00:00Z",
    revision="r2",
    past=("r1",),
    tags={"age": "r1"},
)
HELD = Versioned(OLD, "e2")
FENCED = Versioned(msgspec.structs.replace(OLD, fence="f"), "e3")
ABSENT = Versioned(Document("a", "t", revision="r3", past=("r2",), fence="f", absent=True), "e4")
FOREIGN = Versioned(Document("a", "t", msgspec.Raw(b"{}")), "e0")


def body(document: Document) -> dict[str, object]:
    return json.loads(encode(document))


def after(held: Versioned | None, **options: bool) -> Document:
    return successor(held, table="t", id="a", fields=b'{"n":2}', revision="r9", now="now", **options)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (None, {"created_at": "now"}),
        (HELD, {"created_at": OLD.created_at, "past": ["r2", "r1"]}),
        (FENCED, {"created_at": OLD.created_at, "past": ["r2", "r1"], "fence": "f"}),
        (ABSENT, {"created_at": "now", "past": ["r3", "r2"], "fence": "f"}),
        (FOREIGN, {"created_at": "0001-01-01T00:00:00Z", "past": ["e0"]}),
    ],
)
def test_a_write_follows_what_is_held(held: Versioned | None, expected: dict[str, object]):
    written = {"id": "a", "table_name": "t", "fields": {"n": 2}, "updated_at": "now", "revision": "r9"}

    assert body(after(held)) == written | expected


def test_a_document_written_anew_has_new_times_and_the_old_chain():
    document = after(HELD, renew=True)

    assert (document.created_at, document.past) == ("now", ("r2", "r1"))


def test_the_chain_is_cut_after_eight():
    long = Versioned(msgspec.structs.replace(OLD, past=tuple(f"p{n}" for n in range(MAX_PAST))), "e")

    assert after(long).past == ("r2", *(f"p{n}" for n in range(MAX_PAST - 1)))


@pytest.mark.parametrize(
    ("held", "expected"), [(None, ()), (HELD, ("r2", "r1")), (ABSENT, ("r3", "r2")), (FOREIGN, ("e0",))]
)
def test_a_chain_begins_with_the_revision_or_the_etag(held: Versioned | None, expected: tuple[str, ...]):
    assert chain(held) == expected


def test_a_fence_changes_the_bytes_and_not_the_document():
    document = fenced(HELD, table="t", id="a", revision="r9", fence="g")

    assert body(document) == body(OLD) | {"fence": "g"}


def test_a_fence_on_nothing_says_that_there_is_no_document():
    document = fenced(None, table="t", id="a", revision="r9", fence="g")

    assert (visible(document), document.revision, document.fence) == (None, "r9", "g")
    assert body(document)["fields"] == {}


def test_a_fence_ends_a_mark_that_is_too_old_to_matter():
    dying = Versioned(msgspec.structs.replace(ABSENT.document, dying="d"), "e5")

    assert fenced(dying, table="t", id="a", revision="r9", fence="g").dying is None


def test_a_delete_that_keeps_its_key_keeps_the_chain():
    document = gone(HELD, revision="r9", fence="g")

    assert body(document) == {
        "id": "a",
        "table_name": "t",
        "fields": {},
        "created_at": "0001-01-01T00:00:00Z",
        "updated_at": "0001-01-01T00:00:00Z",
        "revision": "r9",
        "past": ["r2", "r1"],
        "fence": "g",
        "absent": True,
    }


@pytest.mark.parametrize("held", [None, HELD, FENCED, ABSENT])
def test_a_prewrite_shows_the_old_state_and_holds_the_new_one(held: Versioned | None):
    new = after(held)
    document = locked(held, Intent("tx", "put", committed_of(new)), table="t", id="a", revision="r8")
    stored = decode(encode(document), "t", "a")

    assert visible(stored) == (visible(held.document) if held else None)
    assert encode(intended(stored)) == encode(new)


def test_a_prewrite_of_a_delete_intends_nothing():
    document = locked(HELD, Intent("tx", "delete"), table="t", id="a", revision="r8")

    assert (intended(document), visible(document)) == (None, OLD)


def test_rolled_back_is_the_old_state_in_new_bytes():
    document = locked(HELD, Intent("tx", "delete"), table="t", id="a", revision="r8")

    assert body(rolled_back(document, fence="g")) == body(OLD) | {"fence": "g"}


@pytest.mark.parametrize(
    ("replaced", "now", "may_land", "expected"),
    [
        ("r1", ("r9", "r1"), False, "mine"),
        ("r1", ("r10", "r9", "r1"), False, "mine"),
        ("r1", ("r9",), True, "mine"),
        ("r1", ("r1",), False, "conflict"),
        ("r1", ("r2", "r1"), False, "conflict"),
        ("r1", ("r1",), True, "unknown"),
        ("r1", ("x",), False, "unknown"),
        ("r1", (), False, "unknown"),
        (None, (), False, "unknown"),
        (None, ("x",), False, "unknown"),
        (None, ("r9",), False, "mine"),
    ],
)
def test_a_lost_write_is_known_by_the_chain(replaced: str | None, now: tuple[str, ...], may_land: bool, expected: str):
    assert lost_write("r9", replaced, now, may_land=may_land) == expected
