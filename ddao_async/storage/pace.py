"""
How many requests may be in flight at a server that asked to slow down: halved when it asks, one more for two windows
of answers without complaint (AIMD). Shared by all tasks of an adapter, so that not only the failing one backs off.

    64 ──SlowDown──> 32 ──SlowDown──> 16, 17, 18 ... 64: the lane is handed out bare again
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ..wire.request import Body, Request, Response, StreamingLane, Unsent
from ..wire.retry import is_throttled

GROWTH = 0.5
"""Of the window, for one window of answers without complaint."""

SETTLING_SECONDS = 0.1
"""Requests that were in flight together complain together: that counts once."""


class PacedLane:
    """
    A lane with a window. It exists only while the window is smaller than the lane.

    Args:
        lane: What it lets requests through to.
        full: The window at which there is nothing left to hold back.
        when_full: Called when it is reached again.

    Attributes:
        window: The most requests in flight.
    """

    def __init__(self, lane: StreamingLane, full: int, when_full: Callable[[], None]) -> None:
        self.lane = lane
        self.window = float(full)
        self._full = full
        self._when_full = when_full
        self._in_flight = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._shrunk_at = -SETTLING_SECONDS
        self.learn = getattr(lane, "learn", None)

    def slow_down(self) -> None:
        """Halve the window: the server asked for it."""
        now = asyncio.get_running_loop().time()
        if now - self._shrunk_at >= SETTLING_SECONDS:
            self._shrunk_at = now
            self.window = max(1.0, self.window / 2)

    async def send(self, request: Request, deadline: float) -> Response:
        """Make one attempt when there is room for it."""
        await self._enter(deadline)
        try:
            response = await self.lane.send(request, deadline)
        finally:
            self._leave()
        if not is_throttled(response):
            self.window += GROWTH / self.window
            if self.window >= self._full:
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
        while self._in_flight >= int(self.window):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                async with asyncio.timeout_at(deadline):
                    await waiter
            except TimeoutError:
                raise Unsent("the server asked to slow down, and there was no turn in time", timed_out=True) from None
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif waiter.cancelled():
                    self._wake()  # its turn had come: it passes it on
        self._in_flight += 1

    def _leave(self) -> None:
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        room = int(self.window) - self._in_flight
        while self._waiters and room > 0:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1
