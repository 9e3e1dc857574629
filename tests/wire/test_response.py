"""What an answer means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ddao_async.wire.request import Request, Response
from ddao_async.wire.response import UnusableAnswer, http_date, http_time, opened, response

HEADERS = {
    b"x-amz-id-2": b"id2",
    b"x-amz-request-id": b"7XG9",
    b"Date": b"Sun, 22 Nov 2026 10:00:00 GMT",
    b"Last-Modified": b"Thu, 01 Jan 2026 00:00:00 GMT",
    b"ETag": b'"5d41402abc4b2a76b9719d911017c592"',
    b"Content-Type": b"application/json",
    b"Content-Length": b"5",
}


def read(
    operation: Any, status: int = 200, headers: dict[bytes, bytes] | None = None, body: bytes = b"", **fields: Any
) -> Response:
    return response(
        Request(operation=operation, key="k", **fields), (status, HEADERS if headers is None else headers, body)
    )


def test_a_get() -> None:
    found = read("get", body=b"hello")

    assert found == Response(
        status=200,
        body=b"hello",
        etag="5d41402abc4b2a76b9719d911017c592",
        size=5,
        last_modified=datetime(2026, 1, 1, tzinfo=UTC),
        content_type="application/json",
        request_id="7XG9",
        date=datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp(),
    )


def test_a_head_tells_the_size_by_its_length() -> None:
    found = read("head")

    assert (found.size, found.body) == (5, b"")


@pytest.mark.parametrize("spell", [bytes.lower, bytes.upper, bytes.title])
def test_header_names_have_no_case(spell: Any) -> None:
    headers = {spell(name): value for name, value in (HEADERS | {b"X-Amz-Meta-DDAO-Type": b"object"}).items()}

    found = read("get", headers=headers, body=b"hello")

    assert found.etag == "5d41402abc4b2a76b9719d911017c592"
    assert found.metadata == {"ddao-type": "object"}
    assert found.content_type == "application/json"


def test_a_put_tells_the_etag_and_the_size_that_was_sent() -> None:
    found = response(Request(operation="put", key="k", body=b"1234"), (200, HEADERS, b""))

    assert (found.etag, found.size) == ("5d41402abc4b2a76b9719d911017c592", 4)


@pytest.mark.parametrize(
    ("raw", "etag"), [(b'"abc"', "abc"), (b"abc", "abc"), (b'W/"abc"', "abc"), (b'"abc-12"', "abc-12"), (b'""', "")]
)
def test_etags_come_bare(raw: bytes, etag: str) -> None:
    assert read("head", headers={b"ETag": raw}).etag == etag


def test_metadata_may_be_utf8_or_not() -> None:
    headers = {b"x-amz-meta-id": "ключ".encode(), b"x-amz-meta-old": b"\xe9", b"x-amz-meta-": b"empty"}

    assert read("head", headers=headers).metadata == {"id": "ключ", "old": "é", "": "empty"}


ERROR = (
    b"<?xml version='1.0' encoding='UTF-8'?>\n<Error><Code>PreconditionFailed</Code><Message>a &lt;b&gt; &amp; &#x43;"
    b"</Message><RequestId>R1</RequestId><Region>eu-west-1</Region></Error>"
)


def test_an_error_tells_code_and_message() -> None:
    found = read("put", 412, {b"Retry-After": b"3"}, ERROR)

    assert (found.status, found.code, found.message) == (412, "PreconditionFailed", "a <b> & C")
    assert (found.request_id, found.region, found.retry_after) == ("R1", "eu-west-1", 3.0)
    assert found.body == b""


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"\xff\xfe", b"<Error><Code>Trunc"])
def test_an_error_without_a_code_has_none(body: bytes) -> None:
    found = read("get", 502, {b"x-amz-bucket-region": b"eu-west-1"}, body)

    assert (found.status, found.code, found.region) == (502, None, "eu-west-1")


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"   \n"])
@pytest.mark.parametrize("operation", ["put", "delete", "list", "upload_part"])
def test_a_200_whose_body_is_an_error_is_an_error(operation: str, before: bytes) -> None:
    found = read(operation, 200, {}, before + ERROR)

    assert (found.status, found.code) == (500, "PreconditionFailed")


def test_an_object_that_looks_like_an_error_is_an_object() -> None:
    assert read("get", body=ERROR).body == ERROR


def test_nothing_changed() -> None:
    found = read("get", 304, {b"ETag": b'"abc"'})

    assert (found.status, found.etag, found.code) == (304, "abc", None)


def test_retry_after_may_be_a_date() -> None:
    headers = {b"Date": b"Sun, 22 Nov 2026 10:00:00 GMT", b"Retry-After": b"Sun, 22 Nov 2026 10:00:07 GMT"}

    assert read("get", 503, headers).retry_after == 7.0
    assert read("get", 503, {b"Retry-After": b"soon"}).retry_after is None


def ranged(wanted: tuple[int, int | None], content_range: bytes | None, body: bytes, status: int = 206) -> Response:
    headers = {} if content_range is None else {b"Content-Range": content_range}
    return read("get", status, headers, body, range=wanted)


@pytest.mark.parametrize(
    ("wanted", "content_range", "body"),
    [
        ((0, 5), b"bytes 0-4/10", b"01234"),
        ((5, None), b"bytes 5-9/10", b"56789"),
        ((5, 100), b"bytes 5-9/10", b"56789"),
    ],
)
@pytest.mark.parametrize("status", [200, 206])
def test_a_range_that_was_asked_for(
    wanted: tuple[int, int | None], content_range: bytes, body: bytes, status: int
) -> None:
    """rclone says 200 for it."""
    found = ranged(wanted, content_range, body, status)

    assert (found.status, found.body, found.size) == (206, body, 10)


@pytest.mark.parametrize(
    ("wanted", "content_range", "body"),
    [
        ((0, 5), None, b"01234"),
        ((0, 5), b"bytes 0-4/10", b"0123"),
        ((0, 5), b"bytes 1-5/10", b"12345"),
        ((0, 5), b"bytes 0-9/10", b"0123456789"),
        ((0, 5), b"bytes 0-4/*", b"01234"),
        ((0, 5), b"0-4/10", b"01234"),
        ((5, None), b"bytes 5-8/10", b"5678"),
    ],
)
def test_a_range_that_was_not_asked_for_is_refused(
    wanted: tuple[int, int | None], content_range: bytes | None, body: bytes
) -> None:
    with pytest.raises(UnusableAnswer):
        ranged(wanted, content_range, body)


def test_a_server_may_ignore_the_range() -> None:
    found = ranged((2, 5), None, b"0123456789", 200)

    assert (found.status, found.body, found.size) == (206, b"234", 10)


def test_a_stream_knows_its_size_and_range_before_its_body() -> None:
    whole = opened(Request(operation="get", key="k"), (200, HEADERS, b""))
    request = Request(operation="get", key="k", range=(5, None))
    part = opened(request, (206, HEADERS | {b"Content-Range": b"bytes 5-9/10"}, b""))

    assert (whole.status, whole.size) == (200, 5)
    assert (part.status, part.size) == (206, 10)
    with pytest.raises(UnusableAnswer):
        opened(request, (206, HEADERS | {b"Content-Range": b"bytes 4-8/10"}, b""))
    assert opened(request, (404, {}, ERROR)).code == "PreconditionFailed"


@pytest.mark.parametrize(
    "value", [b"", b"yesterday", b"Thu, 32 Jan 2026 00:00:00 GMT", b"Thu, 01 Foo 2026 00:00:00 GMT", b"x" * 29]
)
def test_a_malformed_date_is_none(value: bytes) -> None:
    assert http_date(value) is None
    assert http_time(value) is None
