"""
One socket, one exchange at a time.

    idle ── start ──> waiting for the answer ── whole answer ──> idle (in the pool again) ──> the caller wakes
                        │
                        ├── a long body: `BodyReceiver` takes the socket over until it is there
                        └── cut, malformed, late, cancelled: the socket is dropped, never pooled

A connection gives itself back to its pool before it wakes its caller, so a caller who goes on at once finds it there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Protocol, cast

from .body import STREAM_CHUNK_BYTES, BodyReceiver, BodyStream
from .http1 import Answer, ProtocolError, ResponseParser
from .request import Unanswered, Unsent

LARGE_BYTES = 256 * 1024
"""From this length on a body is received into its final buffer, without httptools and without a copy."""

RECEIVE_BYTES = 64 * 1024
SEND_CHUNK_BYTES = 1024 * 1024


class Keeper(Protocol):
    """Who holds the connection while it is idle: its pool."""

    def release(self, connection: Connection) -> None: ...
    def discard(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """
    A socket to the server. Made by the event loop, kept by a pool.

    Attributes:
        idle_since: Loop time at which it was last given back; kept by the pool.
        deadline: Loop time at which the pool's sweep ends the exchange that is going on.
        limit: Loop time by which the whole exchange must be over, however busy it is.
    """

    def __init__(self, keeper: Keeper, loop: asyncio.AbstractEventLoop, read_timeout: float) -> None:
        self._keeper = keeper
        self._loop = loop
        self._read_timeout = read_timeout
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._parser = ResponseParser()
        self._future: asyncio.Future[Answer] | None = None
        self._exchanges = 0
        self._received = False
        self._sending = False
        self._writable: asyncio.Future[None] | None = None
        self._is_full = False
        self._stream: BodyStream | None = None
        self._is_lost = False
        self.idle_since = 0.0
        self.deadline = sys.float_info.max
        self.limit = sys.float_info.max

    # ---- what the client does

    def is_usable(self) -> bool:
        """Can it carry an exchange? A write on a closed transport would be ignored in silence."""
        return not self._transport.is_closing()

    def start(
        self,
        data: bytes,
        limit: float,
        *,
        is_head: bool = False,
        max_bytes: int = sys.maxsize,
        stream: BodyStream | None = None,
    ) -> asyncio.Future[Answer]:
        """
        Send a request, or the head of one, and return the future of its answer.

        Args:
            data: Head, with the body where that is small: one write, one packet.
            limit: Loop time by which the exchange must be over.
            is_head: Whether it is a HEAD.
            max_bytes: The most bytes of body that may come.
            stream: Gets the body of a good answer, which then comes without it, as soon as its head is there.

        Raises:
            Unsent: The connection is closed.
        """
        transport = self._transport
        if transport.is_closing():
            raise Unsent("the connection was closed before the request could be sent")
        self._parser.expect(is_head, max_bytes, LARGE_BYTES if stream is None else 1)
        self._stream = stream
        self._received = False
        self.limit = limit
        deadline = self._loop.time() + self._read_timeout
        self.deadline = deadline if deadline < limit else limit
        self._future = future = self._loop.create_future()
        transport.write(data)
        return future

    async def send_body(self, body: memoryview) -> None:
        """
        Send a long body behind its head, a piece at a time, never more than one piece ahead of the socket.

        Stops when an answer comes early: the server has said its last word, and the connection is closed after it.
        """
        future = self._future
        self._sending = True
        for at in range(0, len(body), SEND_CHUNK_BYTES):
            if self._future is not future or future is None or future.done():
                return
            self._transport.write(body[at : at + SEND_CHUNK_BYTES])
            self.touch()
            while self._is_full and not self._is_lost and not (future.done()):
                self._writable = self._loop.create_future()
                await self._writable
        self._sending = False
        self.touch()

    def abandon(self, future: asyncio.Future[Answer]) -> None:
        """End the exchange of a caller who went away; no harm if it is over already."""
        if self._future is future:
            self._fail(None)

    def close(self) -> None:
        """Drop the socket at once; an exchange that is going on is unanswered."""
        self._fail(Unanswered("the connection was closed while the answer was awaited"))

    def expire(self) -> None:
        """End an exchange whose deadline passed."""
        self._fail(Unanswered("no answer in time", timed_out=True))

    def touch(self) -> None:
        """Note that bytes moved: the read timeout counts from now."""
        self.deadline = min(self._loop.time() + self._read_timeout, self.limit)

    def replace_socket(self, descriptor: int) -> None:
        """Let the socket's number stand for another file (after a fork)."""
        socket = self._transport.get_extra_info("socket")
        if socket is not None and socket.fileno() >= 0:
            os.dup2(descriptor, socket.fileno())

    # ---- what the event loop does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if hasattr(transport, "max_size"):
            # asyncio's own transports make room for 256 KiB at each read, which malloc takes from the system and gives
            # back each time (uvloop does not).
            transport.max_size = RECEIVE_BYTES  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        if self._future is None and self._stream is None:
            # Nobody asked: an answer to nothing would be taken for the answer to the next request.
            self._fail(None)
            return
        self._received = True
        parser = self._parser
        try:
            is_complete = parser.feed(data)
        except ProtocolError as error:
            self._fail(Unanswered(str(error)))
            return
        if is_complete:
            self._finish(parser.answer, parser.keep_alive)
        elif parser.status:
            self.touch()
            if self._stream is not None and parser.status < 300:
                self._receive_stream(self._stream)
            elif parser.large_bytes:
                self._receive_large()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._future is not None or self._stream is not None:
            if exc is None and self._parser.end():
                self._finish(self._parser.answer, False)
            else:
                detail = f" ({exc})" if exc else ""
                if self._received:
                    self._fail(Unanswered(f"the answer was cut off{detail}"))
                else:
                    self._fail(
                        Unanswered(
                            f"the connection was closed before an answer came{detail}",
                            stale_connection=self._exchanges > 0,
                        )
                    )
        self.resume_writing()
        self._keeper.discard(self)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # ---- ends of an exchange

    def _finish(self, answer: Answer, keep_alive: bool) -> None:
        future, stream = self._future, self._stream
        self._future = self._stream = None
        self._exchanges += 1
        self.deadline = sys.float_info.max
        if keep_alive and not self._sending and not self._transport.is_closing():
            self._keeper.release(self)
        else:
            self._drop()
        if stream is not None and answer[0] < 300:
            stream.push(answer[2], True)
        # A caller who was cancelled in this very turn of the loop has cancelled the future already.
        if future is not None and not future.done():
            future.set_result(answer)

    def _fail(self, error: Unanswered | None) -> None:
        future, stream = self._future, self._stream
        self._future = self._stream = None
        self.deadline = sys.float_info.max
        self._drop()
        if error is None:
            return
        if stream is not None:
            stream.fail(error)
        if future is not None and not future.done():
            future.set_exception(error)

    def _drop(self) -> None:
        self._sending = False
        self._transport.abort()
        self.resume_writing()

    # ---- long bodies

    def _receive_large(self) -> None:
        parser = self._parser
        status, headers, keep_alive = parser.status, parser.headers.copy(), parser.keep_alive
        length, begun = parser.large_bytes, b"".join(parser.parts)
        parser.reset()

        def deliver(body: bytes, _: bool) -> None:
            self._finish((status, headers, body), keep_alive)

        try:
            receiver = BodyReceiver(self, length=length, chunk_bytes=length, begun=begun, deliver=deliver)
        except MemoryError:
            self._fail(Unanswered(f"no memory for a body of {length} bytes"))
            return
        receiver.take_over(self._transport)

    def _receive_stream(self, stream: BodyStream) -> None:
        """Hand over what came of the body; the first time answer the caller, and pass by the parser if possible."""
        parser = self._parser
        begun = b"".join(parser.parts)
        parser.parts.clear()
        stream.push(begun, False)
        future = self._future
        if future is None:
            return
        self._future = None
        status, headers, keep_alive = parser.status, parser.headers.copy(), parser.keep_alive
        self.limit = sys.float_info.max
        stream.pause, stream.resume, stream.drop = self._pause_stream, self._resume_stream, self.close
        if parser.large_bytes:
            length = parser.large_bytes - len(begun)
            parser.reset()

            def deliver(piece: bytes, is_last: bool) -> None:
                if is_last:
                    self._finish((status, headers, piece), keep_alive)
                else:
                    stream.push(piece, False)

            BodyReceiver(self, length=length, chunk_bytes=STREAM_CHUNK_BYTES, begun=b"", deliver=deliver).take_over(
                self._transport
            )
        if not future.done():
            future.set_result((status, headers, b""))

    def _pause_stream(self) -> None:
        # The reader is slow, not the server.
        self.deadline = sys.float_info.max
        self._transport.pause_reading()

    def _resume_stream(self) -> None:
        self.touch()
        self._transport.resume_reading()
