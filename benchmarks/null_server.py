"""
The null server: an S3 endpoint that costs next to nothing, so that what is measured is the client.

One asyncio.Protocol per connection over `null_answer`, on uvloop, in a process of its own. It can answer late (a
latency of milliseconds, kept in one queue with one timer, as all wait equally long) and over TLS.

    python -m benchmarks.null_server --latency 0.015 --keys 100000    prints its URL, and serves until stdin closes
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
import time
from collections import deque

from .null_answer import Answers

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Latency:
    """Sends answers a fixed time after they were due; the first in is the first out."""

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds = seconds
        self._loop = loop
        self._queue: deque[tuple[float, asyncio.Transport, bytes, memoryview | None]] = deque()

    def send(self, transport: asyncio.Transport, head: bytes, large: memoryview | None) -> None:
        if not self._queue:
            self._loop.call_later(self._seconds, self._flush)
        self._queue.append((self._loop.time() + self._seconds, transport, head, large))

    def _flush(self) -> None:
        queue, now = self._queue, self._loop.time() + 0.0005
        while queue and queue[0][0] <= now:
            _, transport, head, large = queue.popleft()
            if not transport.is_closing():
                transport.write(head)
                if large is not None:
                    transport.write(large)
        if queue:
            self._loop.call_later(max(queue[0][0] - self._loop.time(), 0.0), self._flush)


class Exchange(asyncio.Protocol):
    """One connection. A body that does not matter is counted and dropped, never held."""

    __slots__ = ("_answers", "_body", "_chunked", "_head", "_late", "_rest", "_skip", "_transport")

    def __init__(self, answers: Answers, late: Latency | None) -> None:
        self._answers = answers
        self._late = late
        self._rest = b""
        self._skip = 0
        self._chunked = False
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._body: list[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        while data:
            if self._head is not None:
                data = self._take_chunks(data) if self._chunked else self._take_body(data)
                continue
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._rest = data
                return
            space = data.find(b" ")
            method = data[:space]
            target = data[space + 1 : data.find(b" ", space + 1)]
            quick = self._answers.document(method, target)
            if quick is not None and method != b"PUT":
                self._send(quick, None)
                data = data[end + 4 :]
                continue
            data = self._begin(data[:end], data[end + 4 :], method, target, quick)

    def _begin(self, head: bytes, data: bytes, method: bytes, target: bytes, quick: bytes | None) -> bytes:
        """A request that may have a body: answered at once where all of it is here."""
        if quick is not None:
            at = head.find(b"ontent-Length: ")
            at = at if at >= 0 else head.lower().find(b"ontent-length: ")
            if at >= 0 and b"100-continue" not in head:
                size = int(head[at + 15 : head.find(b"\r", at) if head.find(b"\r", at) > 0 else None])
                if size <= len(data):
                    self._send(quick, None)
                    return data[size:]
        headers = _headers(head)
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(_CONTINUE)
        self._chunked = "chunked" in headers.get("transfer-encoding", "")
        self._skip = int(headers.get("content-length", "0"))
        self._head = method.decode(), target.decode(), headers
        self._body = [] if self._answers.is_remembered(target) else None
        return self._take_chunks(data) if self._chunked else self._take_body(data)

    def _take_body(self, data: bytes) -> bytes:
        size = min(self._skip, len(data))
        if self._body is not None:
            self._body.append(data[:size])
        self._skip -= size
        if self._skip == 0:
            self._finish()
        return data[size:]

    def _take_chunks(self, data: bytes) -> bytes:
        """Chunked framing: hexadecimal sizes, each chunk (its line end counted in `_skip`), 0 and an empty line."""
        while data:
            size = min(self._skip, len(data))
            if self._body is not None:
                self._body.append(data[: max(min(size, self._skip - 2), 0)])
            self._skip -= size
            data = data[size:]
            if self._skip:
                break
            end = data.find(b"\r\n")
            if end < 0 or (data[:end] == b"0" and len(data) < end + 4):
                self._rest = data
                return b""
            self._skip = int(data[:end].partition(b";")[0], 16) + 2
            data = data[end + 2 :]
            if self._skip == 2:
                self._skip = 0
                self._finish()
                return data[2:]
        return data

    def _finish(self) -> None:
        """All of a request is here: answer it."""
        if self._head is not None:
            method, target, headers = self._head
            self._head = None
            quick = self._answers.document(method.encode(), target.encode())
            body = b"".join(self._body or ())
            head, large = (quick, None) if quick else self._answers.other(method, target, headers, body)
            self._send(head, large)

    def _send(self, head: bytes, large: memoryview | None) -> None:
        if self._late is not None:
            self._late.send(self._transport, head, large)
            return
        self._transport.write(head)
        if large is not None:
            self._transport.write(large)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def serve(
    answers: Answers, *, latency: float = 0.0, tls: ssl.SSLContext | None = None, port: int = 0
) -> asyncio.Server:
    """Listen on 127.0.0.1; the caller closes the server. `latency` in seconds."""
    loop = asyncio.get_running_loop()
    late = Latency(latency, loop) if latency else None

    def refresh() -> None:
        answers.set_date(time.time())
        if server.is_serving():
            loop.call_later(1.0, refresh)

    server = await loop.create_server(lambda: Exchange(answers, late), "127.0.0.1", port, ssl=tls, backlog=4096)
    refresh()
    return server


async def _main(arguments: argparse.Namespace) -> None:
    tls = None
    if arguments.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.certificate)
    server = await serve(Answers(arguments.keys), latency=arguments.latency, tls=tls, port=arguments.port)
    port = server.sockets[0].getsockname()[1]
    print(f"{'https' if tls else 'http'}://127.0.0.1:{port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve until stdin closes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.null_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free one, printed")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer (default 0)")
    parser.add_argument("--keys", type=int, default=100_000, help="keys in the listed table (default 100,000)")
    parser.add_argument("--certificate", default="", help="PEM file with a key and a certificate: serve TLS")
    arguments = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(arguments))
    else:
        uvloop.run(_main(arguments))


if __name__ == "__main__":
    main()
