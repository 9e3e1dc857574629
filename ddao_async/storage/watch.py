"""
Who wants to know of each request: the log in verbose mode, a tracer. Every attempt is told, after it is over.

What is told is never a header, a body or a query, so never a secret. A lane that nobody watches is not wrapped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from ..wire.request import Body, Operation, Request, Response, StreamingLane, Unanswered, Unsent

log = logging.getLogger("ddao_async")


class Sent(msgspec.Struct, frozen=True):
    """
    One attempt, over.

    Attributes:
        lane: `wire` or `aiobotocore`.
        key: The whole key in the bucket; of a list, its prefix.
        status: Of the answer; None where there was none.
        failure: S3's error code, or why there was no answer; empty where all went well.
        size: Bytes of the answer's body, else of the request's.
        seconds: From the call of the lane to its answer, the wait for a connection included.
        attempt: Of one call, from 1.
    """

    lane: str
    operation: Operation
    key: str
    status: int | None
    failure: str
    size: int
    seconds: float
    attempt: int


Watcher = Callable[[Sent], None]


class WatchedLane:
    """A lane whose attempts are told to watchers."""

    def __init__(self, lane: StreamingLane, name: str, watchers: Sequence[Watcher]) -> None:
        self._lane = lane
        self._name = name
        self._watchers = watchers
        self.learn = getattr(lane, "learn", None)

    async def send(self, request: Request, deadline: float) -> Response:
        """Make one attempt, and tell what it came to."""
        started = time.perf_counter()
        try:
            response = await self._lane.send(request, deadline)
        except (Unsent, Unanswered) as failure:
            self._tell(request, started, None, 0, f"{type(failure).__name__.lower()}: {failure}")
            raise
        size = len(response.body or request.body)
        self._tell(request, started, response.status, size, response.code or "")
        return response

    async def open(self, request: Request, deadline: float) -> Body:
        """Make one attempt at a streamed get, and tell of its head."""
        started = time.perf_counter()
        try:
            body = await self._lane.open(request, deadline)
        except (Unsent, Unanswered) as failure:
            self._tell(request, started, None, 0, f"{type(failure).__name__.lower()}: {failure}")
            raise
        self._tell(request, started, body.response.status, body.response.size, body.response.code or "")
        return body

    async def close(self) -> None:
        """Close the lane."""
        await self._lane.close()

    def _tell(self, request: Request, started: float, status: int | None, size: int, failure: str) -> None:
        seconds = time.perf_counter() - started
        key = request.key or request.prefix
        sent = Sent(self._name, request.operation, key, status, failure, size, seconds, request.attempt)
        for watcher in self._watchers:
            watcher(sent)


def log_sent(sent: Sent) -> None:
    """One line of the log for each attempt, with its parts as `extra`."""
    milliseconds = sent.seconds * 1000
    log.info(
        "%s %s %r %s %d bytes %.1f ms attempt %d%s",
        sent.lane,
        sent.operation,
        sent.key,
        sent.status or sent.failure.partition(":")[0],
        sent.size,
        milliseconds,
        sent.attempt,
        f" {sent.failure}" if sent.failure else "",
        extra={
            "ddao_lane": sent.lane,
            "ddao_operation": sent.operation,
            "ddao_key": sent.key,
            "ddao_status": sent.status,
            "ddao_failure": sent.failure,
            "ddao_bytes": sent.size,
            "ddao_ms": milliseconds,
            "ddao_attempt": sent.attempt,
        },
    )
