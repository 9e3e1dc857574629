"""
What a server's bytes mean: HTTP/1.1 responses, one exchange at a time, fed in pieces of any size.

`ResponseParser` is httptools (llhttp) with what that leaves out: answers to HEAD, interim (1xx) answers, messages that
end with the connection, limits, and bytes that come after the end. It knows no socket.

Source: RFC 9112, sections 6 (message body), 6.3 (its length) and 9.3 (persistence).
"""

from __future__ import annotations

import httptools

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 256
MAX_ERROR_BYTES = 1024 * 1024

_BODYLESS = (204, 304)

Answer = tuple[int, dict[bytes, bytes], bytes]
"""Status, headers as sent, body."""


class ProtocolError(Exception):
    """The peer's bytes are no HTTP/1.1 response, or more than was asked for."""


class ResponseParser:
    """
    Reads the answers of one connection, one after the other: `expect`, then `feed` until it is True.

    Attributes:
        status: Status code of the answer; 0 until its headers are complete.
        headers: Its headers as sent; of a name sent twice the last. Complete once `status` is set.
        parts: Pieces of body that came and were not taken yet.
        answer: The complete answer.
        content_length: As declared; None for a chunked body or one that ends with the connection.
        has_length: The end of the body is known from the message itself, not from the end of the connection.
        keep_alive: The connection can carry another exchange. Set when the answer is complete, or long.
        large_bytes: Set once to the length of a body of at least `large_from` bytes, of which `parts` holds the
            beginning: the rest may be read past the parser, which then needs `reset`.
    """

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.parts: list[bytes] = []
        # C functions as callbacks: a Python frame per header would cost 1 µs per answer.
        self.on_header = self.headers.__setitem__
        self.on_body = self.parts.append
        self.reset()

    def reset(self) -> None:
        """Forget everything, what is left of a message included."""
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._expecting = False
        self._complete = False
        self.headers.clear()
        self.parts.clear()

    def expect(self, is_head: bool, max_bytes: int, large_from: int) -> None:
        """
        Get ready for the answer to the next request.

        Args:
            is_head: The request is a HEAD: whatever its headers say, its answer has no body.
            max_bytes: The most bytes of body (answers of status 300 and more: at most `MAX_ERROR_BYTES`).
            large_from: Bodies of this many bytes and more set `large_bytes`.
        """
        self._is_head = is_head
        self._max_bytes = max_bytes
        self._large_from = large_from
        self._expecting = True
        self._complete = False
        self._surplus = False
        self._problem = ""
        self._fed = 0
        self.status = 0
        self.large_bytes = 0
        self.has_length = True
        self.content_length: int | None = None
        self.keep_alive = False

    def feed(self, data: bytes) -> bool:
        """
        Take the next bytes of the connection.

        Returns:
            The answer is complete. `keep_alive` is False if anything came after it.

        Raises:
            ProtocolError: These bytes cannot be, or are not allowed to be, the answer.
        """
        self._fed += len(data)
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                raise ProtocolError(self._problem or f"malformed response ({error})") from error
            self._surplus = True
        if self._complete:
            if self._surplus or self.parts:
                self.keep_alive = False
            self._expecting = False
            if self._is_head:
                # llhttp does not know HEAD and may wait for a body that never comes: a new one costs 0.2 µs.
                self._parser = httptools.HttpResponseParser(self)
                self._feed = self._parser.feed_data
            return True
        if self._problem:
            raise ProtocolError(self._problem)
        if self.status == 0:
            if self._fed > MAX_HEAD_BYTES:
                raise ProtocolError(f"more than {MAX_HEAD_BYTES} bytes of headers")
        elif self.content_length is None and self._fed > self._max_bytes + MAX_HEAD_BYTES:
            raise ProtocolError(f"more than {self._max_bytes} bytes of body")
        return False

    def end(self) -> bool:
        """
        Take the end of the connection.

        Returns:
            It completes an error whose length was not declared. Anything else is cut off: in a good answer without a
            length the end of the body looks like the end of the connection.
        """
        if not self._expecting or self.status < 300 or self.has_length or self._problem:
            return False
        self._finish()
        return True

    # ---- callbacks of httptools; an exception in one comes out wrapped, so they only take notes

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                self._problem = "the server switched protocols"
            return
        headers = self.headers
        self.status = status
        if len(headers) > MAX_HEADERS:
            self._problem = f"more than {MAX_HEADERS} headers"
        elif self._fed > MAX_HEAD_BYTES and sum(map(len, headers)) + sum(map(len, headers.values())) > MAX_HEAD_BYTES:
            self._problem = f"more than {MAX_HEAD_BYTES} bytes of headers"
        elif self._is_head:
            self.content_length = _length(headers)
            # Without a Content-Length llhttp believes that the answer ends with the connection.
            self.keep_alive = self._parser.should_keep_alive() or (
                self._parser.get_http_version() == "1.1" and not _says_close(headers)
            )
            self._finish()
        elif status not in _BODYLESS:
            self._measure(headers)

    def on_message_complete(self) -> None:
        # An interim answer (1xx) completes too; the one that counts is still to come.
        if self.status == 0:
            self.headers.clear()
        elif not self._complete and not self._problem:
            # Right only inside the callbacks.
            self.keep_alive = self._parser.should_keep_alive()
            self._finish()

    # ----

    def _finish(self) -> None:
        # At once: what comes after the end in the same piece of data must not reach the answer.
        parts = self.parts
        body = b"" if not parts else parts[0] if len(parts) == 1 else b"".join(parts)
        self.answer: Answer = (self.status, self.headers.copy(), body)
        self.headers.clear()
        parts.clear()
        self._complete = True

    def _measure(self, headers: dict[bytes, bytes]) -> None:
        length = self.content_length = _length(headers)
        limit = self._max_bytes if self.status < 300 else min(self._max_bytes, MAX_ERROR_BYTES)
        self._max_bytes = limit
        if length is None:
            self.has_length = any(
                name.lower() == b"transfer-encoding" and value.lower().endswith(b"chunked")
                for name, value in headers.items()
            )
        elif length > limit:
            self._problem = f"a body of {length} bytes where at most {limit} may come"
        elif length >= self._large_from:
            self.large_bytes = length
            # Right only inside the callbacks, and the end of this message may be read past them.
            self.keep_alive = self._parser.should_keep_alive()


def _length(headers: dict[bytes, bytes]) -> int | None:
    value = headers.get(b"Content-Length") or headers.get(b"content-length")
    if value is None:
        value = next((headers[name] for name in headers if name.lower() == b"content-length"), None)
    return int(value) if value is not None and value.isdigit() else None


def _says_close(headers: dict[bytes, bytes]) -> bool:
    return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in headers.items())
