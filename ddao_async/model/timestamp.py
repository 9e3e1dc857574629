"""
The times of a document: RFC 3339 text with a zone and up to nine digits of a second, read as datetimes.

The text is what is kept; a datetime holds microseconds, so the rest is cut, not rounded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ..errors import CorruptDocumentError

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(?:([Zz])|([+-]\d\d:\d\d))\Z",
    re.ASCII,
)


def instant(text: str) -> datetime:
    """
    The datetime of a stored time, in UTC; `0001-01-01T00:00:00Z`, which means "never", is `datetime.min` there.

    Raises:
        CorruptDocumentError: Not RFC 3339, without a zone, or no such day.
    """
    match = _RFC3339.match(text)
    if match is None:
        raise _corrupt(text)
    day, clock, fraction, _, offset = match.groups()
    try:
        read = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0').ljust(6, '0')}{offset or '+00:00'}")
    except ValueError as error:
        raise _corrupt(text) from error
    try:
        return read.astimezone(UTC)
    except OverflowError:
        return read  # the first or last day, beyond Python's range in UTC


def _corrupt(text: str) -> CorruptDocumentError:
    return CorruptDocumentError(
        f"{text[:60]!r} is not a time (RFC 3339 with a zone).", hint="Correct the document, or write it again."
    )
