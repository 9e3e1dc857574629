"""
What an S3 answer means: (status, headers, body) -> `Response`.

Header names come as the server spells them. Servers spell the same kind of answer always the same, so what stands
where is looked up once per tuple of names (`_shape`) and not once per header.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from .http1 import Answer
from .listing import listing
from .request import Request, Response
from .xml import plain_text

_ETAG = b"etag"
_META = b"x-amz-meta-"
_KNOWN = {
    b"etag": "etag",
    b"last-modified": "last_modified",
    b"content-length": "content_length",
    b"content-type": "content_type",
    b"content-range": "content_range",
    b"x-amz-request-id": "request_id",
    b"x-amz-bucket-region": "region",
    b"retry-after": "retry_after",
    b"date": "date",
}
_CONTENT_RANGE = re.compile(rb"bytes (\d+)-(\d+)/(\d+)\Z")
_ERROR = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?<Error[\s>]")
_ERROR_PARTS = re.compile(rb"<(Code|Message|RequestId|Region)>([^<]*)</\1>")
_MONTHS = {month: at + 1 for at, month in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())}


class UnusableAnswer(Exception):
    """A whole answer that is not one to this request: it says nothing about what the server did."""


class _Shape(msgspec.Struct):
    """Which of an answer's header names is which; None where it has none."""

    etag: bytes | None = None
    last_modified: bytes | None = None
    content_length: bytes | None = None
    content_type: bytes | None = None
    content_range: bytes | None = None
    request_id: bytes | None = None
    region: bytes | None = None
    retry_after: bytes | None = None
    date: bytes | None = None
    metadata: tuple[tuple[bytes, str], ...] = ()


def response(request: Request, answer: Answer) -> Response:
    """
    Read an answer.

    Args:
        request: What was asked.
        answer: What came back, whole.

    Raises:
        UnusableAnswer: Another range than asked for.
        MalformedXml: A list that is none.
    """
    status, headers, body = answer
    shape = _shape(tuple(headers))
    if status >= 300 and status != 304:
        return _fault(status, headers, body, shape)
    operation = request.operation
    if operation == "get" and status != 304:
        if request.range is not None:
            return _ranged(request.range, status, headers, body, shape)
        return _object(status, headers, body, len(body), shape)
    if operation == "head":
        length = shape.content_length
        return _object(status, headers, b"", int(headers[length]) if length is not None else 0, shape)
    if operation == "list" and not _ERROR.match(body):
        return Response(
            status=status,
            listing=listing(body),
            request_id=_text(headers, shape.request_id),
            date=http_time(headers[shape.date]) if shape.date is not None else None,
        )
    if body and _ERROR.match(body):
        # Promised by the S3 reference for copies and completions; a gateway may do it anywhere.
        return _fault(500, headers, body, shape)
    return Response(
        status=status,
        body=body,
        etag=_etag(headers[shape.etag]) if shape.etag is not None else "",
        size=len(request.body),
        request_id=_text(headers, shape.request_id),
        date=http_time(headers[shape.date]) if shape.date is not None else None,
    )


def opened(request: Request, answer: Answer) -> Response:
    """
    Read the head of an answer to a get whose body is still to come. Raises UnusableAnswer as `response` does.
    """
    status, headers, body = answer
    shape = _shape(tuple(headers))
    if status >= 300:
        return response(request, answer)
    length = int(headers[shape.content_length]) if shape.content_length is not None else 0
    if request.range is None:
        return _object(status, headers, body, length, shape)
    if shape.content_range is None:
        raise UnusableAnswer("a part of an object without Content-Range")
    total = _checked_range(request.range, headers[shape.content_range], length)
    return _object(206, headers, body, total, shape)


def _object(status: int, headers: dict[bytes, bytes], body: bytes, size: int, shape: _Shape) -> Response:
    return Response(
        status=status,
        body=body,
        etag=_etag(headers[shape.etag]) if shape.etag is not None else "",
        size=size,
        last_modified=http_date(headers[shape.last_modified]) if shape.last_modified is not None else None,
        metadata={name: _value(headers[raw]) for raw, name in shape.metadata} if shape.metadata else None,
        content_type=_text(headers, shape.content_type),
        request_id=_text(headers, shape.request_id),
        date=http_time(headers[shape.date]) if shape.date is not None else None,
    )


