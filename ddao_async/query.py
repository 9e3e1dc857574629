"""
Query: a search that has not run yet. Each way to run it plans anew, and plans again if an index goes away meanwhile.

    query = users.find(field("age") >= 18, country="NL").order_by("-created_at").limit(10)
    async for user in query: ...
    page = await query.page(size=50, after=cursor)
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

import msgspec

from .candidate import Candidates, DocumentSource
from .errors import ValidationError
from .lookup import IndexUnusableError
from .model.cursor import Cursor, format_cursor, parse_cursor, question
from .model.index import IndexLayout
from .model.keys import check_id
from .model.predicate import Condition, Predicate, condition
from .model.query import Claims, Entries, Ids, Order, Plan, Scan, in_memory, order_of, plan
from .model.schema import Table
from .search import Match, Search

_log = logging.getLogger("ddao_async.query")

T = TypeVar("T")
_T = TypeVar("_T", covariant=True)


class Decoder(Protocol[_T]):
    """What a query needs of a codec."""

    table: Table

    def column(self, name: str) -> str: ...

    def decode(self, id: str, fields: bytes | msgspec.Raw) -> _T: ...


class Target(msgspec.Struct, Generic[T], frozen=True):
    """What a query runs on: documents, how they read, and ids that its transaction has written."""

    source: DocumentSource
    codec: Decoder[T]
    written: frozenset[str] = frozenset()


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some results in order, and the cursor of those after them; None: there are no more."""

    items: list[T]
    next: str | None


class Explanation(msgspec.Struct, frozen=True):
    """
    How a query would be answered now.

    Attributes:
        access: `id`, `unique`, `index` or `scan`.
        index: Name of the index that drives.
        scans: Every document of the table is read.
        sorts_in_memory: Results wait until all are read.
        order: Columns that results come sorted by; none: the order of the keys.
        filters: Columns tested on each document that is read.
        candidates: Documents that would be read if none were refused.
        requests: Requests for that, by kind: `{"list": 1, "get": 5}`; with a limit, as if every candidate matched.
    """

    access: str
    index: str | None
    scans: bool
    sorts_in_memory: bool
    order: tuple[str, ...]
    filters: tuple[str, ...]
    candidates: int
    requests: dict[str, int]


