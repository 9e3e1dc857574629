"""What text from a shell or a CSV cell means in a column."""

from __future__ import annotations

from typing import Any

import pytest

from ddao_async.errors import ValidationError
from ddao_async.transfer.literal import literal


@pytest.mark.parametrize(
    ("type", "text", "expected"),
    [
        ("text", "007", "007"),
        ("text", "", ""),
        ("integer", "-12", -12),
        ("integer", "123456789012345678901234567890", 123456789012345678901234567890),
        ("float", "1.5e3", 1500.0),
        ("float", "2", 2.0),
        ("boolean", "TRUE", True),
        ("datetime", "2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00+02:00"),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("bytes", "3q2+7w==", "3q2+7w=="),
        ("uuid", "0199C1A0-0000-7000-8000-000000000000", "0199c1a0-0000-7000-8000-000000000000"),
        ("decimal", "19.90", "19.90"),
        ("some type of another tool", "x", "x"),
    ],
)
def test_text_becomes_the_value_of_its_column(type: str, text: str, expected: Any) -> None:
    actual = literal(type, text)

    assert (actual, actual.__class__) == (expected, expected.__class__)


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("integer", "1.5"),
        ("integer", ""),
        ("integer", "1_000"),
        ("integer", "٣"),
        ("integer", "9" * 5000),
        ("float", "nan"),
        ("float", "1,5"),
        ("boolean", "yes"),
        ("datetime", "2026-01-31T12:00:00"),
        ("datetime", "yesterday"),
        ("json", "{a: 1}"),
        ("bytes", "???"),
        ("uuid", "123"),
        ("decimal", "NaN"),
    ],
)
def test_text_that_is_no_value_is_refused_with_an_example(type: str, text: str) -> None:
    with pytest.raises(ValidationError, match=f"is no value of type {type}. Write it like "):
        literal(type, text)
