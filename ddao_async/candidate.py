"""
Candidates: which documents a plan reads, and in which order it meets them. Nothing is read of the documents themselves.

    LIST keys        tables/users/objects/ann.json           -> ann
    LIST entries     .../_indexes/age/npqbcec/ann/5f2c       -> ann, under the value npqbcec
    GET claims       .../_uniques/email/tann....json         -> ann

Lists go forwards only. To go backwards, the last candidates are kept and handed out in reverse; what is before them is
listed again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

from .engine import Engine
from .errors import CorruptDocumentError
from .lookup import Entry
from .model.cursor import Position
from .model.document import Document
from .model.index import encode_id
from .model.keys import object_id, object_key, objects_prefix
from .model.query import Claims, Entries, Ids, Plan, Scan
from .state import TableLayout

WINDOW = 10_000
"""Candidates held to go backwards."""


class DocumentSource(Protocol):
    """What a search reads: `Documents`, or a transaction's view of them."""

    table: TableLayout
    engine: Engine

    async def get(self, id: str) -> Document | None: ...

    def entries(
        self, index: str, *, start: str = "", stop: str | None = None, after: Entry | None = None, page_size: int = 1000
    ) -> AsyncGenerator[Entry, None]: ...

    async def claimed(self, index: str, value: str) -> str | None: ...


class Candidate(NamedTuple):
    """A document that may match; `value` is the encoded one of the entry that names it."""

    value: str
    id: str


class Candidates:
    """
    What one plan reads.

    Args:
        source: The table's documents.
        plan: Its access is what is listed, its order the direction.
        problems: Filled: key -> error of what lies among the documents and has the key of none.
        after: Only what comes after this position; where results are sorted in memory, it is left to whoever sorts.
    """

    def __init__(
        self, source: DocumentSource, plan: Plan, problems: dict[str, Exception], after: Position | None = None
    ) -> None:
        self._problems = problems
        self._source = source
        self._plan = plan
        self._after = None if plan.sorts else after
        self._table = source.table.name

    def __call__(self) -> AsyncGenerator[Candidate, None]:
        """All of them, once, in the order of the plan or, where it sorts in memory, of its access."""
        is_backwards, after = self._plan.order.is_descending and not self._plan.sorts, self._after
        match self._plan.access:
            case Ids(ids):
                return _listed(ids)
            case Claims() as claims:
                return self._claimants(claims)
            case Entries() as entries:
                if is_backwards:
                    return self._backwards(lambda: self._entries(entries, None), self._entry_rank, after)
                return self._entries(entries, after)
            case Scan(prefix):
                if is_backwards:
                    return self._backwards(lambda: self._keys(prefix, None), self._key_rank, after)
                return self._keys(prefix, after)

    async def _claimants(self, claims: Claims) -> AsyncGenerator[Candidate, None]:
        for value in claims.values:
            found = await self._source.claimed(claims.index.name, value)
            if found is not None:
                yield Candidate(value, found)

    async def _entries(self, access: Entries, after: Position | None) -> AsyncGenerator[Candidate, None]:
        begin = Entry(after.value, after.id) if after is not None else None
        for span in access.ranges:
            if begin is not None and span.stop <= begin.value:
                continue
            found = self._source.entries(access.index.name, start=span.start, stop=span.stop, after=begin)
            async with aclosing(found):
                async for entry in found:
                    yield Candidate(entry.value, entry.id)

    async def _keys(self, prefix: str, after: Position | None) -> AsyncGenerator[Candidate, None]:
        base = objects_prefix(self._table)
        start = object_key(self._table, after.id) if after is not None else None
        pages = self._source.engine.store.list_pages(base + prefix, start_after=start)
        try:
            async for page in pages:
                for info in page.objects:
                    found = object_id(self._table, info.key)
                    if found is None:
                        self._problems[info.key] = CorruptDocumentError(
                            f"{info.key!r} is not the key of a document.", hint="Move the object away."
                        )
                    else:
                        yield Candidate("", found)
        finally:
            close = getattr(pages, "aclose", None)
            if close is not None:
                await close()

    def _entry_rank(self, candidate: Candidate) -> Any:
        return candidate.value, encode_id(candidate.id)

    def _key_rank(self, candidate: Candidate) -> Any:
        """Ranks as the server lists: by byte, or directory by directory where it is known to do that."""
        key = f"{candidate.id}.json"
        return tuple(key.split("/")) if self._source.engine.capabilities.sorted_list is False else key

    async def _backwards(
        self,
        forwards: Callable[[], AsyncGenerator[Candidate, None]],
        rank: Callable[[Candidate], Any],
        before: Position | None,
    ) -> AsyncGenerator[Candidate, None]:
        """Lists go forwards only: keep the last, hand those out in reverse, and list again for what is before."""
        stop = rank(Candidate(before.value, before.id)) if before is not None else None
        while True:
            tail: deque[Candidate] = deque(maxlen=WINDOW)
            is_whole = True
            async with aclosing(forwards()) as listed:
                async for candidate in listed:
                    if stop is not None and rank(candidate) >= stop:
                        break
                    is_whole = is_whole and len(tail) < WINDOW
                    tail.append(candidate)
            for candidate in reversed(tail):
                yield candidate
            if is_whole:
                return
            stop = rank(tail[0])


async def _listed(ids: tuple[str, ...]) -> AsyncGenerator[Candidate, None]:
    for wanted in ids:
        yield Candidate("", wanted)
