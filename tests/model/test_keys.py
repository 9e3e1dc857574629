"""The key layout: names that may stand in keys, and keys that read back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ddao_async.errors import ValidationError
from ddao_async.model import keys


@pytest.mark.parametrize("name", ["users", "a", "A-b_c.d", "0", "-x"])
def test_table_names_that_are_allowed(name: str) -> None:
    assert keys.check_table(name) == name


@pytest.mark.parametrize("name", ["", "_x", ".x", "a/b", "a b", "é", "a\n", None, 5])
def test_table_names_that_are_refused(name: Any) -> None:
    with pytest.raises(ValidationError, match="not a table name"):
        keys.check_table(name)


@pytest.mark.parametrize("id", ["a", "a b", "a+b%?#'\"", "ñ/日本", "a/b", "...", "a..b", "x" * 300, "~", " "])
def test_ids_that_are_ordinary(id: str) -> None:
    assert keys.check_id(id) == id


@pytest.mark.parametrize(
    ("id", "rule"),
    [
        ("", "empty"),
        ("/a", "start or end"),
        ("a/", "start or end"),
        ("a//b", "'//'"),
        (".", "segment"),
        ("a/./b", "segment"),
        ("../a", "segment"),
        ("a\x00", "control"),
        ("a\x7f", "control"),
        ("a\x85", "control"),
        ("\ud800", "surrogate"),
        (5, "not int"),
        (None, "not NoneType"),
    ],
)
def test_ids_that_are_refused_name_the_rule(id: Any, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        keys.check_id(id)


@given(st.from_regex(re.compile(r"[A-Za-z0-9-][A-Za-z0-9_.-]{0,20}", re.ASCII), fullmatch=True), st.text(min_size=1))
def test_the_id_reads_back_from_the_key_of_its_document(table: str, id: str) -> None:
    try:
        keys.check_id(id)
    except ValidationError:
        assume(False)

    assert keys.object_id(table, keys.object_key(table, id)) == id


@pytest.mark.parametrize(
    "key", ["tables/t/objects/", "tables/t/objects/.json", "tables/t/objects/a", "tables/u/objects/a.json"]
)
def test_other_keys_have_no_id(key: str) -> None:
    assert keys.object_id("t", key) is None


def test_no_key_of_one_kind_lies_among_those_of_another() -> None:
    """Neither a document nor an entry can pass for anything else, whatever it is called."""
    table = keys.check_table("t")
    kinds = [
        keys.objects_prefix(table),
        keys.index_prefix(table, "c"),
        keys.unique_prefix(table, "c"),
        keys.metadata_key(table),
        keys.state_key(table),
    ]

    assert not [(a, b) for a in kinds for b in kinds if a != b and a.startswith(b)]


def test_a_key_over_the_limit_is_refused_with_its_prefix_counted() -> None:
    assert keys.check_key_bytes("é" * 512) == "é" * 512
    with pytest.raises(ValidationError, match="1024"):
        keys.check_key_bytes("é" * 512, "p")
