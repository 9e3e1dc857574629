"""
Ids by a value: what the entries and claims of one index say, as far as it may be relied on (protocol.md, section 3).

Each request goes by a copy of `_state.json` that is young and says `complete`. What entries say is not believed: a
reader keeps a document if its committed value is the entry's, and deletes no entry that looks dead.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import takewhile
from typing import NamedTuple

from .claims import claimant
from .engine import Engine
from .errors import NotFoundError
from .model.index import END, decode_id, encode_id
from .model.keys import index_prefix
from .state import TableLayout
from .storage.protocol import ListPage


class Entry(NamedTuple):
    """One document under one encoded value of an index."""

    value: str
    id: str


class IndexUnusableError(Exception):
    """The index is not complete, or not any more: scan instead. Not for users: whoever runs a query catches it."""


async def is_usable(engine: Engine, table: TableLayout, index: str) -> bool:
    """Readers may use this index now."""
    return index in (await engine.states.copy(table, create=False)).complete


async def claimed(engine: Engine, table: TableLayout, index: str, value: str) -> str | None:
    """
    The id whose claim holds a value of a unique index; None: nobody's. Check the document's value.

    Raises:
        IndexUnusableError: Scan instead.
    """
    if not await is_usable(engine, table, index):
        raise IndexUnusableError(index)
    return await claimant(engine, table, index, value)


async def entries(
    engine: Engine,
    table: TableLayout,
    index: str,
    *,
    start: str = "",
    stop: str | None = None,
    after: Entry | None = None,
    page_size: int = 1000,
) -> AsyncGenerator[Entry, None]:
    """
    Entries of an index in the order of their values, then ids, each pair of value and id once.

    An id comes once for each value that it has an entry of: a document whose value is changing has two. Keep it where
    the document's committed value is the entry's, and each id once.

    Args:
        start: Encoded values from here on, inclusive, compared as text.
        stop: Up to here, exclusive.
        after: Only what comes after this entry.

    Raises:
        IndexUnusableError: Scan instead; also in the middle, when the index has gone.
    """
    prefix = index_prefix(table.name, index)
    # Never just the name of a directory: asked to start after one, SeaweedFS leaves out all that is in it.
    first = f"{prefix}{start}/" if start else prefix
    if after is not None:
        first = max(first, f"{prefix}{after.value}/{encode_id(after.id)}/{END}")
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(start, stop or "", strict=False))
    shared = prefix + "".join(symbol for symbol, _ in pairs)
    last = ("", "")
    pages = engine.store.list_pages(shared, page_size=page_size, start_after=first if first > shared else None)
    async with aclosing(_while_usable(engine, table, index, pages)) as trusted:
        async for page in trusted:
            for info in page.objects:
                value, encoded, _tag = info.key[len(prefix) :].split("/")
                if stop is not None and value >= stop:
                    return
                if (value, encoded) == last:
                    continue
                last = value, encoded
                whole = decode_id(encoded) or await _whole_id(engine, info.key)
                if whole is not None:
                    yield Entry(value, whole)


async def _while_usable(
    engine: Engine, table: TableLayout, index: str, pages: AsyncIterator[ListPage]
) -> AsyncGenerator[ListPage, None]:
    """The pages of a list, each asked for while the index may be relied on."""
    try:
        while True:
            if not await is_usable(engine, table, index):
                raise IndexUnusableError(index)
            page = await anext(pages, None)
            if page is None:
                return
            yield page
    finally:
        close = getattr(pages, "aclose", None)
        if close is not None:
            await close()


async def _whole_id(engine: Engine, key: str) -> str | None:
    """The id in an entry's body, whose key holds only a hash of it; None: the entry is gone."""
    try:
        found = await engine.store.get(key)
    except NotFoundError:
        return None
    return found.data.decode() if found is not None else None
