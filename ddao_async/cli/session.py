"""
Runs the asynchronous part of a command: an event loop, and a database that is closed whatever happens.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ..config import settings_from_url
from ..database import Database
from ..opening import connect
from .option import required_url

T = TypeVar("T")


def with_database(url: str | None, work: Callable[[Database], Awaitable[T]]) -> T:
    """Open the database that the options name, do the work, close it; the first Ctrl-C cancels the work."""

    named = required_url(url)
    show_log(named)

    async def session() -> T:
        async with connect(named) as db:
            return await work(db)

    # A command names every object that is no document by itself.
    queries = logging.getLogger("ddao_async.query")
    level = queries.level
    queries.setLevel(logging.ERROR)
    try:
        return anyio.run(session)
    finally:
        queries.setLevel(level)


def show_log(url: str) -> None:
    """Let the library's warnings go to stderr, and with `verbose=true` in the URL each request."""
    is_verbose = settings_from_url(url, os.environ).verbose
    logging.basicConfig(level=logging.INFO if is_verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)
