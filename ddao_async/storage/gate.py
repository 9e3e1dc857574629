"""
The gate that bulk work goes through on its way to the store: one for each open database, so that all its imports,
exports and copies together are no more than the store can bear. `congestion` decides, this waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .congestion import Pace, answered, begun, refused, widened

_REFUSALS = (429, 503)


class Gate:
    """
    Lets as many in as the pace allows, first come, first served.

        await gate.enter(); began = gate.clock()
        try: ... finally: gate.leave(began)

    Args:
        store: Where it can be watched (S3), each of its attempts that is refused slows the pace, not only those that
            are refused until the end.
        clock: Seconds that never go back.

    Attributes:
        in_flight: How many are inside.
    """

    def __init__(self, store: object, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.in_flight = 0
        self.pace: Pace = begun(1)
        self._ceilings: list[int] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        watch = getattr(store, "watch", None)
        if watch is not None:
            watch(self._on_attempt)

    def _on_attempt(self, sent: Any) -> None:
        if sent.status in _REFUSALS:
            self.refused()

    def open(self, ceiling: int) -> None:
        """Work begins that wants up to `ceiling` in flight; call `close` with the same when it ends."""
        self._ceilings.append(ceiling)
        most = max(self._ceilings)
        self.pace = begun(most) if len(self._ceilings) == 1 else widened(self.pace, most)

    def close(self, ceiling: int) -> None:
        """Work that was begun with this ceiling has ended."""
        self._ceilings.remove(ceiling)
        if self._ceilings:
            self.pace = widened(self.pace, max(self._ceilings))

    async def enter(self) -> None:
        """Wait until there is room."""
        if not self._waiting and self.in_flight < int(self.pace.limit):
            self.in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.in_flight -= 1  # it was let in and cancelled at once: the place goes to the next
                self._admit()
            raise

    def leave(self, began: float | None) -> None:
        """Make room; `began`: when what was done began, None where its time says nothing (it failed)."""
        self.in_flight -= 1
        if began is not None:
            now = self.clock()
            self.pace = answered(self.pace, now - began, now)
        self._admit()

    def refused(self) -> None:
        """The store had no capacity for a request."""
        self.pace = refused(self.pace, self.clock())

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.pace.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
