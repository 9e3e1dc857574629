"""What a search asks of one column, and which stored values answer it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from ddao_async.errors import ValidationError
from ddao_async.model.predicate import Predicate, condition, field


def matching(predicate: Predicate, type: str | None, stored: list[Any]) -> list[Any]:
    asked = condition(predicate, type)
    return [value for value in stored if asked.holds(value)]


numbers = [None, False, True, 1, 1.0, 5, 5.5, 10**30, "5", "x"]


@pytest.mark.parametrize(
    ("predicate", "found"),
    [
        (field("a") == 5, [5]),
        (field("a") == 1, [1, 1.0]),
        (field("a") == True, [True]),  # noqa: E712
        (field("a") == None, [None]),  # noqa: E711
        (field("a") != 5, [None, False, True, 1, 1.0, 5.5, 10**30, "5", "x"]),
        (field("a") > 5, [5.5, 10**30]),
        (field("a") >= 5, [5, 5.5, 10**30]),
        (field("a") < 5, [1, 1.0]),
        (field("a") <= 5.5, [1, 1.0, 5, 5.5]),
        (field("a") > "5", ["x"]),
        (field("a") > False, [True]),
        (field("a").between(1, 5), [1, 1.0, 5]),
        (field("a").between(5, 1), []),
        (field("a").is_in([5, "x", None]), [None, 5, "x"]),
        (field("a").is_in([]), []),
        (field("a").startswith("5"), ["5"]),
        (field("a").startswith(""), ["5", "x"]),
    ],
)
def test_a_range_matches_values_of_its_operands_kind_only(predicate: Predicate, found: list[Any]) -> None:
    assert matching(predicate, None, numbers) == found


def test_text_means_what_the_column_says() -> None:
    moment = datetime(2026, 11, 22, 10, tzinfo=UTC)
    stored = ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00+01:00", "2026-11-22T12:00:00Z", "later"]

    assert matching(field("a") == moment, "datetime", stored) == stored[:2]
    assert matching(field("a") == "2026-11-22T10:00:00Z", "datetime", stored) == stored[:2]
    assert matching(field("a") > moment, "datetime", stored) == stored[2:3]
    assert matching(field("a") == b"x", "bytes", ["eA==", "x"]) == ["eA=="]
    assert matching(field("a") == UUID(int=5), "uuid", [str(UUID(int=5)).upper()]) != []
    assert matching(field("a") == 0.1, "decimal", ["0.10", 0.1, "0.2"]) == ["0.10", 0.1]


def test_a_column_without_a_type_reads_as_the_operand_asks() -> None:
    moment = datetime(2026, 11, 22, 10, tzinfo=UTC)

    assert matching(field("a") >= moment, None, ["2026-11-22T11:00:00+01:00", 5]) == ["2026-11-22T11:00:00+01:00"]
    assert matching(field("a") == b"x", None, ["eA=="]) == ["eA=="]
    assert matching(field("a") == Decimal("1.50"), None, ["1.5", 1.5]) == ["1.5", 1.5]


def test_objects_compare_as_wholes() -> None:
    assert matching(field("a") == {"x": 1, "y": [2]}, "json", [{"y": [2], "x": 1}, {"x": 1}]) == [{"y": [2], "x": 1}]


@pytest.mark.parametrize(
    "make",
    [
        lambda: condition(field("a") < None, "text"),
        lambda: condition(field("a") > {"x": 1}, "json"),
        lambda: condition(field("a").between(1, "x"), None),
        lambda: condition(field("a").startswith(5), None),  # type: ignore[arg-type]
        lambda: condition(field("a") == float("nan"), None),
        lambda: condition(field("a") > datetime(2026, 1, 1), "datetime"),  # noqa: DTZ001
        lambda: field("a").is_in("abc"),
    ],
)
def test_operands_without_an_order_are_refused(make: Any) -> None:
    with pytest.raises(ValidationError):
        make()
