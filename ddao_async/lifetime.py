"""
When a store is open, and for whom: one event loop of one process at a time. After closing it may be opened again.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # None where there is none, after a fork too
from contextlib import AsyncExitStack

from .engine import Engine, Settings
from .errors import ClosedError
from .storage.protocol import ObjectStore


class Lifetime:
    """
    Opens and closes a store, and holds the engine that lives meanwhile.

    Over a store that is open already there is nothing to open: the first `check` starts.

    Args:
        store: Entered by `open`, left by `close`, where it has `__aenter__`.
        settings: Times of the protocol.

    Attributes:
        token: Another object after each opening: what is remembered beside it holds no longer.
    """

    def __init__(self, store: ObjectStore, settings: Settings | None = None) -> None:
        self.token = object()
        self._store = store
        self._settings = settings
        self._exits: AsyncExitStack | None = None
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._is_closed = False

    async def open(self) -> None:
        """
        Open the store, and look whether its bucket is there.

        Raises:
            ClosedError: It is open, here or in another event loop.
        """
        if self._exits is not None and self._pid == os.getpid():
            if self._loop is asyncio.get_running_loop():
                raise ClosedError("This database is open already.", hint="Open it once, and share it between tasks.")
            if self._loop is not None and not self._loop.is_closed():
                raise ClosedError("This database is open in another event loop.", hint="Close it there first.")
        async with AsyncExitStack() as exits:
            # By attribute, not by type: a wrapper that delegates opens what it wraps.
            enter = getattr(self._store, "__aenter__", None)
            if enter is not None:
                await enter()
                exits.push_async_exit(self._store.__aexit__)  # type: ignore[attr-defined]
            check = getattr(self._store, "check", None)
            if check is not None:
                await check()
            self._exits = exits.pop_all()
        self._start()

    def _start(self) -> Engine:
        self._loop, self._pid, self._is_closed = asyncio.get_running_loop(), os.getpid(), False
        self._engine = engine = Engine(self._store, settings=self._settings)
        self.token = object()
        return engine

    async def close(self) -> None:
        """Close the store if it was opened here. Safe to call twice."""
        exits, self._exits = self._exits, None
        self._engine, self._loop, self._is_closed = None, None, True
        if exits is not None and self._pid == os.getpid():
            await exits.aclose()

    def check(self) -> Engine:
        """
        The engine.

        Raises:
            ClosedError: It is closed, or open in another event loop, or in the process that this one was forked from.
        """
        engine = self._engine
        if engine is not None and self._loop is _get_running_loop():
            return engine
        if self._is_closed:
            raise ClosedError("This database is closed.", hint="Use it inside `async with`, or connect again.")
        if engine is None:
            return self._start()  # over a store of the caller's own, which is open already
        if self._pid != os.getpid():
            raise ClosedError("This database was opened before the process forked.", hint="Connect after the fork.")
        if self._exits is None and self._loop is not None and self._loop.is_closed():
            return self._start()  # over such a store, in the next event loop
        raise ClosedError("This database is open in another event loop.", hint="Connect inside the loop that uses it.")
