"""Which entries and claims a write needs, and which it leaves behind, as tables."""

from __future__ import annotations

import pytest

from ddao_async.model.placement import Place, left_behind, needed

INDEXES = {"age": False, "email": True}
COMPLETE = frozenset(INDEXES)
AGE, EMAIL = Place("age", "1", False), Place("email", "x", True)


@pytest.mark.parametrize(
    ("new", "old", "tags", "complete", "kept", "places"),
    [
        ({"age": "1", "email": "x"}, {}, {}, COMPLETE, {}, [AGE, EMAIL]),
        ({"age": "1", "email": None}, {}, {}, COMPLETE, {}, [AGE]),
        ({"age": "1", "email": "x"}, {"age": "1", "email": "x"}, {"age": "t", "email": "u"}, COMPLETE,
         {"age": "t", "email": "u"}, []),
        ({"age": "1", "email": "x"}, {"age": "0", "email": "x"}, {"age": "t", "email": "u"}, COMPLETE,
         {"email": "u"}, [AGE]),
        ({"age": "1", "email": "x"}, {"age": "1", "email": "x"}, {}, COMPLETE, {}, [AGE, EMAIL]),
        ({"age": "1", "email": "x"}, {"age": "1", "email": "x"}, {}, frozenset(), {}, []),
        ({"age": "1", "email": "x"}, {"age": "0", "email": "x"}, {}, frozenset(), {}, [AGE]),
        ({"age": "1"}, {"age": "1"}, {"age": "t", "dropped": "d"}, COMPLETE, {"age": "t"}, []),
    ],
    ids=["new", "null", "unchanged", "one changed", "no tags", "no tags, building", "changed, building", "dropped"],
)  # fmt: skip
def test_a_write_places_what_changed_and_carries_the_rest(new, old, tags, complete, kept, places):
    assert needed(INDEXES, complete, new, old, tags) == (kept, places)


@pytest.mark.parametrize(
    ("tags", "live", "expected"),
    [
        ({"age": "t", "email": "u"}, {}, [Place("age", "1", False, "t"), Place("email", "x", True, "u")]),
        ({"age": "t", "email": "u"}, {"age": "t", "email": "v"}, [Place("email", "x", True, "u")]),
        ({"age": "t", "email": "u"}, {"age": "t", "email": "u"}, []),
        ({"dropped": "d"}, {}, []),
        ({}, {}, []),
    ],
)
def test_a_dead_body_leaves_behind_what_the_live_one_does_not_have(tags, live, expected):
    assert left_behind(INDEXES, {"age": "1", "email": "x"}, tags, live) == expected


def test_a_tag_without_a_value_leaves_nothing_behind():
    assert left_behind(INDEXES, {"age": None}, {"age": "t"}, {}) == []
