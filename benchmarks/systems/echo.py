"""
The ceiling: a fixed request on a bare socket, its answer counted and not parsed. No client in Python can cost less.

Only a server that checks no signatures answers it: the null server.
"""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from ..place import Item, Place

label = "bare socket (ceiling)"


class Connection(asyncio.Protocol):
    """One socket. An answer is whole when as many bytes came as the first one had."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.missing = 0
        self.waiter: asyncio.Future[int] | None = None

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing <= 0 and self.waiter is not None:
            waiter, self.waiter = self.waiter, None
            waiter.set_result(len(data))


class Client:
    """Idle connections, and the sizes of answers seen so far."""

    def __init__(self, place: Place, idle: list[Connection]) -> None:
        self.head = f"/{place.bucket}/"
        self.idle = idle
        self.size: dict[str, int] = {}


async def open(place: Place) -> Client:
    address = urlsplit(place.endpoint)
    trust = ssl.create_default_context(cafile=place.ca_file or None) if address.scheme == "https" else None
    loop = asyncio.get_running_loop()
    idle: list[Connection] = []
    for _ in range(place.max_connections):
        _, connection = await loop.create_connection(Connection, address.hostname, address.port, ssl=trust)
        idle.append(connection)
    return Client(place, idle)


async def close(client: Client) -> None:
    for connection in client.idle:
        connection.transport.abort()


async def _exchange(client: Client, method: str, item: Item, extra: bytes = b"") -> int:
    connection = client.idle.pop()
    connection.waiter = waiter = asyncio.get_running_loop().create_future()
    connection.missing = client.size.get(method, 1)
    connection.transport.write(f"{method} {client.head}{item.key} HTTP/1.1\r\nHost: s\r\n".encode() + extra)
    size = await waiter
    client.size.setdefault(method, size)
    client.idle.append(connection)
    return size


async def get(client: Client, item: Item) -> int:
    return await _exchange(client, "GET", item, b"\r\n")


async def insert(client: Client, item: Item) -> int:
    return await _exchange(client, "PUT", item, b"Content-Length: %d\r\n\r\n%s" % (len(item.body), item.body))
