"""The parser: every answer fed whole, byte by byte, and with something behind it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddao_async.wire.http1 import (
    MAX_ERROR_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    Answer,
    ProtocolError,
    ResponseParser,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = 1 << 20
STEPS = [0, 1, 2, 7]


def feed(data: bytes, step: int = 0, *, is_head: bool = False, max_bytes: int = 1000) -> tuple[ResponseParser, bool]:
    """A new parser after this data, in pieces of `step` bytes; fed no further than to the end of the answer."""
    parser = ResponseParser()
    parser.expect(is_head, max_bytes, LARGE)
    step = step or max(1, len(data))
    for at in range(0, len(data), step):
        if parser.feed(data[at : at + step]):
            return parser, True
    return parser, False


def answer(data: bytes, step: int = 0, *, is_head: bool = False, max_bytes: int = 1000) -> Answer:
    parser, is_complete = feed(data, step, is_head=is_head, max_bytes=max_bytes)
    assert is_complete
    return parser.answer


WHOLE = {
    "length": (OK + b'Content-Length: 5\r\nETag: "x"\r\n\r\nhello', (200, b"hello"), True),
    "nothing": (OK + b"Content-Length: 0\r\n\r\n", (200, b""), True),
    "lower case": (OK + b"content-length: 5\r\n\r\nhello", (200, b"hello"), True),
    "chunked": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", (200, b"hello world"), True),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n", (200, b"x"), True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b""), True),
    "not modified": (b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 99\r\n\r\n', (304, b""), True),
    "interim": (b"HTTP/1.1 100 Continue\r\nx-a: 1\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", (200, b"ok"), True),
    "two interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        (200, b"ok"),
        True,
    ),
    "close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", (200, b"ok"), False),
    "http 1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok"), False),
    "http 1.0 kept": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", (200, b"ok"), True),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_the_same_however_it_comes(name: str, step: int) -> None:
    data, (status, body), keep_alive = WHOLE[name]

    parser, is_complete = feed(data, step)

    assert is_complete
    assert (parser.answer[0], parser.answer[2]) == (status, body)
    assert parser.keep_alive is keep_alive
    assert b"x-a" not in parser.answer[1]


@pytest.mark.parametrize("behind", [b"X", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: forged\r\n\r\n", b"\0"])
@pytest.mark.parametrize("name", [name for name in WHOLE if name != "close"])
def test_bytes_behind_an_answer_end_the_connection_and_change_nothing(name: str, behind: bytes) -> None:
    data, (status, body), _ = WHOLE[name]

    parser, is_complete = feed(data + behind)

    assert is_complete
    assert (parser.answer[0], parser.answer[2]) == (status, body)
    assert parser.answer[1].get(b"ETag") != b"forged"
    assert not parser.keep_alive


HEADS = {
    "with a length": (OK + b"Content-Length: 50\r\n\r\n", True),
    "without": (OK + b"ETag: x\r\n\r\n", True),
    "chunked": (CHUNKED + b"", True),
    "close": (OK + b"Content-Length: 50\r\nConnection: close\r\n\r\n", False),
    "http 1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 50\r\n\r\n", False),
    "interim first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 50\r\n\r\n", True),
    "an error": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 50\r\n\r\n", True),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", HEADS)
def test_an_answer_to_head_has_no_body(name: str, step: int) -> None:
    data, keep_alive = HEADS[name]

    parser, is_complete = feed(data, step, is_head=True)

    assert is_complete
    assert parser.answer[2] == b""
    assert parser.keep_alive is keep_alive


def test_a_body_behind_an_answer_to_head_ends_the_connection() -> None:
    parser, is_complete = feed(OK + b"Content-Length: 5\r\n\r\nhello", is_head=True)

    assert is_complete
    assert parser.answer[2] == b""
    assert not parser.keep_alive


def test_a_parser_reads_answer_after_answer() -> None:
    parser = ResponseParser()
    for is_head, data, body in [
        (False, WHOLE["length"][0], b"hello"),
        (True, HEADS["with a length"][0], b""),
        (False, WHOLE["chunked"][0], b"hello world"),
        (False, WHOLE["no content"][0], b""),
        (True, HEADS["chunked"][0], b""),
        (False, WHOLE["interim"][0], b"ok"),
    ]:
        parser.expect(is_head, 1000, LARGE)
        assert parser.feed(data)
        assert parser.answer[2] == body
        assert parser.keep_alive


MALFORMED = {
    "no http": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "http 2": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a control in a value": OK + b"ETag: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a value": OK + b"ETag: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a blank in a name": OK + b"Content Length: 0\r\n\r\n",
    "a blank before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a negative length": OK + b"Content-Length: -5\r\n\r\n",
    "a length with a sign": OK + b"Content-Length: +5\r\n\r\nhello",
    "length and chunked": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk that is none": CHUNKED + b"xyz\r\n",
    "a huge chunk": CHUNKED + b"fffffffffffffffff\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a folded header": OK + b"ETag: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a body longer than may come": OK + b"Content-Length: 1001\r\n\r\n",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_refused(name: str, step: int) -> None:
    with pytest.raises(ProtocolError):
        feed(MALFORMED[name], step)


@pytest.mark.parametrize("step", [0, 1000])
def test_headers_are_limited_in_bytes(step: int) -> None:
    head = OK + b"x-a: " + b"a" * MAX_HEAD_BYTES + b"\r\nContent-Length: 0\r\n\r\n"

    with pytest.raises(ProtocolError, match="bytes of headers"):
        feed(head, step)


@pytest.mark.parametrize("step", [0, 1000])
def test_headers_that_never_end_are_refused(step: int) -> None:
    with pytest.raises(ProtocolError, match="bytes of headers"):
        feed(OK + b"x-a: b\r\n" * (MAX_HEAD_BYTES // 7), step)


@pytest.mark.parametrize("step", STEPS)
def test_headers_are_limited_in_number(step: int) -> None:
    head = OK + b"".join(b"x-%d: 1\r\n" % at for at in range(MAX_HEADERS)) + b"Content-Length: 0\r\n\r\n"

    with pytest.raises(ProtocolError, match=f"more than {MAX_HEADERS} headers"):
        feed(head, step)


def test_a_body_without_a_length_is_limited() -> None:
    chunks = b"1000\r\n" + b"x" * 4096 + b"\r\n"

    with pytest.raises(ProtocolError, match="bytes of body"):
        feed(CHUNKED + b"" + chunks * 40, 1 << 14)


def test_the_body_of_an_error_is_limited_more_than_that_of_an_object() -> None:
    with pytest.raises(ProtocolError):
        feed(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % (MAX_ERROR_BYTES + 1), max_bytes=1 << 40)


def test_an_answer_that_is_cut_is_never_complete() -> None:
    for data, _, _ in WHOLE.values():
        for stop in range(len(data)):
            parser, is_complete = feed(data[:stop])
            assert not is_complete
            assert not parser.end()


def test_only_an_error_may_end_with_the_connection() -> None:
    """The end of a good body without a length cannot be told from a cut."""
    good, _ = feed(OK + b"\r\nthe beginning of")
    error, _ = feed(b"HTTP/1.1 503 Slow\r\n\r\n<Error/>")

    assert not good.end()
    assert error.end()
    assert error.answer == (503, {}, b"<Error/>")
    assert not error.keep_alive


@pytest.mark.parametrize("step", [0, 1, 100])
def test_a_long_body_is_told_early(step: int) -> None:
    parser = ResponseParser()
    parser.expect(False, 1 << 40, 1000)
    data = OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 500
    for at in range(0, len(data), step or len(data)):
        assert not parser.feed(data[at : at + (step or len(data))])

    assert parser.large_bytes == 1000
    assert parser.keep_alive
    assert b"".join(parser.parts) == b"x" * 500


HEADER = st.tuples(
    st.text("abcdefghijklmnop-", min_size=1, max_size=12).filter(lambda name: "content" not in name),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30),
)


@settings(max_examples=300, deadline=None)
@given(
    status=st.sampled_from([200, 206, 404, 412, 503]),
    headers=st.lists(HEADER, max_size=12, unique_by=lambda header: header[0]),
    body=st.binary(max_size=300),
    is_chunked=st.booleans(),
    data=st.data(),
)
def test_any_answer_in_any_pieces(
    status: int, headers: list[tuple[str, str]], body: bytes, is_chunked: bool, data: st.DataObject
) -> None:
    lines = [f"HTTP/1.1 {status} R", *(f"X-{name}: {value}" for name, value in headers)]
    if is_chunked:
        cut = data.draw(st.integers(0, len(body)))
        pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
        payload = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    else:
        payload = body
        lines.append(f"Content-Length: {len(body)}")
    raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + payload
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    parser = ResponseParser()
    parser.expect(False, 1000, LARGE)

    results = [
        parser.feed(raw[start:stop]) for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True) if start < stop
    ]

    assert results == [False] * (len(results) - 1) + [True]
    assert parser.answer[0] == status
    assert parser.answer[2] == body
    assert {name: parser.answer[1][f"X-{name}".encode()] for name, _ in headers} == {n: v.encode() for n, v in headers}
    assert parser.keep_alive


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", WHOLE["chunked"][0][:60]]), st.booleans())
def test_no_bytes_make_it_fail_otherwise(data: bytes, before: bytes, is_head: bool) -> None:
    """Whatever comes, the parser says that it is complete, that it is not, or ProtocolError."""
    parser = ResponseParser()
    parser.expect(is_head, 1000, LARGE)
    try:
        parser.feed(before + data)
    except ProtocolError:
        return
    parser.end()
