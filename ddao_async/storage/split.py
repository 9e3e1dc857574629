"""
A long LIST in several at once: the caller knows keys that cut the key space into ranges of about the same size, and
each range is listed by itself. Opt-in: a server that scans a directory for each page does the work once per range.

    splits = ["b", "c"]        ── up to "b" ──> pages ─┐
                               ── up to "c" ──> pages ─┼──> pages, in the order in which they come
                               ── the rest ───> pages ─┘
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from ..errors import UnsupportedError
from .protocol import Capabilities, ListPage, ObjectStore

PAGES_AHEAD = 2
"""Pages of each range that may wait for the caller."""


async def list_split(store: ObjectStore, prefix: str = "", *, splits: Iterable[str]) -> AsyncGenerator[ListPage, None]:
    """
    List below a prefix, ranges of keys at once. Every key comes once; each page is sorted, the pages come in no order.

    Args:
        splits: Keys at which the key space is cut, e.g. `[f"users/{letter}" for letter in "bcdef"]`; they need not
            exist. One more range than there are splits is listed, each by one request at a time.

    Raises:
        UnsupportedError: The store is known not to list in the order of UTF-8 bytes: ranges would leave gaps.
    """
    capabilities: Capabilities = getattr(store, "capabilities", Capabilities())
    if capabilities.sorted_list is False:
        raise UnsupportedError("This store lists in an order of its own.", hint="Use list, or one prefix at a time.")
    cuts = sorted({split for split in splits if split}, key=str.encode)
    ranges = list(zip([None, *cuts], [*cuts, None], strict=True))
    pages: asyncio.Queue[ListPage | None] = asyncio.Queue(PAGES_AHEAD * len(ranges))

    async def read(after: str | None, last: str | None) -> None:
        stop = None if last is None else last.encode()
        found: Any = store.list_pages(prefix, start_after=after)
        async with aclosing(found):
            async for page in found:
                rows = page.objects
                if stop is not None and rows and rows[-1].key.encode() > stop:
                    await pages.put(ListPage([info for info in rows if info.key.encode() <= stop]))
                    break
                await pages.put(page)
        await pages.put(None)

    tasks = [asyncio.create_task(read(after, last)) for after, last in ranges]
    try:
        open_ranges = len(tasks)
        while open_ranges:
            page = await _next(pages, tasks)
            if page is None:
                open_ranges -= 1
            elif page.objects:
                yield page
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next(pages: asyncio.Queue[ListPage | None], tasks: list[asyncio.Task[None]]) -> ListPage | None:
    """Return the next page; raise what a range failed with as soon as it failed."""
    getting = asyncio.ensure_future(pages.get())
    try:
        while not getting.done():
            for task in tasks:
                if task.done() and (error := task.exception()) is not None:
                    raise error
            running = [task for task in tasks if not task.done()]
            await asyncio.wait([getting, *running], return_when=asyncio.FIRST_COMPLETED)
        return getting.result()
    finally:
        getting.cancel()
