"""
Runs what `model.query` planned: lists candidates, reads them a few at a time in order, keeps those that match.

    LIST keys or entries ──> candidates ──> GET, up to 64 ahead ──> conditions ──> position, document

No more is read ahead than is still wanted, until documents turn out not to match. What is no document is a problem of
the search, not its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from heapq import nsmallest
from typing import Any, NamedTuple, Protocol

import msgspec

from .engine import Engine
from .errors import CorruptDocumentError
from .lookup import Entry
from .model.cursor import Position
from .model.document import Document
from .model.index import column_decoder, encode_id, encode_values
from .model.keys import object_id, object_key, objects_prefix
from .model.query import Claims, Entries, Ids, Plan, Scan
from .state import TableLayout

_log = logging.getLogger("ddao_async.query")

AHEAD = 64
"""Documents read ahead at most."""

LARGE = 1000
"""Documents read by a scan before it says so in the log."""

WINDOW = 10_000
"""Candidates held to go backwards through a list, which only goes forwards."""


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


class Match(NamedTuple):
    """A document that matches, decoded, and its place in the order."""

    position: Position
    value: Any


class Search:
    """
    One run of one plan.

    Args:
        source: Where documents are read.
        plan: What to do.
        decode: From id and raw fields to what is handed out; a CorruptDocumentError makes it a problem.
        after: Only what comes after this position.
        wanted: How many matches will be taken; None: all.
        extra: Ids that are candidates whatever the plan finds (written in the transaction that asks).

    Attributes:
        problems: Key -> error of what is no document.
        read: How many documents were read.
        taken: Ids that were handed out; each comes once.
    """

    def __init__(
        self,
        source: DocumentSource,
        plan: Plan,
        decode: Callable[[str, msgspec.Raw], Any],
        *,
        after: Position | None = None,
        wanted: int | None = None,
        extra: frozenset[str] = frozenset(),
    ) -> None:
        self.source = source
        self.plan = plan
        self.decode = decode
        self.after = after
        self.wanted = wanted
        self.extra = extra
        self.problems: dict[str, Exception] = {}
        self.read = 0
        self._table = source.table.name
        entries = plan.access.index if isinstance(plan.access, Entries) else None
        self._index = entries
        self._conditions = [each for each in plan.conditions if each.column != "id"]
        self._id_conditions = [each for each in plan.conditions if each.column == "id"]
        columns = [*(entries.columns if entries else ()), *(each.column for each in self._conditions)]
        columns += [name for name in plan.order.columns if name != "id"]
        self._columns = list(dict.fromkeys(columns))
        self._values = column_decoder(self._columns)
        self.taken: set[str] = set()

    async def matches(self) -> AsyncGenerator[Match, None]:
        """
        What matches, in the plan's order.

        Raises:
            IndexUnusableError: The plan's index is no longer to be relied on: plan again, from the last position on.
        """
        stream = self._sorted() if self.plan.sorts else self._matching(self.candidates(), self.wanted)
        async with aclosing(stream):
            async for match in stream:
                yield match

    # Candidates

    def candidates(self) -> AsyncGenerator[Candidate, None]:
        """What may match, in the order of the access; nothing is read of the documents themselves."""
        descending, after = self.plan.order.is_descending, None if self.plan.sorts else self.after
        match self.plan.access:
            case Ids(ids):
                return _listed(ids)
            case Claims():
                return self._claimants(self.plan.access)
            case Entries() as entries:
                if descending and not self.plan.sorts:
                    return self._backwards(lambda: self._entries(entries, None), self._entry_rank, after)
                return self._entries(entries, after)
            case Scan(prefix):
                if descending and not self.plan.sorts:
                    return self._backwards(lambda: self._keys(prefix, None), self._key_rank, after)
                return self._keys(prefix, after)

    async def _claimants(self, claims: Claims) -> AsyncGenerator[Candidate, None]:
        for value in claims.values:
            found = await self.source.claimed(claims.index.name, value)
            if found is not None:
                yield Candidate(value, found)

    async def _entries(self, access: Entries, after: Position | None) -> AsyncGenerator[Candidate, None]:
        begin = Entry(after.value, after.id) if after is not None else None
        for span in access.ranges:
            if begin is not None and span.stop <= begin.value:
                continue
            found = self.source.entries(access.index.name, start=span.start, stop=span.stop, after=begin)
            async with aclosing(found):
                async for entry in found:
                    yield Candidate(entry.value, entry.id)

    async def _keys(self, prefix: str, after: Position | None) -> AsyncGenerator[Candidate, None]:
        base = objects_prefix(self._table)
        start = object_key(self._table, after.id) if after is not None else None
        pages = self.source.engine.store.list_pages(base + prefix, start_after=start)
        try:
            async for page in pages:
                for info in page.objects:
                    found = object_id(self._table, info.key)
                    if found is None:
                        self.problems[info.key] = CorruptDocumentError(
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
        return tuple(key.split("/")) if self.source.engine.capabilities.sorted_list is False else key

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

    # Documents

    async def _matching(
        self, candidates: AsyncGenerator[Candidate, None], remaining: int | None
    ) -> AsyncGenerator[Match, None]:
        misses = 0
        reading: deque[asyncio.Task[tuple[Candidate, Document | None]]] = deque()
        is_over = False
        try:
            while True:
                width = AHEAD if remaining is None else min(AHEAD, max(remaining, misses, 1))
                while not is_over and len(reading) < width:
                    candidate = await anext(candidates, None)
                    if candidate is None:
                        is_over = True
                    elif candidate.id not in self.taken:
                        reading.append(asyncio.create_task(self._fetch(candidate)))
                if not reading:
                    return
                await asyncio.wait((reading[0],))
                match = self._judged(*reading.popleft().result())
                if match is None:
                    misses += 1
                    continue
                yield match
                remaining = None if remaining is None else remaining - 1
                if remaining == 0:
                    return
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            await candidates.aclose()

    async def _fetch(self, candidate: Candidate) -> tuple[Candidate, Document | None]:
        self.read += 1
        if self.read == LARGE + 1 and isinstance(self.plan.access, Scan) and self._columns:
            _log.warning(
                "A search reads every document of table %r; an index on %s would answer it.",
                self._table,
                " or ".join(repr(name) for name in self._columns),
            )
        try:
            return candidate, await self.source.get(candidate.id)
        except CorruptDocumentError as error:
            self.problems[object_key(self._table, candidate.id)] = error
            return candidate, None

    def _judged(self, candidate: Candidate, document: Document | None) -> Match | None:
        if document is None or candidate.id in self.taken:
            return None
        if not all(each.holds(candidate.id) for each in self._id_conditions):
            return None
        try:
            return self._matched(candidate, document)
        except CorruptDocumentError as error:
            self.problems[object_key(self._table, candidate.id)] = error
            return None

    def _matched(self, candidate: Candidate, document: Document) -> Match | None:
        values: dict[str, Any] = {}
        if self._columns:
            values = dict(zip(self._columns, self._values(document.fields), strict=True))
        if not all(each.holds(values[each.column]) for each in self._conditions):
            return None
        if self._index is not None and candidate.value:
            held = encode_values(self._index.types, [values[name] for name in self._index.columns])
            if held != candidate.value:
                return None  # an entry of a value that the document has no longer
        found = Match(self._position(candidate.id, values), self.decode(candidate.id, document.fields))
        if not isinstance(self.plan.access, Scan) or self.extra:
            self.taken.add(candidate.id)
        return found

    def _position(self, id: str, values: dict[str, Any]) -> Position:
        order = self.plan.order
        if not order.columns:
            return Position("", id)
        if order.columns == ("id",):
            return Position(f"{id}.json", id)
        return Position(encode_values(order.types, [values[name] for name in order.columns]), id)

    # Order

    async def _sorted(self) -> AsyncGenerator[Match, None]:
        """All matches, sorted here; where only some are wanted, no more than twice as many are held."""
        is_descending = self.plan.order.is_descending
        held: list[Match] = []
        wanted = self.wanted
        async with aclosing(self._matching(self._with_extra(), None)) as found:
            async for match in found:
                if self.after is not None and not self._comes_after(match.position, self.after):
                    continue
                held.append(match)
                if wanted is not None and len(held) >= max(2 * wanted, 1000):
                    held = self._first(held, wanted)
        held.sort(key=_rank, reverse=is_descending)
        for match in held[:wanted]:
            yield match

    async def _with_extra(self) -> AsyncGenerator[Candidate, None]:
        async with aclosing(self.candidates()) as found:
            async for candidate in found:
                yield candidate
        for written in sorted(self.extra):
            yield Candidate("", written)

    def _comes_after(self, position: Position, last: Position) -> bool:
        one, other = _place(position), _place(last)
        return one < other if self.plan.order.is_descending else one > other

    def _first(self, held: list[Match], wanted: int) -> list[Match]:
        if self.plan.order.is_descending:
            return sorted(held, key=_rank, reverse=True)[:wanted]
        return nsmallest(wanted, held, key=_rank)


def _place(position: Position) -> tuple[str, str]:
    return position.value, encode_id(position.id)


def _rank(match: Match) -> tuple[str, str]:
    return _place(match.position)


async def _listed(ids: tuple[str, ...]) -> AsyncGenerator[Candidate, None]:
    for wanted in ids:
        yield Candidate("", wanted)
