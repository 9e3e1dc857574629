"""
A TCP proxy that breaks HTTP on purpose: broken networks made by real sockets, one fault per request.

    client ──> FaultProxy ──> server
                 refuse, reset, hang          the server never hears of the request
                 drop_response, hang_after    the server has applied it, the client hears nothing
                 late                         the client is cut off first, the server hears of it later (a twin)
                 cut_response, half_close     the client gets the beginning of the answer
                 answer, answer_after         the proxy answers, instead of the server or over it

    proxy.faults.append(Fault("drop_response"))            the next request only
    proxy.choose = lambda method, path: Fault("hang") if method == "PUT" else None
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import pytest

Kind = Literal[
    "refuse",
    "reset",
    "hang",
    "hang_after",
    "drop_response",
    "late",
    "cut_response",
    "half_close",
    "delay",
    "trickle",
    "answer",
    "answer_after",
]


class Fault(msgspec.Struct, frozen=True):
    """
    What happens to one request.

    `at`: bytes of the answer that still arrive (cut_response, half_close). `seconds`: how long a delay lasts, how late
    a twin is. `answer`: raw bytes of the proxy's own answer.
    """

    kind: Kind
    at: int = 0
    seconds: float = 0.1
    answer: bytes = b""


def http_answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Raw bytes of an HTTP answer; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def s3_error(status: int, code: str, **headers: str) -> bytes:
    """Raw bytes of an S3 error answer."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>said the proxy</Message></Error>".encode()
    return http_answer(status, body, Content_Type="application/xml", **headers)


class FaultProxy:
    """
    A proxy in front of one server, in the test's event loop.

    Attributes:
        url: What a client takes as its endpoint.
        faults: Taken from the left, one for each request; empty: requests pass.
        choose: Asked for a request's fault first; None: look into `faults`.
        requests: (method, path) of each request that arrived, repetitions included.
        heads: Its raw head, in the same order (of the latest one when `choose` is asked).
        forwarded: Those that the server got.
        connections, open_connections: From clients, ever and now.
        most_in_flight: The most requests that were being answered at one time.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self.faults: deque[Fault | None] = deque()
        self.choose: Callable[[str, str], Fault | None] | None = None
        self.requests: list[tuple[str, str]] = []
        self.heads: list[bytes] = []
        self.forwarded: list[tuple[str, str]] = []
        self.connections = 0
        self.open_connections = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        self.open_connections += 1
        try:
            while await self._one_request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client, or the test, is gone
        finally:
            self.open_connections -= 1
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path = head.split(b" ", 2)[:2]
        name = (method.decode(), path.decode())
        self.requests.append(name)
        self.heads.append(head)
        fault = self.choose(*name) if self.choose is not None else None
        if fault is None and self.faults:
            fault = self.faults.popleft()
        if fault is not None and fault.kind in ("refuse", "reset", "hang"):
            return await self._not_forwarded(fault, reader, writer)
        headers = _headers(head)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:"))
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if fault is not None:
                return await self._faulty(fault, name, head + body, reader, writer)
            answer = await self._exchange(name, head, body)
        finally:
            self.in_flight -= 1
        writer.write(answer)
        await writer.drain()
        return True

    async def _not_forwarded(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if fault.kind == "reset":
            _reset(writer)
        elif fault.kind == "hang":
            await _silence(reader)
        return False

    async def _faulty(
        self,
        fault: Fault,
        name: tuple[str, str],
        request: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        if fault.kind == "answer":
            writer.write(fault.answer)
            await writer.drain()
            return True
        if fault.kind == "late":
            _reset(writer)
        if fault.kind in ("late", "delay"):
            await asyncio.sleep(fault.seconds)
        answer = await self._exchange(name, request, b"")
        match fault.kind:
            case "late" | "drop_response":
                return False
            case "hang_after":
                await _silence(reader)
            case "answer_after":
                writer.write(fault.answer)
            case "delay":
                writer.write(answer)
            case "trickle":
                for at in range(len(answer)):
                    writer.write(answer[at : at + 1])
                    await writer.drain()
            case _:
                writer.write(answer[: fault.at])
                await writer.drain()
                if fault.kind == "half_close":
                    writer.write_eof()
                    await _silence(reader)
                return False
        await writer.drain()
        return True

    async def _exchange(self, name: tuple[str, str], head: bytes, body: bytes) -> bytes:
        """Send a request to the server over a connection of its own, and return the whole raw answer."""
        self.forwarded.append(name)
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(head + body)
            raw = await reader.readuntil(b"\r\n\r\n")
            status, headers = int(raw.split(b" ", 2)[1]), _headers(raw)
            if name[0] == "HEAD" or status in (204, 304):
                return raw
            if "content-length" in headers:
                return raw + await reader.readexactly(int(headers["content-length"]))
            if headers.get("transfer-encoding") == "chunked":
                return raw + await _chunks(reader)
            return raw + await reader.read()
        finally:
            writer.close()


async def _silence(reader: asyncio.StreamReader) -> None:
    """Say nothing until the client hangs up."""
    while await reader.read(1 << 16):
        pass


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    raw = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        raw += line + await reader.readexactly(size + 2)
        if size == 0:
            return raw


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the peer gets RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(target: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of a server's URL, while the block runs."""
    proxy = FaultProxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()


@pytest.fixture
async def moto_proxy(moto_server) -> AsyncIterator[FaultProxy]:
    """A fault proxy in front of moto."""
    async with fault_proxy(moto_server.url) as proxy:
        yield proxy
