"""
Runs the asynchronous part of a command: an event loop, and a database that is closed whatever happens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ..database import Database, connect
from .option import required_url

T = TypeVar("T")


def with_database(url: str | None, work: Callable[[Database], Awaitable[T]]) -> T:
    """Open the database that the options name, do the work, close it; the first Ctrl-C cancels the work."""

    async def session() -> T:
        async with connect(required_url(url)) as db:
            return await work(db)

    return run(session)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run asynchronous work to its end; an error that left a task group alone is raised without the group."""
    try:
        return anyio.run(work)
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
