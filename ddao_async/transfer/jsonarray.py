"""
Reads one JSON array of objects, element by element: the array may be larger than memory, an element may not. Pure.

A scanner finds where each element ends by counting brackets outside of strings, and only then is the element decoded.
So an element that is no valid JSON is rejected alone if its brackets are in balance; where they are not, there is no
telling where the next one begins, and everything from there on is one reject.
"""

from __future__ import annotations

import re

from ..errors import ValidationError
from .row import MAX_ROW_BYTES, Reject, Row, decode_row, without_mark

_STRUCTURE = re.compile(rb'[\[\]{}",]')
_STRING_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BLANK = b" \t\r\n"


class JSONArray:
    """A reader (see `row`). `feed` raises a ValidationError if the file does not begin with `[`."""

    def __init__(self, *, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._max_row_bytes = max_row_bytes
        self._line = 1  # of the byte at `_start`
        self._rest = b""
        self._start = 0  # the unfinished element begins here
        self._at = 0  # `_rest` is scanned up to here
        self._depth = 0  # brackets open within the element
        self._has_begun = False
        self._has_ended = False
        self._expects_element = False  # after a comma
        self._is_lost = False  # nothing more can be told apart

    def feed(self, chunk: bytes) -> list[Row | Reject]:
        if self._is_lost:
            return []
        self._rest += chunk
        if not self._has_begun and not self._begin():
            return []
        found: list[Row | Reject] = []
        while not self._is_lost and (end := self._next_end()) is not None:
            found.extend(self._take(end))
        if not self._is_lost and len(self._rest) - self._start > self._max_row_bytes:
            found.append(self._lose(f"an element is longer than {self._max_row_bytes:,} bytes"))
        self._rest = self._rest[self._start :]
        self._at -= self._start
        self._start = 0
        return found

    def close(self) -> list[Row | Reject]:
        if self._is_lost or not (self._has_begun or self._begin()):
            return []
        if not self._has_ended:
            return [self._lose("the file ends in the middle of the array")]
        return [self._lose("there is something after the end of the array")] if self._rest.strip(_BLANK) else []

    def _begin(self) -> bool:
        start = without_mark(self._rest)
        stripped = start.lstrip(_BLANK)
        if start in (b"\xef", b"\xef\xbb") or not stripped:  # a byte order mark may be cut
            return False
        if not stripped.startswith(b"["):
            raise ValidationError(
                "The file is not a JSON array: it does not begin with '['.",
                hint="Use --format jsonl if each line is an object of its own.",
            )
        self._line += start.count(b"\n", 0, len(start) - len(stripped))
        self._rest, self._has_begun = stripped[1:], True
        return True

    def _next_end(self) -> int | None:
        """Where the unfinished element ends (its comma, or the array's bracket); None: not yet here."""
        if self._has_ended:
            return None
        while match := _STRUCTURE.search(self._rest, self._at):
            mark = match.group()
            if mark == b'"':
                string = _STRING_END.match(self._rest, match.end())
                if string is None:
                    self._at = match.start()  # the string again, once there is more of it
                    return None
                self._at = string.end()
                continue
            if mark in b"[{":
                self._depth += 1
            elif self._depth == 0:
                self._at = match.start()
                return match.start()
            elif mark in b"]}":
                self._depth -= 1
            self._at = match.end()
        self._at = len(self._rest)
        return None

    def _take(self, end: int) -> list[Row | Reject]:
        mark, text = self._rest[end : end + 1], self._rest[self._start : end]
        if mark == b"}":
            return [self._lose("a '}' too many")]
        element = text.strip(_BLANK)
        line = self._line + text.count(b"\n", 0, len(text) - len(text.lstrip(_BLANK)))
        self._line += text.count(b"\n")
        self._start = self._at = end + 1
        self._has_ended = mark == b"]"
        is_empty_array = self._has_ended and not self._expects_element
        self._expects_element = not self._has_ended
        if not element:
            return [] if is_empty_array else [Reject(line, "an element is missing beside a comma")]
        return [decode_row(line, element)]

    def _lose(self, reason: str) -> Reject:
        rest = self._rest[self._start :]
        self._is_lost, self._rest, self._start, self._at = True, b"", 0, 0
        blank = len(rest) - len(rest.lstrip(_BLANK))
        return Reject(self._line + rest.count(b"\n", 0, blank), f"{reason}; nothing after this line was read")
