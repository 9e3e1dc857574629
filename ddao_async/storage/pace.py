"""
How many requests may be in flight at a server that asked to slow down, shared by all tasks of an adapter, so that not
only the failing one backs off. `congestion` decides, this waits; a server that never complains never meets it.

    64 ──SlowDown──> 32 ──SlowDown──> 16 ... 17 ... 64: the lane is handed out bare again
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ..wire.request import Body, Request, Response, StreamingLane, Unsent
from ..wire.retry import is_throttled
from .congestion import answered, begun, refused


class PacedLane:
    """
    A lane that lets in as many as the pace allows. It exists only while that is less than the lane could serve.

    Args:
        lane: What it lets requests through to.
        full: The pace at which there is nothing left to hold back.
        when_full: Called when it is reached again.
    """

    def __init__(self, lane: StreamingLane, full: int, when_full: Callable[[], None]) -> None:
        self.lane = lane
        self.pace = begun(full, start=full)
        self._when_full = when_full
        self._in_flight = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()
        self.learn = getattr(lane, "learn", None)

    def slow_down(self) -> None:
        """The server asked for it."""
        self.pace = refused(self.pace, self._loop.time())

    async def send(self, request: Request, deadline: float) -> Response:
        """Make one attempt when there is room for it."""
        await self._enter(deadline)
        began = self._loop.time()
        try:
            response = await self.lane.send(request, deadline)
        finally:
            self._leave()
        if not is_throttled(response):
            now = self._loop.time()
            self.pace = answered(self.pace, now - began, now)
            if self.pace.limit >= self.pace.ceiling:
                self._when_full()
        return response

    async def open(self, request: Request, deadline: float) -> Body:
        """Begin one streamed get when there is room for it; its body is not held back."""
        await self._enter(deadline)
        try:
            return await self.lane.open(request, deadline)
        finally:
            self._leave()

    async def close(self) -> None:
        """Close the lane."""
        await self.lane.close()

    async def _enter(self, deadline: float) -> None:
        while self._in_flight >= int(self.pace.limit):
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            is_let_in = False
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
                is_let_in = True
            except TimeoutError:
                raise Unsent("the server asked to slow down, and there was no turn in time", timed_out=True) from None
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif not is_let_in:
                    self._wake()  # its turn came in the same moment as its cancellation: it passes it on
        self._in_flight += 1

    def _leave(self) -> None:
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        room = int(self.pace.limit) - self._in_flight
        while self._waiters and room > 0:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1