def _ranged(
    wanted: tuple[int, int | None], status: int, headers: dict[bytes, bytes], body: bytes, shape: _Shape
) -> Response:
    """
    Read an answer to a ranged read. It must say which bytes it holds, and hold them.

    A 200 with Content-Range is a 206 (rclone); a 200 without is the whole object, which a server may send (RFC 9110,
    14.2), and is cut here.
    """
    start, stop = wanted
    if shape.content_range is None:
        if status != 200:
            raise UnusableAnswer("a part of an object without Content-Range")
        return _object(206, headers, body[start:stop], len(body), shape)
    total = _checked_range(wanted, headers[shape.content_range], len(body))
    return _object(206, headers, body, total, shape)


def _checked_range(wanted: tuple[int, int | None], content_range: bytes, length: int) -> int:
    """Return the size of the whole object if these are the bytes that were asked for."""
    start, stop = wanted
    found = _CONTENT_RANGE.match(content_range)
    if found is None:
        raise UnusableAnswer("a part of an object with a malformed Content-Range")
    first, last, total = map(int, found.groups())
    expected = total - 1 if stop is None else min(stop, total) - 1
    if first != start or last != expected or length != last - first + 1:
        raise UnusableAnswer(f"bytes {first}-{last}, {length} of them, where {start}-{expected} were asked for")
    return total


def _fault(status: int, headers: dict[bytes, bytes], body: bytes, shape: _Shape) -> Response:
    parts = {name: plain_text(value.decode("utf-8", "replace")) for name, value in _ERROR_PARTS.findall(body)}
    return Response(
        status=status,
        code=parts.get(b"Code"),
        message=parts.get(b"Message", ""),
        request_id=_text(headers, shape.request_id) or parts.get(b"RequestId"),
        region=_text(headers, shape.region) or parts.get(b"Region"),
        retry_after=_seconds(headers, shape),
        date=http_time(headers[shape.date]) if shape.date is not None else None,
    )


@lru_cache(maxsize=256)
def _shape(names: tuple[bytes, ...]) -> _Shape:
    shape = _Shape()
    metadata: list[tuple[bytes, str]] = []
    for name in names:
        lower = name.lower()
        if field := _KNOWN.get(lower):
            setattr(shape, field, name)
        elif lower.startswith(_META):
            metadata.append((name, lower[len(_META) :].decode("latin-1")))
    shape.metadata = tuple(metadata)
    return shape


@lru_cache(maxsize=4096)
def http_date(value: bytes) -> datetime | None:
    """
    Read an HTTP date, e.g. `Thu, 01 Jan 2026 00:00:00 GMT`; None if it is malformed.

    Cached: reading costs 1.5 µs, a hit 0.07 µs.
    """
    if len(value) == 29:
        try:
            return datetime(
                int(value[12:16]), _MONTHS[value[8:11]], int(value[5:7]),
                int(value[17:19]), int(value[20:22]), int(value[23:25]), tzinfo=UTC,
            )  # fmt: skip
        except (ValueError, KeyError):
            pass
    return None


@lru_cache(maxsize=16)
def http_time(value: bytes) -> float | None:
    """Read an HTTP date as epoch seconds; None if it is malformed."""
    instant = http_date(value)
    return instant.timestamp() if instant is not None else None


def _etag(value: bytes) -> str:
    return value.decode("latin-1").removeprefix("W/").strip('"')


def _text(headers: dict[bytes, bytes], name: bytes | None) -> str | None:
    return headers[name].decode("latin-1") if name is not None else None


def _value(value: bytes) -> str:
    """A metadata value: printable ASCII by the rules; Go clients store raw UTF-8 all the same."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _seconds(headers: dict[bytes, bytes], shape: _Shape) -> float | None:
    """Retry-After in seconds, or as a date, which is then counted from the answer's own."""
    if shape.retry_after is None:
        return None
    value = headers[shape.retry_after].strip()
    if value.isdigit():
        return float(value)
    until = http_time(value)
    now = http_time(headers[shape.date]) if shape.date is not None else None
    return max(0.0, until - now) if until is not None and now is not None else None
