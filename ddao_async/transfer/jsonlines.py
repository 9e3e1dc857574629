"""
Reads JSON lines: one JSON object a line, blank lines between them ignored. Pure.
"""

from __future__ import annotations

from .row import MAX_ROW_BYTES, Reject, Row, decode_row, without_mark


class JSONLines:
    """A reader (see `row`). A broken line is rejected alone; the next one starts afresh."""

    def __init__(self, *, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._max_row_bytes = max_row_bytes
        self._line = 1
        self._rest = b""
        self._is_too_long = False
        self._has_begun = False

    def feed(self, chunk: bytes) -> list[Row | Reject]:
        if not self._has_begun:
            chunk = self._rest + chunk
            self._rest = b""
            if len(chunk) < 3:  # a byte order mark may be cut
                self._rest = chunk
                return []
            chunk = without_mark(chunk)
            self._has_begun = True
        first, *others = chunk.split(b"\n")
        self._append(first)
        found: list[Row | Reject] = []
        for other in others:
            found.extend(self._take())
            self._line += 1
            self._append(other)
        return found

    def close(self) -> list[Row | Reject]:
        if not self._has_begun:
            self._rest = without_mark(self._rest)
        return self._take()

    def _append(self, part: bytes) -> None:
        if len(self._rest) + len(part) > self._max_row_bytes:
            self._is_too_long, self._rest = True, b""
        if not self._is_too_long:
            self._rest += part

    def _take(self) -> list[Row | Reject]:
        text, self._rest = self._rest, b""
        if self._is_too_long:
            self._is_too_long = False
            return [Reject(self._line, f"longer than {self._max_row_bytes:,} bytes")]
        return [decode_row(self._line, text)] if text.strip() else []
