"""Many objects one after the other, a few at a time: however large the table, memory holds a page of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from ..engine import Engine
from ..model.keys import TABLES_PREFIX, object_id, objects_prefix

T = TypeVar("T")

CONCURRENCY = 32
"""Objects worked on at once."""


async def for_each(items: AsyncIterator[T], work: Callable[[T], Awaitable[None]], *, concurrency: int) -> None:
    """
    Do the work for every item, `concurrency` at a time, taking items as they are needed.

    Raises:
        The first error of the work or of the items; what was under way is cancelled then.
    """
    taking = asyncio.Lock()

    async def worker() -> None:
        while True:
            async with taking:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as failures:
        error: BaseException = failures
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


async def tables_of(engine: Engine) -> list[str]:
    """Names of all tables that have anything in the bucket."""
    return await names_under(engine, TABLES_PREFIX)


async def names_under(engine: Engine, prefix: str) -> list[str]:
    """What stands between this prefix and the next slash."""
    names: list[str] = []
    async for page in engine.store.list_pages(prefix, delimiter="/"):
        names += [found.removeprefix(prefix).rstrip("/") for found in page.prefixes]
    return names


async def ids_of(engine: Engine, table: str) -> AsyncIterator[str]:
    """Ids of everything under `objects/` that may be a document."""
    async for info in engine.store.list(objects_prefix(table)):
        found = object_id(table, info.key)
        if found is not None:
            yield found
