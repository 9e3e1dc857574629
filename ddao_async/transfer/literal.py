"""
Text from a person or a CSV cell -> the value that a column of some type stores. Pure.

Instants, bytes (base64), uuids and decimals lie in a document as text: theirs is only checked.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import msgspec

from ..errors import ValidationError
from ..model.value import Kind, comparable

_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_EXAMPLES = {
    "integer": "-12",
    "float": "1.5",
    "boolean": "true or false",
    "datetime": "2026-01-31T12:00:00Z (a time zone is needed)",
    "json": '{"a": [1, 2]}',
    "bytes": "3q2+7w== (base64)",
    "uuid": "0199c1a0-0000-7000-8000-000000000000",
    "decimal": "19.90",
}


def literal(type: str, text: str) -> Any:
    """
    The value of a column of this type that the text stands for.

    Raises:
        ValidationError: It stands for none.
    """
    try:
        return _literal(type, text)
    except ValueError as error:  # msgspec's errors are ValueErrors too
        raise ValidationError(
            f"{_shortened(text)!r} is no value of type {type}.", hint=f"Write it like {_EXAMPLES[type]}."
        ) from error


def _literal(type: str, text: str) -> Any:
    match type:
        case "integer" if _INTEGER.fullmatch(text):
            return int(text)
        case "float" if _FLOAT.fullmatch(text):
            return float(text)
        case "boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "json":
            return msgspec.json.decode(text)
        case "datetime" | "bytes" | "decimal" if comparable(type, text)[0] is not Kind.TEXT:
            return text
        case "uuid":
            return str(UUID(text))
        case "integer" | "float" | "boolean" | "datetime" | "bytes" | "decimal":
            raise ValueError(text)
        case _:
            return text


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
