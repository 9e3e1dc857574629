"""
An index for a table that has documents already, added beside running writers (protocol.md, section 3).

    _state.json: building                      writers keep entries (claims) from now on
    17 minutes                                 nothing that was done in ignorance of it can land any more
    each document: PUT entry, PUT document     under the tag that the document has, or a new one that is recorded in it
    _state.json: complete                      readers use it

A builder keeps the rules for writers. One that crashed leaves `building` behind: the next starts with a `build` of its
own, and whoever finds that the `build` is not his any more stops. Several indexes are built in one pass.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from ..claims import Changed, Duplicate, Owned, Taken, put_entry, take
from ..conditional import Attempt, begin, put_document
from ..engine import Engine
from ..errors import CorruptDocumentError, NotFoundError, SchemaError, UnsupportedError, ValidationError
from ..model.body import Versioned, visible
from ..model.document import Document
from ..model.index import SYMBOLS, IndexLayout
from ..model.keys import claim_key, object_key
from ..model.placement import Place
from ..settle import fetch, settled, withdraw
from ..state import IndexState, TableLayout, TableState
from .drop import remove_entries
from .walk import CONCURRENCY, for_each, ids_of

_log = logging.getLogger("ddao_async.maintenance")

replace = msgspec.structs.replace

_IN_KEYS = re.compile(f"[{re.escape(SYMBOLS)}]+")


class Built(msgspec.Struct, frozen=True):
    """
    What a build did.

    Attributes:
        indexes: Names of those that are complete now.
        documents: Objects that were looked at.
        written: Entries and claims written for them.
        problems: Key -> error of each object that is no document, and so has no entry.
    """

    indexes: tuple[str, ...]
    documents: int = 0
    written: int = 0
    problems: dict[str, Exception] = {}


class SupersededError(Exception):
    """Another client has built or dropped the index meanwhile. Not for users."""


async def add_indexes(
    engine: Engine,
    table: TableLayout,
    indexes: Sequence[IndexLayout],
    *,
    exclusive: bool = False,
    concurrency: int = CONCURRENCY,
    on_wait: Callable[[float], object] | None = None,
    on_document: Callable[[str], object] | None = None,
    pass_over: Callable[[Builder], Awaitable[object]] | None = None,
) -> Built:
    """
    Build indexes over what a table holds, and let readers use them.

    Args:
        indexes: Those that are complete already are left alone; half built ones are begun anew.
        exclusive: Nobody else writes to the table now or did so in the last minutes: the wait is skipped.
        on_wait: Called with the seconds of the wait before it begins.
        on_document: Called with each id that is done, for progress.
        pass_over: Instead of the builder's own: has every document of the table go through `index` of builders with the
            same `builds`, in other processes perhaps, and adds what they found to this one.

    Raises:
        SchemaError: An index of this name is another one; documents share a value that shall be unique (all of them
            are listed, and that index is removed again); another client rebuilt or dropped the index meanwhile.
        UnsupportedError: A unique index, and the server enforces no conditional writes.
    """
    await require_unique(engine, table, indexes)
    build = engine.nonce()
    marked = await engine.states.change(table, lambda state: _marked(state, table, indexes, build))
    if marked is None:
        return Built(())
    if not exclusive:
        _log.info("Waiting %d s for late writers of table %r.", engine.quiet_time, table.name)
        if on_wait is not None:
            on_wait(engine.quiet_time)
        await engine.sleep(engine.quiet_time)
    builder = Builder(engine, table, {name: build for name, index in marked.indexes.items() if index.build == build})
    try:
        await (pass_over(builder) if pass_over else builder.pass_over(concurrency, on_document))
        finished = await _finish(engine, table, build, set(builder.duplicates))
        if builder.builds.keys() - builder.duplicates.keys() - set(finished):
            raise SupersededError
    except SupersededError as exc:
        raise SchemaError(
            f"Another client rebuilt or dropped {', '.join(builder.builds)} of table {table.name!r} meanwhile.",
            hint="Look at `ddao-async doctor`, then run `ddao-async reindex` again if it is needed.",
        ) from exc
    if builder.duplicates:
        for index in builder.duplicates:
            await remove_entries(engine, table, index, concurrency=concurrency)
        raise SchemaError(_listed(table, builder.duplicates), hint="Change these documents, then add the column again.")
    return Built(finished, builder.documents, builder.written, builder.problems)


async def require_unique(engine: Engine, table: TableLayout, indexes: Sequence[IndexLayout]) -> None:
    """Raise an UnsupportedError if one of these is unique and cannot be so here."""
    await engine.prepare()
    if not any(index.unique for index in indexes):
        return
    engine.require_conditional_put(f"A unique column of table {table.name!r}")
    state = (await engine.states.copy(table)).state
    if state is not None and not state.transactions and not engine.conditional_delete:
        raise UnsupportedError(
            f"Table {table.name!r} was created with transactions=False and deletes without conditions on this server: "
            "no column of it can become unique.",
            hint="Copy the documents into a table that is created with the unique column.",
        )


def _marked(state: TableState, table: TableLayout, indexes: Sequence[IndexLayout], build: str) -> TableState | None:
    """The state with what is missing of these indexes marked as building; None: nothing is missing."""
    wanted: dict[str, IndexState] = {}
    for index in indexes:
        found = state.indexes.get(index.name)
        new = IndexState("building", build, index.columns, index.types, index.unique)
        if found is not None and replace(new, state=found.state, build=found.build) != found:
            raise SchemaError(
                f"Table {table.name!r} has another index {index.name!r} already.", hint="Drop that index first."
            )
        if found is None or found.state != "complete":
            wanted[index.name] = new
    return replace(state, indexes={**state.indexes, **wanted}) if wanted else None


async def _finish(engine: Engine, table: TableLayout, build: str, failed: set[str]) -> tuple[str, ...]:
    """Mark what was built as complete, and remove what has duplicates."""

    def finished(state: TableState) -> TableState:
        indexes = dict(state.indexes)
        for name, index in state.indexes.items():
            if index.build == build and index.state == "building":
                indexes[name] = replace(index, state="complete")
                if name in failed:
                    del indexes[name]
        return replace(state, indexes=indexes)

    state = await engine.states.change(table, finished)
    indexes = state.indexes if state else {}
    return tuple(name for name, index in indexes.items() if index.build == build and index.state == "complete")


def _listed(table: TableLayout, duplicates: dict[str, list[tuple[str, str]]]) -> str:
    pairs = [f"{index}: {one!r} and {other!r}" for index, found in duplicates.items() for one, other in sorted(found)]
    return f"Documents of table {table.name!r} share a value that shall be unique ({'; '.join(pairs)})."


class Builder:
    """
    Gives documents the entries and claims that they lack.

    Args:
        builds: Index name -> the `build` under which this work counts.

    Attributes:
        duplicates: Index name -> pairs of ids that share a value.
    """

    def __init__(self, engine: Engine, table: TableLayout, builds: dict[str, str]) -> None:
        self.engine = engine
        self.table = table
        self.builds = builds
        self.documents = 0
        self.written = 0
        self.duplicates: dict[str, list[tuple[str, str]]] = {}
        self.problems: dict[str, Exception] = {}

    async def pass_over(self, concurrency: int, on_document: Callable[[str], object] | None = None) -> None:
        """Every document of the table, `concurrency` at a time."""

        await self.pass_over_ids(ids_of(self.engine, self.table.name), concurrency, on_document)

    async def pass_over_ids(
        self, ids: AsyncIterator[str], concurrency: int, on_document: Callable[[str], object] | None = None
    ) -> None:
        """Each of these documents, `concurrency` at a time."""

        async def one(id: str) -> None:
            try:
                await self.index(id)
            except (CorruptDocumentError, ValidationError) as exc:
                self.problems[object_key(self.table.name, id)] = exc
            self.documents += 1
            if on_document is not None:
                on_document(id)

        await for_each(ids, one, concurrency=concurrency)

    async def index(self, id: str) -> None:
        """
        Give one document its entries and claims, and record them in it.

        Raises:
            SupersededError: An index has another `build` by now.
        """
        owned = Owned()
        while True:
            attempt = await begin(self.engine, self.table)
            self._check_builds(attempt)
            held = await settled(self.engine, self.table, id)
            document = visible(held.document) if held else None
            if held is None or document is None or await self._is_done(attempt, id, held, document, owned):
                return

    def _check_builds(self, attempt: Attempt) -> None:
        indexes = attempt.copy.state.indexes if attempt.copy.state else {}
        for name, build in self.builds.items():
            if name not in indexes or indexes[name].build != build:
                raise SupersededError(name)

    async def _is_done(self, attempt: Attempt, id: str, held: Versioned, document: Document, owned: Owned) -> bool:
        """Make one attempt; False: the document changed, look at it again."""
        values = attempt.copy.values(document.fields)
        missing = [
            Place(name, value, attempt.copy.indexes[name], document.tags.get(name, ""))
            for name in self.builds
            if (value := values[name]) is not None
        ]
        placed: list[Place] = []
        for place in missing:
            if place.unique:
                claimed = await self._claim(attempt, place, id, held, owned)
                if claimed is None:
                    return await self._refused(id, placed)
                held, made = claimed
            else:
                made = await self._enter(place, id)
            if made is not None:
                placed.append(made)
        if not placed:
            return True
        body = _recorded(self.table.name, held, placed, self.engine.nonce())
        outcome = await put_document(self.engine, self.table.name, body, held.version, attempt)
        if outcome.done:
            return True
        return await self._refused(id, [] if outcome.lost else placed)

    async def _refused(self, id: str, placed: list[Place]) -> bool:
        # Claims stay, and are known to be one's own in the next attempt: the document may well have their values.
        await withdraw(self.engine, self.table, id, [place for place in placed if not place.unique])
        return False

    async def _enter(self, place: Place, id: str) -> Place | None:
        """PUT the entry; what the document must record of it, if anything."""
        # A tag that an earlier, unique index of this name left behind is an etag, which need not fit a key.
        recorded = _IN_KEYS.fullmatch(place.tag) is not None
        entry = place if recorded else replace(place, tag=self.engine.nonce())
        await put_entry(self.engine, self.table, id, entry)
        self.written += 1
        return None if recorded else entry

    async def _claim(
        self, attempt: Attempt, place: Place, id: str, held: Versioned, owned: Owned
    ) -> tuple[Versioned, Place | None] | None:
        """Take the claim: what the document must be written over, and record; None: the document changed."""
        if place.tag and await self._etag(claim_key(self.table.name, place.index, place.value)) == place.tag:
            return held, None
        own = owned.get((place.index, place.value))
        taken = await take(self.engine, self.table, attempt.copy, place, id, held, own)
        match taken:
            case Taken(etag, over) if over is not None:
                owned[place.index, place.value] = etag
                self.written += 1
                return over, replace(place, tag=etag)
            case Duplicate(other):
                again = await fetch(self.engine, self.table, id)
                if again is None or again.version != held.version:
                    return None
                self.duplicates.setdefault(place.index, []).append((other, id))
                return held, None
            case Taken() | Changed():
                return None

    async def _etag(self, key: str) -> str | None:
        try:
            return (await self.engine.store.head(key)).etag
        except NotFoundError:
            return None


def _recorded(table: str, held: Versioned, placed: list[Place], revision: str) -> Document:
    """The same document with these tags: its revision stays, one that has none gets its first."""
    document = held.document
    tags = document.tags | {place.index: place.tag for place in placed}
    if document.revision is not None:
        return replace(document, table_name=table, tags=tags, dying=None)
    return replace(document, table_name=table, tags=tags, revision=revision, past=(held.version,))
