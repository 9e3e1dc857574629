"""What columns a file's rows ask for."""

from __future__ import annotations

from typing import Any

import pytest

from ddao_async.errors import ValidationError
from ddao_async.transfer.inference import MAX_COLUMNS, Inference


def inferred(values: list[Any], *, is_text: bool) -> str:
    inference = Inference(is_text=is_text)
    for value in values:
        inference.observe({"x": value})
    return inference.columns()["x"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "", "-20", "0"], "integer"),
        (["123456789012345678901234567890", "1"], "integer"),
        (["1", "2.5"], "float"),
        (["1e+300", "-0.5", "1.50"], "float"),
        (["true", "false", ""], "boolean"),
        (["", ""], "text"),
        (["007", "008"], "text"),
        (["1", "007"], "text"),
        (["1", "true"], "text"),
        (["12", "1E5"], "text"),
        (["-0", "1"], "float"),
        (["1e+400"], "text"),
        (["0.12345678901234567890"], "text"),
        (["1.5", "12345678901234567890"], "text"),
        (["True"], "text"),
        (["nan"], "text"),
        ([" 1"], "text"),
        (["2026-01-01T00:00:00Z"], "text"),
    ],
)
def test_text_becomes_a_type_only_if_every_value_comes_back(values: list[str], expected: str) -> None:
    assert inferred(values, is_text=True) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 2**70], "integer"),
        ([1, 2.5], "float"),
        ([2**70, 2.5], "json"),
        ([True, False], "boolean"),
        ([True, 1], "json"),
        (["a", None], "text"),
        (["a", 1], "json"),
        ([[1], {"a": 1}], "json"),
        ([None], "text"),
    ],
)
def test_json_values_keep_their_type(values: list[Any], expected: str) -> None:
    assert inferred(values, is_text=False) == expected


def test_columns_stand_in_the_order_of_their_first_appearance() -> None:
    inference = Inference(is_text=False)
    inference.observe({"b": 1})
    inference.observe({"c": 1, "a": 1, "b": 1})

    assert list(inference.columns()) == ["b", "c", "a"]


def test_rows_with_ever_new_fields_are_refused_before_memory_fills() -> None:
    inference = Inference(is_text=False)
    inference.observe({f"f{n}": n for n in range(MAX_COLUMNS)})

    with pytest.raises(ValidationError, match="more than 1,000 different fields"):
        inference.observe({"one more": 1})
