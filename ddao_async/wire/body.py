"""
Long bodies: how one is received past the HTTP parser.

One that is wanted whole comes straight into the bytes that the caller gets: `BytesIO(bytes(n))` owns the only
reference to zeroed pages that were never touched; `getbuffer` lets the socket write into them, `getvalue` hands them
out as bytes, all without a copy. One that is wanted in pieces comes into one buffer, over and over, that stays in the
processor's cache; each piece is copied out of it.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import Callable
from typing import Protocol

from .request import Response, Unanswered

STREAM_CHUNK_BYTES = 256 * 1024
STREAM_AHEAD_BYTES = 1024 * 1024
"""What may wait in a stream for its reader before the socket is no longer read."""


class Socket(Protocol):
    """What a receiver needs of the connection whose place it takes."""

    def touch(self) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class BodyReceiver(asyncio.BufferedProtocol):
    """
    Takes the place of a connection's protocol until a body of known length is there.

    Args:
        connection: Whose place it takes, and who gets what is not about the body.
        length: Bytes still to come; at least 1.
        chunk_bytes: Size of the pieces handed out; the last may be shorter.
        begun: Bytes that came already and belong to the first piece; counted in `length`.
        deliver: Gets each piece, and whether it is the last; by the last the connection is in its place again.
    """

    def __init__(
        self,
        connection: Socket,
        *,
        length: int,
        chunk_bytes: int,
        begun: bytes,
        deliver: Callable[[bytes, bool], None],
    ) -> None:
        self._connection = connection
        self._left = length
        self._size = min(length, chunk_bytes)
        self._deliver = deliver
        self._whole = io.BytesIO(bytes(length)) if length == self._size else None
        self._view = memoryview(bytearray(self._size)) if self._whole is None else self._whole.getbuffer()
        self._view[: len(begun)] = begun
        self._at = len(begun)

    def take_over(self, transport: asyncio.Transport) -> None:
        """Receive what comes from now on. uvloop picks its way of reading when reading starts, hence the pause."""
        self._transport = transport
        transport.pause_reading()
        transport.set_protocol(self)
        transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._view[self._at : self._size]

    def buffer_updated(self, nbytes: int) -> None:
        self._at += nbytes
        self._connection.touch()
        if self._at < self._size:
            return
        if self._whole is not None:
            # The event loop holds its view of the buffer during this call, and so long `getvalue` copies: 33 ms for
            # 64 MiB.
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._deliver_whole, self._whole)
            return
        piece = bytes(self._view[: self._size])
        self._left -= self._size
        self._at = 0
        if self._left:
            self._size = min(self._left, self._size)
            self._deliver(piece, False)
        else:
            self._transport.pause_reading()
            self._end(piece)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._view.release()  # a BytesIO that is collected with a view on it complains on stderr
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def _deliver_whole(self, whole: io.BytesIO) -> None:
        # A transport that is closing has an exchange that failed, or that `connection_lost` is about to fail.
        if not self._transport.is_closing():
            self._view.release()
            self._end(whole.getvalue())

    def _end(self, piece: bytes) -> None:
        """Give the socket back and hand out the last piece."""
        self._transport.set_protocol(self._connection)  # pyright: ignore[reportArgumentType]
        self._transport.resume_reading()
        self._deliver(piece, True)


class BodyStream:
    """
    The body of one answer between its connection, which pushes, and its reader (`wire.request.Body`).

    Attributes:
        response: The answer without its body; set before the reader gets the stream.
        pause: Stops reading the socket; called when more than `STREAM_AHEAD_BYTES` wait.
        resume: Goes on.
        drop: Drops the connection of a body that will not be read to its end.
    """

    response: Response

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Unanswered | None = None
        self._is_over = False
        self._is_paused = False
        self.pause: Callable[[], None] = _nothing
        self.resume: Callable[[], None] = _nothing
        self.drop: Callable[[], None] = _nothing

    def push(self, piece: bytes, is_last: bool) -> None:
        """Take the next piece from the connection."""
        if piece:
            self._pieces.append(piece)
            self._waiting_bytes += len(piece)
        if is_last:
            self._is_over = True
        elif self._waiting_bytes > STREAM_AHEAD_BYTES and not self._is_paused:
            self._is_paused = True
            self.pause()
        self._wake()

    def fail(self, error: Unanswered) -> None:
        """Take the news that no more will come."""
        self._error = self._error or error
        self._wake()

    async def read(self) -> bytes:
        """Return the next piece, empty at the end. Raises Unanswered where the body was cut short."""
        while not self._pieces:
            if self._is_over:
                return b""
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            await self._waiter
        piece = self._pieces.popleft()
        self._waiting_bytes -= len(piece)
        if self._is_paused and self._waiting_bytes <= STREAM_AHEAD_BYTES // 2:
            self._is_paused = False
            self.resume()
        return piece

    async def close(self) -> None:
        """Drop the connection unless the body came whole; safe to call twice."""
        if not self._is_over and self._error is None:
            self._error = Unanswered("the body was closed before its end")
            self.drop()
        self._pieces.clear()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _nothing() -> None:
    """Before its connection is known a stream has nothing to pause."""
