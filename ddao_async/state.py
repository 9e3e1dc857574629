"""
Which indexes a table has: its `_state.json`, and the copies of it that a client may go by (protocol.md, section 3).

    {"nonce": "5f..1", "transactions": true,
     "indexes": {"age": {"state": "complete", "build": "5f..2", "columns": ["age"], "types": ["integer"]},
                 "email": {"state": "building", "build": "5f..9", "columns": ["email"], "types": ["text"],
                           "unique": true}}}

A copy is used for at most 60 s, counted from before its GET was sent, by a clock that goes on while the machine sleeps.
A call of the store may repeat its request until the store's deadline, and every repetition must fall into the 60 s: a
call starts freely while the copy's age and the deadline together are within them; after that it is cut off in time,
and when little is left a new copy is fetched first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec

from .errors import ConflictError, CorruptDocumentError, NotFoundError, UnknownOutcomeError
from .model.index import IndexLayout, indexer
from .model.keys import objects_prefix, state_key

if TYPE_CHECKING:
    from .engine import Engine


class TableLayout(msgspec.Struct, frozen=True):
    """
    What the engine must know of a table.

    Attributes:
        indexes: Those of the declared schema: what a new, empty table starts with. What has entries and claims after
            that is said by `_state.json` alone.
        transactions: False, as declared: deletes may be plain where the server has no conditional ones. Recorded in
            `_state.json` when that is created; never changes.
    """

    name: str
    indexes: tuple[IndexLayout, ...] = ()
    transactions: bool = True


class IndexState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One index. Writers keep its entries (claims) in every state, readers use it while `complete`."""

    state: Literal["building", "complete", "dropping"]
    build: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    unique: bool = False


class TableState(msgspec.Struct, frozen=True):
    """The content of `_state.json`; `nonce` is drawn anew for each replacement, so that no bytes come back."""

    nonce: str
    transactions: bool = True
    indexes: dict[str, IndexState] = msgspec.field(default_factory=dict[str, IndexState])


class Copy:
    """
    One look at `_state.json`.

    Attributes:
        state: What it said; None: there was none.
        etag: Its version; None: there was none.
        read_at: Monotonic time before its GET was sent.
        indexes: All that writers keep entries (claims) for: name to whether it is unique.
        complete: Those of them that readers may use.
        builds: What a write depends on: if a newer copy has others, the attempt starts over.
        values: From raw `fields` to encoded values by index name; None: no entry, no claim.
    """

    __slots__ = ("builds", "complete", "etag", "indexes", "read_at", "state", "values")

    def __init__(self, state: TableState | None, etag: str | None, read_at: float) -> None:
        self.state = state
        self.etag = etag
        self.read_at = read_at
        indexes = sorted(state.indexes.items()) if state else []
        self.indexes = {name: index.unique for name, index in indexes}
        self.complete = frozenset(name for name, index in indexes if index.state == "complete")
        self.builds = tuple((name, index.build, index.unique) for name, index in indexes)
        self.values = _indexer(tuple(IndexLayout(name, i.columns, i.types, i.unique) for name, i in indexes))


_indexer = lru_cache(maxsize=256)(indexer)
_decoder = msgspec.json.Decoder(TableState)
_encoder = msgspec.json.Encoder()


