"""
Whether indexes tell the truth: every document has its entry (claim), every entry (claim) has its document.

    LIST entries        -> what there is, as hashes: 64 bits each, so that a million entries fit in memory
    GET each document   -> what must be there; what is not gets written, as a builder would do it
    LIST entries again  -> what no document needs: its document is looked at once more before it counts as dead

Beside running writers. Dead entries and claims are only reported: they may belong to a writer that has not written its
document yet; `vacuum` removes them when they are a day old.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec

from ..engine import Engine
from ..errors import CorruptDocumentError, NotFoundError, SchemaError, ValidationError
from ..model.document import Document
from ..model.index import decode_id, encode_id
from ..model.keys import claim_key, entry_key, index_prefix, object_key, unique_prefix
from ..settle import fetch, resolved
from ..state import Copy, IndexState, TableLayout
from ..storage.protocol import ObjectInfo, StoredObject
from .build import Builder, Built, SupersededError, add_indexes
from .vacuum import read_claim
from .walk import CONCURRENCY, for_each, ids_of


class IndexCheck(msgspec.Struct, frozen=True):
    """
    What was found of one index.

    Attributes:
        live: Entries (claims) that documents need and have.
        missing: Ids of documents whose entry (claim) was missing, and has been written.
        dead: Keys of entries (claims) that no document needs; left to `vacuum`.
        duplicates: Pairs of ids that share a value of a unique index: only another tool can have written them.
    """

    name: str
    live: int
    missing: list[str]
    dead: list[str]
    duplicates: list[tuple[str, str]]


class Checked(msgspec.Struct, frozen=True):
    """
    What a check found.

    Attributes:
        indexes: One for each index that is complete.
        documents: How many were read.
        problems: Key -> error of each object that is no document.
    """

    indexes: list[IndexCheck]
    documents: int
    problems: dict[str, Exception]

    @property
    def is_sound(self) -> bool:
        """Nothing was missing, nothing is shared, everything under `objects/` is a document."""
        return not self.problems and not any(index.missing or index.duplicates for index in self.indexes)


async def reindex(
    engine: Engine,
    table: TableLayout,
    *,
    exclusive: bool = False,
    concurrency: int = CONCURRENCY,
    on_wait: Callable[[float], object] | None = None,
    on_document: Callable[[str], object] | None = None,
) -> tuple[Built, Checked]:
    """
    Build the declared indexes that are not complete, then check those that were.

    Args:
        table: Its `indexes` are those declared.
        exclusive, on_wait, on_document: As in `add_indexes`.

    Raises:
        SchemaError: As `add_indexes`.
    """
    await engine.prepare()
    complete = (await engine.states.copy(table)).complete
    built = await add_indexes(
        engine,
        table,
        table.indexes,
        exclusive=exclusive,
        concurrency=concurrency,
        on_wait=on_wait,
        on_document=on_document,
    )
    if not complete:
        return built, Checked([], built.documents, built.problems)
    return built, await check(engine, table, names=sorted(complete), concurrency=concurrency, on_document=on_document)


async def check(
    engine: Engine,
    table: TableLayout,
    *,
    names: list[str] | None = None,
    concurrency: int = CONCURRENCY,
    on_document: Callable[[str], object] | None = None,
) -> Checked:
    """
    Compare complete indexes with the documents, and write the entries and claims that are missing.

    Args:
        names: Default: every index that is complete.

    Raises:
        SchemaError: An index was rebuilt or dropped meanwhile.
    """
    await engine.prepare()
    copy = await engine.states.copy(table)
    state = copy.state.indexes if copy.state else {}
    wanted = {name: state[name] for name in (sorted(copy.complete) if names is None else names) if name in state}
    run = _Check(engine, table, wanted, concurrency)
    try:
        return await run.run(on_document)
    except SupersededError as exc:
        raise SchemaError(
            f"An index of table {table.name!r} was rebuilt or dropped meanwhile.", hint="Check again."
        ) from exc


class _Check:
    """One check at work."""

    def __init__(self, engine: Engine, table: TableLayout, indexes: dict[str, IndexState], concurrency: int) -> None:
        self.engine = engine
        self.table = table
        self.indexes = indexes
        self.concurrency = concurrency
        self.builder = Builder(engine, table, {name: index.build for name, index in indexes.items()})
        self.unused: dict[str, set[int]] = {name: set() for name in indexes}
        self.live = dict.fromkeys(indexes, 0)
        self.missing: dict[str, list[str]] = {name: [] for name in indexes}
        self.dead: dict[str, list[str]] = {name: [] for name in indexes}
        self.documents = 0

    async def run(self, on_document: Callable[[str], object] | None) -> Checked:
        for name in self.indexes:
            async for info in self.engine.store.list(self._prefix(name)):
                self.unused[name].add(self._print(name, info))

        async def one(id: str) -> None:
            try:
                await self._document(id)
            except (CorruptDocumentError, ValidationError) as exc:
                self.builder.problems[object_key(self.table.name, id)] = exc
            if on_document is not None:
                on_document(id)

        await for_each(ids_of(self.engine, self.table.name), one, concurrency=self.concurrency)
        for name in self.indexes:
            await for_each(self._suspects(name), partial(self._suspect, name), concurrency=self.concurrency)
        return Checked([self._found(name) for name in self.indexes], self.documents, self.builder.problems)

    def _found(self, name: str) -> IndexCheck:
        duplicates = {(min(pair), max(pair)) for pair in self.builder.duplicates.get(name, [])}
        return IndexCheck(
            name, self.live[name], sorted(self.missing[name]), sorted(self.dead[name]), sorted(duplicates)
        )

    async def _document(self, id: str) -> None:
        document = await self._committed(id)
        if document is None:
            return
        self.documents += 1
        values = (await self._copy()).values(document.fields)
        lacking: dict[str, str] = {}
        for name, index in self.indexes.items():
            value, tag = values.get(name), document.tags.get(name)
            if value is None:
                continue
            if tag is not None and await self._is_there(name, value, id, tag):
                self.live[name] += 1
            else:
                lacking[name] = index.build
        if lacking:
            await self._repair(id, lacking)

    async def _is_there(self, name: str, value: str, id: str, tag: str) -> bool:
        """By the list made at first; what has been written since is asked for."""
        if self.indexes[name].unique:
            key = claim_key(self.table.name, name, value)
            listed = hash((key, tag))
        else:
            key = entry_key(self.table.name, name, value, encode_id(id), tag)
            listed = hash((key, ""))
        if listed in self.unused[name]:
            self.unused[name].discard(listed)
            return True
        try:
            found = await self.engine.store.head(key)
        except NotFoundError:
            return False
        return not self.indexes[name].unique or found.etag == tag

    async def _repair(self, id: str, lacking: dict[str, str]) -> None:
        builder = Builder(self.engine, self.table, lacking)
        await builder.index(id)
        shared = builder.duplicates
        for name in shared:
            self.builder.duplicates.setdefault(name, []).extend(shared[name])
        if builder.written:
            for name in lacking.keys() - shared.keys():
                self.missing[name].append(id)

    async def _suspects(self, name: str) -> AsyncIterator[ObjectInfo]:
        async for info in self.engine.store.list(self._prefix(name)):
            if self._print(name, info) in self.unused[name]:
                yield info

    async def _suspect(self, name: str, info: ObjectInfo) -> None:
        try:
            is_needed = await (self._claim(name, info) if self.indexes[name].unique else self._entry(name, info))
        except NotFoundError:
            return  # gone since it was listed
        except CorruptDocumentError as exc:
            self.builder.problems[info.key] = exc
            return
        if is_needed:
            self.live[name] += 1
        else:
            self.dead[name].append(info.key)

    async def _entry(self, name: str, info: ObjectInfo) -> bool:
        value, encoded, tag = info.key.removeprefix(self._prefix(name)).split("/")
        document = await self._committed(decode_id(encoded) or (await self._get(info.key)).data.decode())
        if document is None or (await self._copy()).values(document.fields).get(name) != value:
            return False
        return document.tags.get(name) == tag

    async def _claim(self, name: str, info: ObjectInfo) -> bool:
        value = info.key.removeprefix(self._prefix(name)).removesuffix(".json")
        claim = read_claim(info.key, await self._get(info.key))
        document = await self._committed(claim.id) if claim.id is not None else None
        return document is not None and (await self._copy()).values(document.fields).get(name) == value

    async def _committed(self, id: str) -> Document | None:
        return await resolved(self.engine, self.table, id, await fetch(self.engine, self.table, id))

    async def _get(self, key: str) -> StoredObject:
        found = await self.engine.store.get(key)
        if found is None:  # only a get with if_none_match answers None
            raise NotFoundError(f"There is no object {key!r}.")
        return found

    async def _copy(self) -> Copy:
        return await self.engine.states.copy(self.table)

    def _prefix(self, name: str) -> str:
        return (unique_prefix if self.indexes[name].unique else index_prefix)(self.table.name, name)

    def _print(self, name: str, info: ObjectInfo) -> int:
        """What tells one entry or one writing of a claim from all others, in 64 bits."""
        return hash((info.key, info.etag if self.indexes[name].unique else ""))
