"""
A minimal event loop on virtual time, without sockets or threads, that does nothing by itself.

Ready callbacks run first come, first served in `drain`; timers wait until the scheduler fires one. So the only choices
of a run are the scheduler's, and a run with the same choices is the same run.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from collections import deque
from contextvars import Context, ContextVar

OWNER: ContextVar[object] = ContextVar("owner", default=None)
"""Whose timer it is: set in the root task of each client, inherited by what it starts."""


class SimulationLoop(asyncio.AbstractEventLoop):
    """
    Callbacks in order, timers by owner.

    Args:
        start: The first `time()`.
    """

    def __init__(self, start: float = 0.0) -> None:
        self.now = start
        self.problems: list[dict] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: dict[object, list[tuple[float, int, asyncio.TimerHandle]]] = {}
        self._count = 0

    # What asyncio asks of a loop

    def call_soon(self, callback, *args, context: Context | None = None):
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context: Context | None = None):
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context: Context | None = None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers.setdefault(OWNER.get(), []), (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle) -> None:
        pass

    def time(self) -> float:
        return self.now

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        if context is None:
            return asyncio.Task(coro, loop=self, name=name)
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context) -> None:
        self.problems.append(context)

    # What the scheduler asks of it

    def __enter__(self):
        asyncio._set_running_loop(self)
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=lambda generator: self.create_task(generator.aclose()))
        return self

    def __exit__(self, *exc_info) -> None:
        sys.set_asyncgen_hooks(*self._hooks)
        asyncio._set_running_loop(None)

    def drain(self) -> None:
        """Run what is ready until nothing is."""
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def next_timer(self, owner: object) -> float | None:
        """When the owner's first timer is due; None if it has none."""
        timers = self._timers.get(owner)
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def fire(self, owner: object) -> None:
        """Let the owner's first timer happen, moving time there if it is not past it already."""
        when, _, handle = heapq.heappop(self._timers[owner])
        self.now = max(self.now, when)
        handle._run()
        self.drain()

    def forget(self, owner: object) -> None:
        """The owner is dead: its timers never happen."""
        self._timers.pop(owner, None)
