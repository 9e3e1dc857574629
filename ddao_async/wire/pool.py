"""
Who holds which connection. Decides synchronously, then acts.

    take ──> the idle connection used last (the others grow old and go)
      └────> none: wait in line ──> a connection given back, or a new one, whichever comes first

The pool is the bound of requests in flight. One timer (the sweep) ends exchanges, waits and idle connections whose time
is over: it is set to the earliest of them that it knows, so an operation costs one comparison and no timer of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import ClosedError
from .connection import Connection
from .request import Unsent

IDLE_SECONDS = 15.0
"""Servers close what is idle for longer: 20 s at the least, 60 s and more the most of them."""

HANDSHAKES_AT_ONCE = 8
"""New TLS connections in the making; each costs 1 ms of CPU, and meanwhile others are given back."""

_SWEEP_SLACK = 0.01
_FOREVER = sys.float_info.max


class _Waiter:
    __slots__ = ("deadline", "future", "since")

    def __init__(self, future: asyncio.Future[Connection], since: float, deadline: float) -> None:
        self.future = future
        self.since = since
        self.deadline = deadline


class Pool:
    """
    The connections to one server, in one event loop.

    Attributes:
        sweep_at: When the sweep comes by next; whoever has an earlier deadline says so (`watch`).

    Args:
        dial: Makes a connection: gets a factory of protocols, awaits until one is connected.
        max_connections: The most connections, and so the most requests in flight.
        connect_timeout: The most seconds that making one may take.
        read_timeout: The longest silence within one exchange, in seconds.
        max_dials: The most connections in the making at a time.
        idle_seconds: How long an unused connection is kept.
    """

    def __init__(
        self,
        dial: Callable[[Callable[[], Connection]], Awaitable[Connection]],
        *,
        max_connections: int,
        connect_timeout: float,
        read_timeout: float,
        max_dials: int,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._dial = dial
        self._max_connections = max_connections
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_dials = max_dials
        self._idle_seconds = idle_seconds
        # Sorted by the time they were given back: the last used on the right. All of them are in `_connections` too.
        self._idle: deque[Connection] = deque()
        self._connections: set[Connection] = set()
        self._dials: set[asyncio.Task[None]] = set()
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.sweep_at = _FOREVER
        self._empty: asyncio.Future[None] | None = None
        self._is_closed = False
        self.is_forked = False
        _remember(self)

    def take(self, max_idle: float = IDLE_SECONDS) -> Connection | None:
        """
        Return an idle connection, used at most `max_idle` seconds ago; None where there is none.

        The caller starts an exchange on it or gives it back, in the same turn of the loop.
        """
        idle = self._idle
        while idle:
            connection = idle[-1]
            if self.loop.time() - connection.idle_since > max_idle:
                return None
            idle.pop()
            if connection.is_usable():
                return connection
        return None

    async def wait(self, deadline: float) -> Connection:
        """
        Wait in line for a connection that is new or was just given back.

        Raises:
            Unsent: None came in time, or none can be made.
            ClosedError: The pool was closed.
        """
        if self._is_closed or self.is_forked:
            raise ClosedError("The connection pool is closed.", hint="Open the store again.")
        waiter = _Waiter(self.loop.create_future(), self.loop.time(), deadline)
        self._waiters.append(waiter)
        self._grow()
        self.watch(deadline)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self.release(waiter.future.result())
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def watch(self, deadline: float) -> None:
        """Make sure that the sweep comes by at this time."""
        if deadline < self.sweep_at and deadline < _FOREVER and not self._is_closed:
            if self._timer is not None:
                self._timer.cancel()
            self.sweep_at = deadline
            self._timer = self.loop.call_at(deadline + _SWEEP_SLACK, self._sweep)

    def release(self, connection: Connection) -> None:
        """Take a connection back, or pass it on to who has waited longest."""
        waiters = self._waiters
        while waiters:
            waiter = waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_result(connection)
                return
        if self._is_closed:
            connection.close()
            return
        connection.idle_since = now = self.loop.time()
        self._idle.append(connection)
        if now + self._idle_seconds < self.sweep_at:
            self.watch(now + self._idle_seconds)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is lost."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiters and not self._is_closed:
            self._grow()
        if not self._connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def drop_idle(self) -> None:
        """Close every idle connection: one that was idle was found dead, and they die in bursts."""
        while self._idle:
            self._idle.pop().close()

    async def close(self) -> None:
        """Close every connection and wait until it is; who waits in line gets a ClosedError. Safe to call twice."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_exception(ClosedError("The store was closed.", hint="Keep it open while it is used."))
        dials = list(self._dials)
        for dial in dials:
            dial.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        self._idle.clear()
        if self._connections:
            self._empty = self.loop.create_future()
            for connection in list(self._connections):
                connection.close()
            # Every aborted transport reports its loss in one of the next turns of the loop.
            await asyncio.wait([self._empty], timeout=5.0)

    # ---- making connections

    def _grow(self) -> None:
        """Start as many connections as there are waiters, as far as the bounds allow."""
        wanted = min(len(self._waiters), self._max_dials)
        while len(self._dials) < wanted:
            if len(self._connections) + len(self._dials) >= self._max_connections:
                if not self._idle:
                    return
                # Idle, yet somebody waits: too old for a creating put. The oldest makes room.
                oldest = self._idle.popleft()
                self._connections.discard(oldest)
                oldest.close()
            task = self.loop.create_task(self._connect())
            self._dials.add(task)
            task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dials.discard(task)
        if self._waiters and not self._is_closed:
            self._grow()

    async def _connect(self) -> None:
        started = self.loop.time()
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._dial(lambda: Connection(self, self.loop, self._read_timeout))
        except TimeoutError:
            self._refuse(started, f"no connection within {self._connect_timeout:g} s", timed_out=True)
        except OSError as error:
            self._refuse(started, f"no connection ({error})", timed_out=False)
        else:
            self._connections.add(connection)
            if connection.is_usable():
                self.release(connection)
            else:
                self.discard(connection)

    def _refuse(self, started: float, message: str, *, timed_out: bool) -> None:
        """Tell all who waited for as long as this attempt took; who came later may still be lucky."""
        while self._waiters and self._waiters[0].since <= started:
            waiter = self._waiters.popleft()
            if not waiter.future.done():
                waiter.future.set_exception(Unsent(message, timed_out=timed_out))

    # ---- the sweep

    def _sweep(self) -> None:
        now = self.loop.time()
        self._timer = None
        self.sweep_at = _FOREVER
        while self._idle and self._idle[0].idle_since + self._idle_seconds <= now:
            self._idle.popleft().close()
        for waiter in [waiter for waiter in self._waiters if waiter.deadline <= now]:
            self._waiters.remove(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(Unsent("no connection was free in time", timed_out=True))
        for connection in list(self._connections):
            if connection.deadline <= now:
                connection.expire()
        earliest = min((connection.deadline for connection in self._connections), default=_FOREVER)
        earliest = min(earliest, min((waiter.deadline for waiter in self._waiters), default=_FOREVER))
        if self._idle:
            earliest = min(earliest, self._idle[0].idle_since + self._idle_seconds)
        self.watch(earliest)

    # ---- fork

    def leave_to_parent(self) -> None:
        """
        Let go of every socket, in a child process: what is sent or closed there would garble the parent's exchanges.

        `/dev/null` takes the place of each socket, as the number must not be free for something else to take: the
        child's copy of the transport will close it once more.
        """
        self.is_forked = True
        null = os.open(os.devnull, os.O_RDWR)
        for connection in self._connections:
            connection.replace_socket(null)
        os.close(null)


_pools: weakref.WeakSet[Pool] | None = None


def _remember(pool: Pool) -> None:
    global _pools
    if _pools is None:
        _pools = weakref.WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_leave_all)
    _pools.add(pool)


def _leave_all(*_: Any) -> None:
    for pool in list(_pools or ()):
        pool.leave_to_parent()
