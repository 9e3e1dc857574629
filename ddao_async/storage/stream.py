"""
Large objects out of S3, in chunks as they come. A body that breaks is resumed where it broke, with If-Match on its
etag, so that what is read is one version of the object.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from ..wire.request import Body, Request, Response, StreamingLane, Unanswered
from .batch import ObjectStream
from .exchange import Exchange
from .faults import failure_of
from .protocol import ObjectInfo


@asynccontextmanager
async def opened(exchange: Exchange, key: str, request: Request) -> AsyncGenerator[ObjectStream, None]:
    """
    Open an object to read it in chunks.

    Args:
        key: As the caller knows it.
        request: The get of the whole object.

    Raises:
        NotFoundError: The key is missing.
        ConflictError: While reading: the connection broke, and the object is another one now.
    """
    transfer = _Transfer(exchange, request, exchange.lanes.hot)
    try:
        head = await transfer.begin()
        info = ObjectInfo(key, head.size, head.etag, head.last_modified, head.metadata or {}, head.content_type)
        yield ObjectStream(info, transfer.chunks())
    finally:
        await transfer.close()


class _Transfer:
    """One object being read: the body that is arriving, and how far it has come."""

    def __init__(self, exchange: Exchange, request: Request, lane: StreamingLane) -> None:
        self._exchange = exchange
        self._request = request
        self._lane = lane
        self._body: Body | None = None
        self._at = 0
        self._breaks = 0

    async def begin(self) -> Response:
        """Ask for the object; the head of the answer."""
        self._body = await self._exchange.open(self._request, self._lane)
        return self._body.response

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, resumed where the connection breaks; each stretch without progress counts against the attempts."""
        while self._body is not None:
            try:
                chunk = await self._body.read()
            except Unanswered as failure:
                await self._resume(failure)
                continue
            if not chunk:
                await self.close()
                return
            self._at += len(chunk)
            self._breaks = 0
            yield chunk

    async def _resume(self, failure: Unanswered) -> None:
        self._breaks += 1
        head = self._body.response if self._body is not None else None
        await self.close()
        if head is not None and self._at == head.size:
            return  # it broke after its last byte
        if self._breaks >= self._exchange.policy.max_attempts or head is None or not head.etag:
            raise failure_of(self._request, failure, self._exchange.place) from failure
        request = replace(self._request, range=(self._at, None), if_match=head.etag)
        body = await self._exchange.open(request, self._lane)
        if body.response.status != 206 and self._at > 0:
            await body.close()  # the server ignored the range: what it sends now does not follow what was read
            raise failure_of(self._request, failure, self._exchange.place) from failure
        self._body = body

    async def close(self) -> None:
        """Give the connection back."""
        body, self._body = self._body, None
        if body is not None:
            await body.close()