class Query(Generic[T]):
    """
    A search of one table. Iterate over it, or ask for `first`, `all`, a `page`, a `count`, an explanation.

    `order_by` and `limit` give a new query. Results stream as they are read unless they must be sorted in memory.

    Attributes:
        problems: Key -> error of each object that the last run met and that is no document of this table.
    """

    def __init__(
        self,
        target: Callable[[], Awaitable[Target[T]]],
        predicates: Sequence[Predicate],
        *,
        order: str | None = None,
        limit: int | None = None,
    ) -> None:
        self.problems: dict[str, Exception] = {}
        self._target = target
        self._predicates = tuple(predicates)
        self._order = order
        self._limit = limit

    def order_by(self, column: str) -> Query[T]:
        """Sorted by a column, then by id; `-column` for the other way. `id` is the order of the keys."""
        if not isinstance(column, str) or not column.removeprefix("-"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValidationError(f"{column!r} is no column to order by.", hint='Write "age" or "-age".')
        return Query(self._target, self._predicates, order=column, limit=self._limit)

    def limit(self, count: int) -> Query[T]:
        """At most this many results."""
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValidationError(f"limit({count!r}): a limit is 0 or more.", hint="Leave it out for all results.")
        return Query(self._target, self._predicates, order=self._order, limit=count)

    async def __aiter__(self) -> AsyncIterator[T]:
        async with aclosing(self._matches(await self._target(), self._limit)) as found:
            async for _, match in found:
                yield match.value

    async def all(self) -> list[T]:
        """All results at once."""
        return [value async for value in self]

    async def first(self) -> T | None:
        """The first result; None if there is none."""
        wanted = 1 if self._limit is None else min(1, self._limit)
        async with aclosing(self._matches(await self._target(), wanted)) as found:
            async for _, match in found:
                return match.value
        return None

    async def page(self, *, size: int = 50, after: str | None = None) -> Page[T]:
        """
        Some results, and where to go on.

        Args:
            size: The most results in it.
            after: The `next` of the page before; None: from the start. Pages stay right while others write: what keeps
                its place comes once.

        Raises:
            ValidationError: `after` is the cursor of another search.
        """
        if not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValidationError(f"A page of {size!r} results.", hint="size is 1 or more.")
        if self._limit is not None:
            raise ValidationError("A query with a limit has no pages.", hint="Use limit() or page(size=...).")
        target = await self._target()
        asked = self._question(target)
        cursor = parse_cursor(after, asked) if after is not None else None
        items: list[T] = []
        end = None
        async with aclosing(self._matches(target, size + 1, cursor)) as found:
            async for order, match in found:
                if len(items) == size and end is not None:
                    return Page(items, format_cursor(end))
                items.append(match.value)
                end = Cursor(order, match.position, asked)
        return Page(items, None)

    async def count(self, *, estimate: bool = False) -> int:
        """
        How many match. Exact: every matching document is read.

        Args:
            estimate: Count what would be read, and read none of it: entries of the index that drives, or keys. Too
                many where entries are out of date or other conditions refuse some.
        """
        target = await self._target()
        if estimate:
            found = await self._candidates(target, await self._plan(target))
        else:
            found = 0
            async with aclosing(self._matches(target, self._limit)) as matches:
                async for _ in matches:
                    found += 1
        return found if self._limit is None else min(found, self._limit)

    async def explain(self) -> Explanation:
        """How this would be answered now. Lists what would be read, and reads none of it."""
        target = await self._target()
        chosen = await self._plan(target)
        candidates = await self._candidates(target, chosen)
        read = candidates
        if self._limit is not None and not chosen.sorts:
            read = min(read, self._limit)
        access, index, requests = _requests(chosen, read)
        return Explanation(
            access=access,
            index=index,
            scans=isinstance(chosen.access, Scan),
            sorts_in_memory=chosen.sorts,
            order=chosen.order.columns,
            filters=tuple(dict.fromkeys(each.column for each in chosen.conditions)),
            candidates=candidates,
            requests=requests,
        )

    def _question(self, target: Target[T]) -> str:
        """What a cursor must belong to."""
        return question(target.codec.table.name, self._predicates, self._order)

    async def _plan(self, target: Target[T], resumed: Order | None = None) -> Plan:
        """Plan by the indexes that may be used now; their types come first, as entries are encoded by them."""
        source, codec = target.source, target.codec
        copy = await source.engine.states.copy(source.table, create=False)
        state = copy.state.indexes if copy.state else {}
        indexes = [
            IndexLayout(name, state[name].columns, state[name].types, state[name].unique) for name in copy.complete
        ]
        types = {column: kind for each in indexes for column, kind in zip(each.columns, each.types, strict=True)}

        def type_of(column: str) -> str | None:
            return types.get(column) or codec.table.type_of(column)

        conditions: list[Condition] = []
        for each in self._predicates:
            column = codec.column(each.column)
            conditions.append(condition(msgspec.structs.replace(each, column=column), type_of(column)))
        order = None
        if self._order is not None:
            column = codec.column(self._order.removeprefix("-"))
            order = order_of(column, type_of(column), is_descending=self._order.startswith("-"))
        chosen = plan(conditions, order, sorted(indexes, key=lambda index: index.name), resumed=resumed)
        if isinstance(chosen.access, Ids):
            for wanted in chosen.access.ids:
                check_id(wanted)
        return in_memory(chosen) if target.written else chosen

    async def _candidates(self, target: Target[T], chosen: Plan) -> int:
        """How many documents a plan reads."""
        self.problems = {}
        found: set[str] = set()
        async with aclosing(Candidates(target.source, chosen, self.problems)()) as candidates:
            async for candidate in candidates:
                found.add(candidate.id)
        return len(found)

    async def _matches(
        self, target: Target[T], wanted: int | None, cursor: Cursor | None = None
    ) -> AsyncGenerator[tuple[Order, Match], None]:
        """Matches in order, by another plan from where it stands if an index goes away."""
        self.problems = {}
        order = cursor.order if cursor else None
        after = cursor.position if cursor else None
        taken: set[str] = set()
        while wanted is None or wanted > 0:
            chosen = await self._plan(target, order)
            search = Search(
                target.source,
                chosen,
                target.codec.decode,
                after=after,
                wanted=wanted,
                extra=target.written,
                taken=taken,
                problems=self.problems,
            )
            try:
                async with aclosing(search.matches()) as matches:
                    async for match in matches:
                        yield chosen.order, match
                        after = match.position
                        wanted = None if wanted is None else wanted - 1
                break
            except IndexUnusableError:
                order = chosen.order
        if self.problems:
            _log.warning(
                "%d objects of table %r are no documents, %s among them; see query.problems.",
                len(self.problems),
                target.codec.table.name,
                next(iter(self.problems)),
            )


def _requests(chosen: Plan, read: int) -> tuple[str, str | None, dict[str, int]]:
    match chosen.access:
        case Ids():
            return "id", None, {"get": read}
        case Claims(index, values):
            return "unique", index.name, {"get": len(values) + read}
        case Entries(index, ranges):
            return "index", index.name, {"list": max(len(ranges), -(-read // 1000)), "get": read}
        case Scan():
            return "scan", None, {"list": max(1, -(-read // 1000)), "get": read}
