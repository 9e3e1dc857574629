"""The server's time: this machine's clock plus the offset that answers taught."""

from __future__ import annotations

import time
from collections.abc import Callable

TOLERANCE = 2.0
"""`Date` has whole seconds, and answers take time on the way: smaller differences say nothing."""


class ServerClock:
    """
    The server's time in epoch seconds; call it. Until an answer says otherwise it is this machine's.

    Args:
        local: This machine's clock.
    """

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        self._local = local
        self.offset = 0.0

    def __call__(self) -> float:
        return self._local() + self.offset

    def note(self, date: float) -> None:
        """Take the server's clock as an answer told it, in whole seconds."""
        ahead = date - self()
        if not -TOLERANCE - 1.0 < ahead < TOLERANCE:
            self.offset = date - self._local()
