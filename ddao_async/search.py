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
from typing import Any, NamedTuple

import msgspec

from .candidate import Candidate, Candidates, DocumentSource
from .errors import CorruptDocumentError
from .model.cursor import Position
from .model.document import Document
from .model.index import column_decoder, encode_id, encode_values
from .model.keys import object_key
from .model.query import Entries, Plan, Scan

_log = logging.getLogger("ddao_async.query")

AHEAD = 64
"""Documents read ahead at most."""

LARGE = 1000
"""Documents read by a scan before it says so in the log."""


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
        taken: Ids that are not handed out any more; what is handed out is added.
        problems: Filled: key -> error of what is no document.
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
        taken: set[str] | None = None,
        problems: dict[str, Exception] | None = None,
    ) -> None:
        self._source = source
        self._plan = plan
        self._decode = decode
        self._after = after
        self._wanted = wanted
        self._extra = extra
        self._taken = set[str]() if taken is None else taken
        self._problems = dict[str, Exception]() if problems is None else problems
        self._read = 0
        self._table = source.table.name
        self.candidates = Candidates(source, plan, self._problems, after)
        entries = plan.access.index if isinstance(plan.access, Entries) else None
        self._index = entries
        self._conditions = [each for each in plan.conditions if each.column != "id"]
        self._id_conditions = [each for each in plan.conditions if each.column == "id"]
        columns = [*(entries.columns if entries else ()), *(each.column for each in self._conditions)]
        columns += [name for name in plan.order.columns if name != "id"]
        self._columns = list(dict.fromkeys(columns))
        self._values = column_decoder(self._columns)

    async def matches(self) -> AsyncGenerator[Match, None]:
        """
        What matches, in the plan's order.

        Raises:
            IndexUnusableError: The plan's index is no longer to be relied on: plan again, from the last position on.
        """
        stream = self._sorted() if self._plan.sorts else self._matching(self.candidates(), self._wanted)
        async with aclosing(stream):
            async for match in stream:
                yield match

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
                    elif candidate.id not in self._taken:
                        reading.append(asyncio.create_task(self._fetch(candidate)))
                if not reading:
                    return
                match = self._judged(*await reading.popleft())
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
        self._read += 1
        if self._read == LARGE + 1 and isinstance(self._plan.access, Scan) and self._columns:
            _log.warning(
                "A search reads every document of table %r; an index on %s would answer it.",
                self._table,
                " or ".join(repr(name) for name in self._columns),
            )
        try:
            return candidate, await self._source.get(candidate.id)
        except CorruptDocumentError as error:
            self._problems[object_key(self._table, candidate.id)] = error
            return candidate, None

    def _judged(self, candidate: Candidate, document: Document | None) -> Match | None:
        if document is None or candidate.id in self._taken:
            return None
        if not all(each.holds(candidate.id) for each in self._id_conditions):
            return None
        try:
            return self._matched(candidate, document)
        except CorruptDocumentError as error:
            self._problems[object_key(self._table, candidate.id)] = error
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
        found = Match(self._position(candidate.id, values), self._decode(candidate.id, document.fields))
        if not isinstance(self._plan.access, Scan) or self._extra:
            self._taken.add(candidate.id)
        return found

    def _position(self, id: str, values: dict[str, Any]) -> Position:
        order = self._plan.order
        if not order.columns:
            return Position("", id)
        if order.columns == ("id",):
            return Position(f"{id}.json", id)
        return Position(encode_values(order.types, [values[name] for name in order.columns]), id)

    # Order

    async def _sorted(self) -> AsyncGenerator[Match, None]:
        """All matches, sorted here; where only some are wanted, no more than twice as many are held."""
        is_descending = self._plan.order.is_descending
        held: list[Match] = []
        wanted = self._wanted
        async with aclosing(self._matching(self._with_extra(), None)) as found:
            async for match in found:
                if self._after is not None and not self._comes_after(match.position, self._after):
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
        for written in sorted(self._extra):
            yield Candidate("", written)

    def _comes_after(self, position: Position, last: Position) -> bool:
        one, other = _place(position), _place(last)
        return one < other if self._plan.order.is_descending else one > other

    def _first(self, held: list[Match], wanted: int) -> list[Match]:
        if self._plan.order.is_descending:
            return sorted(held, key=_rank, reverse=True)[:wanted]
        return nsmallest(wanted, held, key=_rank)


def _place(position: Position) -> tuple[str, str]:
    return position.value, encode_id(position.id)


def _rank(match: Match) -> tuple[str, str]:
    return _place(match.position)