class TableStates:
    """The copies of all tables' `_state.json` that one client holds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._copies: dict[str, Copy] = {}
        self._fetching: dict[str, asyncio.Lock] = {}

    def young(self, table: str) -> Copy | None:
        """The copy held, if a call may go by it without ado; None: use `copy`. For the shortest path of an insert."""
        copy = self._copies.get(table)
        if copy is None or copy.state is None:
            return None
        engine = self._engine
        if engine.monotonic() - copy.read_at + engine.deadline <= engine.settings.copy_age:
            return copy
        return None

    def remaining(self, copy: Copy) -> float | None:
        """Seconds within which a call by this copy must end; None: the store's deadline is short enough."""
        left = self._engine.settings.copy_age - (self._engine.monotonic() - copy.read_at)
        return None if self._engine.deadline <= left else left

    def _is_usable(self, copy: Copy, create: bool) -> bool:
        """
        A writer's call is cut off where it must be. A reader's is not: it may end later than the copy, within the
        grace and slack that whoever drops an index waits longer.
        """
        settings, deadline = self._engine.settings, self._engine.deadline
        left = settings.copy_age - (self._engine.monotonic() - copy.read_at)
        if create:
            return left >= min(deadline, settings.copy_reserve, settings.copy_age / 2)
        return left >= min(max(0.0, deadline - self._engine.grace - settings.slack / 2), settings.copy_age / 2)

    async def copy(self, table: TableLayout, *, create: bool = True) -> Copy:
        """
        A copy young enough to write a document by, or to ask an index by; fetched if need be.

        Args:
            create: Create `_state.json` if there is none, as a writer does. Readers leave it: the copy's state is None.
        """
        held = self._copies.get(table.name)
        if held is not None and self._is_usable(held, create) and not (create and held.state is None):
            return held
        async with self._fetching.setdefault(table.name, asyncio.Lock()):
            held = self._copies.get(table.name)
            while held is None or not self._is_usable(held, create):
                held = await self._fetch(table.name)
            if create and held.state is None:
                held = await self._create(table)
            return held

    async def any(self, table: TableLayout, *, create: bool = True) -> Copy:
        """A copy of any age, for what needs no young one: how the table deletes, whose entries a dead body has."""
        held = self._copies.get(table.name)
        if held is not None and held.state is not None:
            return held
        return await self.copy(table, create=create)

    def forget(self, table: str) -> None:
        """The next use fetches a new copy."""
        self._copies.pop(table, None)

    async def change(self, table: TableLayout, change: Callable[[TableState], TableState | None]) -> TableState | None:
        """
        Replace `_state.json`, again from its GET when somebody else was faster.

        Args:
            change: From the present state to the next; its nonce is drawn here. None: not any more, leave it.

        Returns:
            The state now in place; None if `change` wanted none.
        """
        await self._engine.prepare()
        while True:
            held = await self._fetch(table.name)
            if held.state is None or held.etag is None:
                held = await self._create(table)
            if held.state is None or held.etag is None:
                continue  # gone again
            wanted = change(held.state)
            if wanted is None:
                return None
            wanted = msgspec.structs.replace(wanted, nonce=self._engine.nonce())
            etag = await self._put(table.name, wanted, held.etag)
            self.forget(table.name)
            if etag is not None:
                return wanted

    async def _fetch(self, table: str) -> Copy:
        await self._engine.prepare()
        read_at = self._engine.monotonic()
        try:
            found = await self._engine.store.get(state_key(table))
        except NotFoundError:
            found = None
        if found is None:
            copy = Copy(None, None, read_at)
        else:
            copy = Copy(_decoded(state_key(table), found.data), found.info.etag, read_at)
        self._copies[table] = copy
        return copy

    async def _create(self, table: TableLayout) -> Copy:
        """Create `_state.json`: all declared indexes are complete if there is no object yet, else there is none."""
        engine = self._engine
        is_empty = True
        async for _ in engine.store.list(objects_prefix(table.name), limit=1):
            is_empty = False
        indexes = {
            index.name: IndexState("complete", engine.nonce(), index.columns, index.types, index.unique)
            for index in (table.indexes if is_empty else ())
        }
        state = TableState(engine.nonce(), table.transactions, indexes)
        while True:
            put_at = engine.monotonic()
            etag = await self._put(table.name, state, None)
            if etag is not None:
                self._copies[table.name] = Copy(state, etag, put_at)
                return self._copies[table.name]
            copy = await self._fetch(table.name)
            if copy.state is not None:
                return copy

    async def _put(self, table: str, state: TableState, etag: str | None) -> str | None:
        """One conditional PUT, its lost answer settled by a GET: is it there? The new etag, or None."""
        data = _encoder.encode(state)
        while True:
            try:
                put = self._engine.store.put
                info = await put(
                    state_key(table), data, if_none_match=etag is None, if_match=etag, content_type="application/json"
                )
            except UnknownOutcomeError:
                copy = await self._fetch(table)
                if copy.state is not None and copy.state.nonce == state.nonce:
                    return copy.etag
                if copy.etag != etag:
                    return None
                # Not there yet, nor anything else: the same bytes again.
            except ConflictError:
                return None
            else:
                return info.etag


def _decoded(key: str, data: bytes) -> TableState:
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CorruptDocumentError(
            f"{key!r} is not the state of a table: {exc}.",
            hint="Delete this object while nobody writes to the table, then run `ddao-async reindex`.",
        ) from exc
