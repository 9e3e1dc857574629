"""
What a reader of an import file hands on: rows with the line they began on, and rejects with the reason.

Pure. A reader (`jsonlines`, `jsonarray`, `delimited`) is fed chunks of bytes, cut anywhere, and keeps at most one
unfinished row: `feed(chunk)` gives the rows that became complete, `close()` what the end of the file completes or cuts.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from ..errors import ValidationError

MAX_ROW_BYTES = 16 * 1024 * 1024
"""A longer row is rejected, so that a missing line end or quote cannot pull a whole file into memory."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Row(msgspec.Struct, frozen=True):
    """One record of the file. `line` counts from 1; values are JSON's, or text where the format knows nothing else."""

    line: int
    fields: dict[str, Any]


class Reject(msgspec.Struct, frozen=True):
    """One row that was not taken: the line it began on, why, its id if it has one, its file if there are several."""

    line: int
    reason: str
    id: str | None = None
    file: str | None = None


class Reader(Protocol):
    """Bytes in, rows out; see the module docstring."""

    def feed(self, chunk: bytes) -> list[Row | Reject]: ...

    def close(self) -> list[Row | Reject]: ...


def without_mark(start: bytes) -> bytes:
    """
    The first bytes of a file without a UTF-8 byte order mark.

    Raises:
        ValidationError: The file is UTF-16, as some spreadsheets save it.
    """
    if start.startswith(_UTF_16_MARKS):
        raise ValidationError("The file is UTF-16.", hint="Save it as UTF-8 and import it again.")
    return start.removeprefix(_BYTE_ORDER_MARK)


def decode_row(line: int, text: bytes) -> Row | Reject:
    """One JSON object as a row, or why it is none."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.ValidationError as error:  # JSON, but not an object, or a number no float can hold
        return Reject(line, f"not a row: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Reject(line, f"not valid JSON: {error}")
    return Row(line, fields)
