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

    return anyio.run(session)
