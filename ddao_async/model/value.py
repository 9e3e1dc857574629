"""
What a stored value means in a column: its kind, and how it compares with others.

JSON has no instants, bytes, uuids or decimals: they lie in a document as text, and the column's type tells what the
text is. Kinds sort in the order of `Kind`; within one, numbers by value whatever their types, text by code point,
datetimes by instant. Text that its column's type cannot read (another tool wrote it) stays text.
"""

from __future__ import annotations

import binascii
import math
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum, IntEnum
from typing import Any, cast
from uuid import UUID

import msgspec

from ..errors import ValidationError

COLUMN_TYPES = ("text", "integer", "float", "boolean", "datetime", "json", "bytes", "uuid", "decimal")

MAX_INTEGER_DIGITS = 4300
"""Python's own limit for reading an integer from text; longer ones are refused when written."""


class Kind(IntEnum):
    """Kinds of values, in the order in which they sort. OTHER: objects and arrays, which have no order."""

    NULL = 0
    BOOLEAN = 1
    NUMBER = 2
    TEXT = 3
    BYTES = 4
    DATETIME = 5
    OTHER = 6


Comparable = tuple[Kind, Any]
"""A value as something that Python compares: tuples of one kind compare by value, of two kinds by kind."""

_NULL: Comparable = (Kind.NULL, None)


def comparable(type: str | None, value: object) -> Comparable:
    """
    What a value of a column compares as.

    Args:
        type: Type of the column; None or an unknown one reads text as text.
        value: A decoded JSON value, or a Python value of the column's type.

    Raises:
        ValidationError: A NaN, an infinity or a naive datetime.
    """
    if value is None:
        return _NULL
    if value.__class__ is str:
        reader = _TEXT_READERS.get(type) if type else None
        return reader(cast(str, value)) if reader else (Kind.TEXT, value)
    if isinstance(value, bool):
        return Kind.BOOLEAN, value
    if isinstance(value, (int, float, Decimal)):
        return Kind.NUMBER, _number(type, value)
    return _rare(type, value)


def _number(type: str | None, value: int | float | Decimal) -> int | float | Decimal:
    if isinstance(value, int):
        return int(value)
    if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        raise ValidationError(f"{value} cannot be stored or searched for.", hint="Use a finite number or None.")
    # A decimal column means what was written: 0.1 there is a tenth, not the float beside it.
    return Decimal(repr(value)) if type == "decimal" and isinstance(value, float) else value


def _rare(type: str | None, value: object) -> Comparable:
    match value:
        case Enum():
            return comparable(type, cast(object, value.value))
        case str():
            return comparable(type, str(value))
        case datetime():
            return Kind.DATETIME, instant(value)
        case date() | time():
            return Kind.TEXT, value.isoformat()
        case timedelta():
            return Kind.TEXT, cast(str, msgspec.to_builtins(value))
        case UUID():
            return Kind.TEXT, str(value)
        case bytes() | bytearray():
            return Kind.BYTES, bytes(value)
        case _:
            return Kind.OTHER, _canonical(value)


def _canonical(value: object) -> str:
    try:
        return msgspec.json.encode(value, order="deterministic").decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(
            f"A {value.__class__.__name__} cannot be compared with stored values: {error}.", hint="Use a plain value."
        ) from error


def instant(value: datetime) -> datetime:
    """The same instant in UTC, or a ValidationError for a datetime without a zone."""
    if value.tzinfo is None:
        raise ValidationError(
            f"The datetime {value.isoformat()} has no time zone.", hint="Use an aware one: datetime.now(UTC)."
        )
    # An offset can carry the first and last day out of Python's range; such a pair still compares by instant.
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return value


def _datetime(text: str) -> Comparable:
    # By msgspec, as a typed read does it: what was read is found again by the same value.
    try:
        read = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return Kind.TEXT, text
    return (Kind.TEXT, text) if read.tzinfo is None else (Kind.DATETIME, instant(read))


def _bytes(text: str) -> Comparable:
    try:
        return Kind.BYTES, b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return Kind.TEXT, text


def _uuid(text: str) -> Comparable:
    try:
        return Kind.TEXT, str(UUID(text))
    except ValueError:
        return Kind.TEXT, text


def _decimal(text: str) -> Comparable:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return Kind.TEXT, text
    return (Kind.NUMBER, number) if number.is_finite() else (Kind.TEXT, text)


_TEXT_READERS: dict[str | None, Callable[[str], Comparable]] = {
    "datetime": _datetime,
    "bytes": _bytes,
    "uuid": _uuid,
    "decimal": _decimal,
}
