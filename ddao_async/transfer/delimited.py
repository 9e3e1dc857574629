"""
Reads CSV (RFC 4180) with a header line: quoted cells may hold commas, quotes and line ends. Pure.

A row that was cut while it was written is rejected with its line, and the next line is read afresh: a quote that is
never closed costs one row, not the rest of the file. The delimiter is the comma, or where the header has none, its
semicolon or tab.
"""

from __future__ import annotations

import csv
from collections import deque
from typing import Literal

from ..errors import ValidationError
from .row import MAX_ROW_BYTES, Reject, Row, without_mark

_UNCLOSED = "a quote opened in this row is never closed"


class Delimited:
    """A reader (see `row`). All values are text. `feed` raises a ValidationError for a header it cannot use."""

    def __init__(self, *, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._max_row_bytes = max_row_bytes
        self._rest = b""
        self._has_begun = False
        self._line = 0  # of the last line taken from `_lines`
        self._lines: deque[bytes] = deque()  # whole lines, not yet looked at
        self._record: list[bytes] = []  # the lines of a row whose quote is open
        self._record_bytes = 0
        self._header: list[str] | None = None
        self._delimiter = ","

    def feed(self, chunk: bytes) -> list[Row | Reject]:
        self._rest += chunk
        if not self._has_begun:
            if len(self._rest) < 3:  # a byte order mark may be cut
                return []
            self._begin()
        if len(self._rest) - len(chunk) > self._max_row_bytes and b"\n" not in chunk:
            raise ValidationError(
                f"Line {self._line + len(self._record) + 1} is longer than {self._max_row_bytes:,} bytes.",
                hint="This does not look like CSV.",
            )
        *whole, self._rest = self._rest.split(b"\n")
        self._lines.extend(line + b"\n" for line in whole)
        return self._drain(is_end=False)

    def close(self) -> list[Row | Reject]:
        if not self._has_begun:
            self._begin()
        if self._rest:
            self._lines.append(self._rest)
            self._rest = b""
        return self._drain(is_end=True)

    def _begin(self) -> None:
        self._rest, self._has_begun = without_mark(self._rest), True

    def _drain(self, *, is_end: bool) -> list[Row | Reject]:
        found: list[Row | Reject] = []
        while self._lines or (is_end and self._record):
            if not self._lines:
                found.append(self._give_up(_UNCLOSED))
                continue
            line = self._lines.popleft()
            self._line += 1
            is_open = bool(self._record)
            self._record.append(line)
            self._record_bytes += len(line)
            if is_open and b'"' not in line and self._record_bytes <= self._max_row_bytes:
                continue  # the quote is still open
            found.extend(self._close_record())
        return found

    def _close_record(self) -> list[Row | Reject]:
        """The row that `_record` holds, nothing if it goes on, or a reject."""
        try:
            text = b"".join(self._record).decode()
        except UnicodeDecodeError as error:
            return [self._give_up(f"not UTF-8: {error.reason}")]
        if self._header is None and not self._record[1:]:
            self._delimiter = _delimiter(text)
        cells = _parse(text, self._delimiter, self._max_row_bytes)
        if cells == "open":
            if self._record_bytes > self._max_row_bytes:
                return [self._give_up(_UNCLOSED)]
            return []
        if isinstance(cells, csv.Error):
            return [self._give_up(f"not valid CSV: {cells}")]
        line = self._line - len(self._record) + 1
        self._record, self._record_bytes = [], 0
        if not cells:
            return []
        if self._header is None:
            self._header = _checked_header(cells)
            return []
        if len(cells) != len(self._header):
            cut = "; the row seems cut" if len(cells) < len(self._header) else "; is a cell with a comma unquoted?"
            return [Reject(line, f"{len(cells)} cells where the header has {len(self._header)}{cut}")]
        return [Row(line, dict(zip(self._header, cells, strict=True)))]

    def _give_up(self, reason: str) -> Reject:
        """Reject the first line of the record; the others are looked at again, as lines of their own."""
        if self._header is None:
            raise ValidationError(f"The header (line 1) is {reason}.", hint="Mend the first line of the file.")
        self._line -= len(self._record) - 1
        self._lines.extendleft(reversed(self._record[1:]))
        self._record, self._record_bytes = [], 0
        return Reject(self._line, reason)


def _parse(text: str, delimiter: str, max_row_bytes: int) -> list[str] | Literal["open"] | csv.Error:
    # The limit on one cell is global to the process (131,072 characters): it is lifted for this call only.
    previous = csv.field_size_limit(max_row_bytes)
    try:
        return next(csv.reader((text,), delimiter=delimiter, strict=True), list[str]())
    except csv.Error as error:
        return "open" if str(error) == "unexpected end of data" else error
    finally:
        csv.field_size_limit(previous)


def _delimiter(header: str) -> str:
    if "," in header:
        return ","
    return next((mark for mark in ";\t" if mark in header), ",")


def _checked_header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    for position, name in enumerate(names, 1):
        if not name:
            raise ValidationError(f"Column {position} of the header (line 1) has no name.", hint="Name every column.")
        if name in names[: position - 1]:
            raise ValidationError(f"The header (line 1) names column {name!r} twice.", hint="Rename one of them.")
    return names
