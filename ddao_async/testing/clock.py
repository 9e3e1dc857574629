"""ManualClock: time that a test moves by hand."""

from __future__ import annotations

import asyncio


class ManualClock:
    """
    A clock that stands until it is moved: pass it as `clock=`, and its `sleep` as `sleep=`.

    Args:
        start: Epoch seconds (default 2026-11-22T00:00:00Z).
    """

    def __init__(self, start: float = 1_795_305_600.0) -> None:
        self._now = start

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Move forward by the time slept, and let other tasks run."""
        self._now += seconds
        await asyncio.sleep(0)
