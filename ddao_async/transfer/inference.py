"""
Which columns a table needs for the rows of a file. Pure.

A type is chosen only if every value of the field has it; where values differ, the column takes them all: `text` for
CSV, `json` else. Every column is nullable: what a file happens to hold is no rule. In CSV, digits with a leading zero
(`007`) and numbers of more digits than a float keeps stay text.
"""

from __future__ import annotations

import math
import re
from typing import Any

from ..errors import ValidationError

MAX_COLUMNS = 1000

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-][0-9]+)?")
_EXACT_DIGITS = 15  # integers of up to so many digits are exact as floats too
_FLOAT_DIGITS = 17  # what Python writes for a float at most


class Inference:
    """Watches rows go by and says what the columns are. Holds one small set per field."""

    def __init__(self, *, is_text: bool) -> None:
        self._kind = _text_kind if is_text else _json_kind
        self._mixed = "text" if is_text else "json"
        self._kinds: dict[str, set[str]] = {}

    def observe(self, fields: dict[str, Any]) -> None:
        """
        Take one row into account.

        Raises:
            ValidationError: The rows have more than `MAX_COLUMNS` different fields.
        """
        for name, value in fields.items():
            kinds = self._kinds.get(name)
            if kinds is None:
                if len(self._kinds) == MAX_COLUMNS:
                    raise ValidationError(
                        f"The rows have more than {MAX_COLUMNS:,} different fields.",
                        hint="Create the table first, with the columns that it should have.",
                    )
                kinds = self._kinds[name] = set()
            kind = self._kind(value)
            if kind is not None:
                kinds.add(kind)

    def columns(self) -> dict[str, str]:
        """Name to type, in the order in which the fields were first seen."""
        return {name: self._type(kinds) for name, kinds in self._kinds.items()}

    def _type(self, kinds: set[str]) -> str:
        if not kinds:
            return "text"
        if len(kinds) == 1:
            return next(iter(kinds)).replace("long", "integer")
        if kinds == {"integer", "float"}:
            return "float"
        return "integer" if kinds == {"integer", "long"} else self._mixed


def _json_kind(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "boolean"
        case int():
            return "integer" if abs(value) < 10**_EXACT_DIGITS else "long"
        case float():
            return "float"
        case str():
            return "text"
        case _:
            return "json"


def _text_kind(value: str) -> str | None:
    if value == "":
        return None
    if value in ("true", "false"):
        return "boolean"
    if _INTEGER.fullmatch(value) and value != "-0":
        return "integer" if len(value) <= _EXACT_DIGITS else "long"
    return "float" if _FLOAT.fullmatch(value) and _fits_float(value) else "text"


def _fits_float(value: str) -> bool:
    digits = re.split("[eE]", value)[0].replace(".", "").lstrip("-0")
    return len(digits) <= _FLOAT_DIGITS and math.isfinite(float(value))
