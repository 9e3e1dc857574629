"""
A scripted peer: a server on loopback that answers what a test tells it to, whole, byte by byte or with something behind
it, and keeps what it was sent.

    peer.answers.append(Answer(b"HTTP/1.1 200 OK\\r\\n..."))       one for each request; the last one stays
    peer.requests[0].head                                          what came
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """
    What the peer does with one request.

    `step`: bytes at a time (0: all at once). `then`: what it does behind the answer. `early`: it answers when it has
    the head of the request, before the body. `after`: seconds it waits first.
    """

    data: bytes = b""
    step: int = 0
    then: str = "keep"  # keep, close, reset, hang
    early: bool = False
    after: float = 0.0


class Received(msgspec.Struct):
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


def http(status: int = 200, body: bytes = b"", *, length: int | None = None, **headers: str) -> bytes:
    """An answer with Content-Length; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def s3_error(status: int, code: str, **headers: str) -> bytes:
    """An error answer of S3."""
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>it says</Message></Error>".encode()
    return http(status, body, **headers)


class Peer:
    """
    Attributes:
        answers: One for each request; the last of them for all that follow.
        requests: What came.
        connections: How many were accepted.
        open: How many are open.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = [Answer(http())]
        self.requests: list[Received] = []
        self.connections = 0
        self.open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, *answers: bytes | Answer) -> None:
        """Answer these to the next requests."""
        self.answers = [answer if isinstance(answer, Answer) else Answer(answer) for answer in answers]

    async def push(self, data: bytes) -> None:
        """Send bytes that nobody asked for on every open connection."""
        for writer in list(self._writers):
            writer.write(data)
            await writer.drain()

    async def hang_up(self) -> None:
        """Close every open connection."""
        for writer in list(self._writers):
            writer.close()
        await asyncio.sleep(0.02)

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: Any = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while await self._serve(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass  # the client, or the test, is gone
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (entry.split(": ", 1) for entry in rest)}
        request = Received(line, headers, b"", connection)
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer.early:
            request.body = await reader.readexactly(int(headers.get("content-length", 0)))
        if answer.after:
            await asyncio.sleep(answer.after)
        step = answer.step or len(answer.data) or 1
        for at in range(0, len(answer.data), step):
            writer.write(answer.data[at : at + step])
            await writer.drain()
            if answer.step:
                await asyncio.sleep(0)
        match answer.then:
            case "close":
                return False
            case "reset":
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case "hang":
                while await reader.read(1 << 16):
                    pass
                return False
            case _:
                return True


@asynccontextmanager
async def peer_at(context: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """A peer, while the block runs."""
    peer = Peer()
    await peer.start(context)
    try:
        yield peer
    finally:
        await peer.close()
