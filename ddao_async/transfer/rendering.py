"""
Documents as the bytes of a file: JSON lines, or CSV with a line of names. Pure.

JSON lines are exact. In CSV, null and empty text are the same, and what is nested is JSON in a cell; only the columns
of the table have a place there, so other fields are left out, and counted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence, Set
from typing import Any, Protocol

import msgspec

from ..model.schema import Column


class Rendering(Protocol):
    """
    Documents in, bytes out.

    Attributes:
        left_out: Field -> how many documents had it, of fields that have no place.
    """

    left_out: dict[str, int]

    @property
    def waiting(self) -> int:
        """How many bytes wait to be taken."""
        ...

    def add(self, document: dict[str, Any]) -> None:
        """Take a document, its id among the fields."""
        ...

    def take(self) -> bytes:
        """What waits to be written."""
        ...


class JSONLines:
    """One JSON object a line."""

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}
        self._encoder = msgspec.json.Encoder()
        self._waiting = bytearray()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, document: dict[str, Any]) -> None:
        self._encoder.encode_into(document, self._waiting, -1)
        self._waiting += b"\n"

    def take(self) -> bytes:
        taken, self._waiting = self._waiting, bytearray()
        return bytes(taken)


class CSV:
    """A line of names, `id` first, then a line a document (RFC 4180)."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.left_out: dict[str, int] = {}
        self._names = names_of(columns)
        self._known = set(self._names)
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(self._names)

    @property
    def waiting(self) -> int:
        return self._text.tell()

    def add(self, document: dict[str, Any]) -> None:
        self._writer.writerow([_cell(document.get(name)) for name in self._names])
        count_left_out(self.left_out, document, self._known)

    def take(self) -> bytes:
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text.encode()


def names_of(columns: Sequence[Column]) -> list[str]:
    """The names of a table's columns, `id` first."""
    return ["id", *(column.name for column in columns if column.name != "id")]


def count_left_out(left_out: dict[str, int], document: dict[str, Any], known: Set[str]) -> None:
    """Count the fields of a document that have no place."""
    for name in document.keys() - known:
        left_out[name] = left_out.get(name, 0) + 1


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()
