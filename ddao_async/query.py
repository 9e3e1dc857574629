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

from .errors import ValidationError
from .lookup import IndexUnusableError
from .model.cursor import Cursor, Position, format_cursor, parse_cursor, question
from .model.index import IndexLayout
from .model.keys import check_id
from .model.predicate import Condition, Predicate, condition
from .model.query import Claims, Entries, Ids, Order, Plan, Scan, order_of, plan
from .model.schema import Table
from .search import DocumentSource, Match, Search

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
        conditions, ordered = self._question(target)
        asked = question(target.codec.table.name, conditions, ordered)
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
            _, search = await self._search(target)
            found = await _length(search)
        else:
            found = 0
            async with aclosing(self._matches(target, self._limit)) as matches:
                async for _ in matches:
                    found += 1
        return found if self._limit is None else min(found, self._limit)

    async def explain(self) -> Explanation:
        """How this would be answered now. Lists what would be read, and reads none of it."""
        target = await self._target()
        chosen, search = await self._search(target)
        candidates = await _length(search)
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

    def _question(self, target: Target[T]) -> tuple[list[Condition], Order | None]:
        """Conditions and order, in the columns of the table."""
        codec, conditions = target.codec, list[Condition]()
        for each in self._predicates:
            column = codec.column(each.column)
            conditions.append(condition(msgspec.structs.replace(each, column=column), codec.table.type_of(column)))
        if self._order is None:
            return conditions, None
        column = codec.column(self._order.removeprefix("-"))
        sign = "-" if self._order.startswith("-") else ""
        return conditions, order_of(sign + column, codec.table.type_of(column))

    async def _search(
        self, target: Target[T], wanted: int | None = None, order: Order | None = None, after: Position | None = None
    ) -> tuple[Plan, Search]:
        """Plan by the indexes that may be used now."""
        conditions, asked = self._question(target)
        source = target.source
        copy = await source.engine.states.copy(source.table, create=False)
        state = copy.state.indexes if copy.state else {}
        indexes = [
            IndexLayout(name, state[name].columns, state[name].types, state[name].unique) for name in copy.complete
        ]
        chosen = plan(conditions, asked, sorted(indexes, key=lambda index: index.name), resumed=order)
        if isinstance(chosen.access, Ids):
            for wanted_id in chosen.access.ids:
                check_id(wanted_id)
        if target.written and not chosen.sorts:
            order = chosen.order if chosen.order.columns else Order(("id",), ("text",), chosen.order.is_descending)
            chosen = msgspec.structs.replace(chosen, sorts=True, order=order)
        return chosen, Search(source, chosen, target.codec.decode, after=after, wanted=wanted, extra=target.written)

    async def _matches(
        self, target: Target[T], wanted: int | None, cursor: Cursor | None = None
    ) -> AsyncGenerator[tuple[Order, Match], None]:
        """Matches in order, by another plan from where it stands if an index goes away."""
        self.problems = {}
        order = cursor.order if cursor else None
        after = cursor.position if cursor else None
        taken: set[str] = set()
        while wanted is None or wanted > 0:
            chosen, search = await self._search(target, wanted, order, after)
            search.problems = self.problems
            search.taken = taken
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


async def _length(search: Search) -> int:
    found: set[str] = set()
    async with aclosing(search.candidates()) as candidates:
        async for candidate in candidates:
            found.add(candidate.id)
    return len(found)


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
