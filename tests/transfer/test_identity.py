"""Ids, marks and names: the same in every run, and no other's."""

from __future__ import annotations

import pytest

from ddao_async.errors import ConfigurationError
from ddao_async.transfer.identity import Marker, checked_name, default_name, distinct, row_id, tag_of
from ddao_async.transfer.row import Reject
from ddao_async.transfer.watermark import Done, Watermark


def test_a_row_without_an_id_gets_the_same_one_in_every_run() -> None:
    assert row_id("users", "a.csv:77", 3) == "aa376f3a-9b95-52db-9a86-691851bc986a"
    assert len({row_id(name, file, row) for name in "ab" for file in "cd" for row in (1, 2)}) == 8


def test_a_mark_tells_the_row_and_is_known_after_others_wrote() -> None:
    first, later = Marker(tag_of("x"), "1a", True), Marker(tag_of("x"), "2b", True)
    revisions = ("somebody-else", first.mark(0, 500) + "77", "")

    assert later.has_written(revisions, 0, 500)
    assert not later.has_written(revisions, 0, 499)
    assert later.has_passed(revisions, 0, 499)
    assert not later.has_passed(revisions, 1, 1)


def test_without_resuming_only_this_very_run_counts() -> None:
    first, later = Marker(tag_of("x"), "1a", False), Marker(tag_of("x"), "2b", False)

    assert first.has_written((first.mark(0, 1),), 0, 1)
    assert not later.has_written((first.mark(0, 1),), 0, 1)


def test_another_import_is_not_this_one() -> None:
    assert not Marker(tag_of("y"), "1a", True).has_passed((Marker(tag_of("x"), "1a", True).mark(9, 9),), 0, 1)


def test_names_follow_from_the_content() -> None:
    assert default_name("t", ["a:1"]) == default_name("t", ["a:1"])
    assert len({default_name("t", ["a:1"]), default_name("u", ["a:1"]), default_name("t", ["a:2"])}) == 3
    assert distinct(["a", "b", "a", "a"]) == ["a", "b", "a#2", "a#3"]
    for wrong in ("", "a/b", "_plan", "ü", "x" * 201):
        with pytest.raises(ConfigurationError):
            checked_name(wrong)


def test_the_low_water_mark_is_below_everything_that_is_not_done() -> None:
    mark = Watermark()
    for row in range(1, 7):
        mark.begin(row)
    mark.read_up_to(3, 30)
    mark.read_up_to(6, 60)
    mark.finish(2, "inserted")
    mark.finish(3, Reject(3, "bad"))
    assert (mark.done.rows, mark.waiting) == (0, 6)
    mark.finish(1, "skipped")
    assert mark.done == Done(3, 30, inserted=1, skipped=1, rejected=1, rejects=[Reject(3, "bad")])
    for row, outcome in ((6, "replaced"), (5, "inserted"), (4, "inserted")):
        mark.finish(row, outcome)
    assert (mark.done.rows, mark.done.bytes, mark.waiting) == (6, 60, 0)
