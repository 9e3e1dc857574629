"""
Vacuum: takes away what crashes, lost answers and deletes leave behind, beside running writers (protocol.md, 7 and 8).

    absent document                    DELETE If-Match
    fence of a live document           PUT If-Match, the same document without it
    claim of a value nobody has        DELETE If-Match
    entry of another value or tag      DELETE
    entry or claim of a dropped index  DELETE by a young copy of `_state.json`
    decision                           DELETE, after the documents that it names have been settled
    leftovers of a probe               DELETE

Each thing only a day after its own Last-Modified, by the server's clock, read with the body that is judged: no attempt
lasts longer than an hour and no request is longer on its way than 15 minutes, so nobody can still need it. Live or dead
is said by the document: a claim is judged by its value, an entry by its value and tag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from enum import Enum

import msgspec

from ..conditional import Attempt, headers, put_document
from ..engine import Engine
from ..errors import (
    ConflictError,
    CorruptDocumentError,
    NotFoundError,
    StoreError,
    UnknownOutcomeError,
    UnsupportedError,
    ValidationError,
)
from ..model.body import Versioned, encode, visible
from ..model.index import decode_id
from ..model.keys import (
    PROBES_PREFIX,
    TRANSACTIONS_PREFIX,
    document_of,
    index_prefix,
    indexes_prefix,
    object_id,
    objects_prefix,
    unique_prefix,
    uniques_prefix,
)
from ..model.placement import Claim, decode_claim, encode_claim
from ..settle import Decision, fetch, settled
from ..state import Copy, TableLayout
from ..storage.protocol import ObjectInfo, StoredObject
from .bury import bury
from .drop import remove_under
from .walk import CONCURRENCY, for_each, names_under, tables_of

replace = msgspec.structs.replace

ATTEMPTS = 3

_decisions = msgspec.json.Decoder(Decision)


class Garbage(Enum):
    """Kinds of what is removed."""

    ABSENT = "absent documents"
    FENCE = "fences"
    CLAIM = "dead claims"
    ENTRY = "dead entries"
    LEFTOVER = "entries and claims of dropped indexes"
    DECISION = "decisions"
    PROBE = "leftovers of a probe"


class Vacuumed(msgspec.Struct, frozen=True):
    """
    What a vacuum did.

    Attributes:
        removed: Kind -> how many were removed; with `dry_run` how many would have been.
        problems: Key -> error of what could not be judged or removed.
    """

    removed: dict[Garbage, int]
    problems: dict[str, Exception]
    dry_run: bool


async def vacuum(
    engine: Engine, *, tables: Iterable[str] | None = None, dry_run: bool = False, concurrency: int = CONCURRENCY
) -> Vacuumed:
    """
    Remove garbage that is older than a day. Beside running writers, and as often as wanted; one a week is plenty.

    Costs a LIST of everything, and a GET for each document, entry, claim and decision older than a day.

    Args:
        tables: Names; default: all that are in the bucket.
        dry_run: Remove nothing, settle nothing, only count.
    """
    await engine.prepare()
    run = _Run(engine, dry_run, concurrency)
    for table in await tables_of(engine) if tables is None else tables:
        await run.table(TableLayout(table))
    await run.each(engine.store.list(TRANSACTIONS_PREFIX), run.decision)
    await run.each(engine.store.list(PROBES_PREFIX), run.probe)
    return Vacuumed(dict(run.removed), run.problems, dry_run)


class _Run:
    """One vacuum at work."""

    def __init__(self, engine: Engine, dry_run: bool, concurrency: int) -> None:
        self.engine = engine
        self.dry_run = dry_run
        self.concurrency = concurrency
        self.removed: Counter[Garbage] = Counter()
        self.problems: dict[str, Exception] = {}

    async def each(self, infos: AsyncIterator[ObjectInfo], work: Callable[[ObjectInfo], Awaitable[None]]) -> None:
        """Judge what is old of these; a problem with one is kept and does not end the vacuum."""

        async def one(info: ObjectInfo) -> None:
            if info.last_modified is not None and not self._is_old(info.last_modified):
                return
            try:
                await work(info)
            except NotFoundError:
                return  # gone since it was listed
            except (StoreError, CorruptDocumentError, ValidationError, ConflictError, UnsupportedError) as exc:
                self.problems[info.key] = exc

        await for_each(infos, one, concurrency=self.concurrency)

    async def table(self, table: TableLayout) -> None:
        """Everything of one table. One without `_state.json` was never written to by this library."""
        if (await self._copy(table)).state is None:
            return
        store, name = self.engine.store, table.name
        await self.each(store.list(objects_prefix(name)), lambda info: self.document(table, info))
        for index in await names_under(self.engine, indexes_prefix(name)):
            if index in (await self._copy(table)).indexes:
                await self.each(store.list(index_prefix(name, index)), lambda info: self.entry(table, info))
            else:
                await self.leftovers(table, index)
        for index in await names_under(self.engine, uniques_prefix(name)):
            await self.each(store.list(unique_prefix(name, index)), lambda info: self.claim(table, info))

    async def document(self, table: TableLayout, info: ObjectInfo) -> None:
        """An absent document goes; a fence ends."""
        found = object_id(table.name, info.key)
        held = await self._held(table, found) if found is not None else None
        if held is None or held.document.intent is not None or not self._is_old(held.modified):
            return
        document, engine = held.document, self.engine
        if document.absent:
            body = encode(replace(document, dying=engine.nonce()))
            about = headers(engine, table.name, document.id)
            await self._remove(Garbage.ABSENT, lambda: bury(engine, info.key, held.version, dying=body, metadata=about))
        elif document.fence is not None:
            await self._remove(Garbage.FENCE, lambda: self._unfence(table, held))

    async def _unfence(self, table: TableLayout, held: Versioned) -> bool:
        return (await put_document(self.engine, table.name, replace(held.document, fence=None), held.version)).done

    async def entry(self, table: TableLayout, info: ObjectInfo) -> None:
        """An entry goes if its document has another value or another tag."""
        index, value, encoded, tag = info.key.removeprefix(indexes_prefix(table.name)).split("/")
        found = decode_id(encoded) or (await self._get(info.key)).data.decode()
        held = await self._held(table, found)
        copy = await self._copy(table)
        if index not in copy.indexes or (held is not None and held.document.intent is not None):
            return  # dropped just now; or not known, as a dry run settles nothing
        document = visible(held.document) if held else None
        has_value = document is not None and copy.values(document.fields).get(index) == value
        if document is None or not has_value or document.tags.get(index, tag if not document.revision else "") != tag:
            await self._remove(Garbage.ENTRY, lambda: self._delete(info.key))

    async def claim(self, table: TableLayout, info: ObjectInfo) -> None:
        """A claim goes if its document has another value: by its value, whatever the document's tags say."""
        index, rest = info.key.removeprefix(uniques_prefix(table.name)).split("/")
        item = await self._get(info.key)
        if not self._is_old(item.info.last_modified):
            return
        claim = read_claim(info.key, item)
        copy = await self._copy(table)
        attempt = None
        if index not in copy.indexes:
            attempt, kind = Attempt(self.engine, table, copy, self.engine.monotonic()), Garbage.LEFTOVER
        elif copy.indexes[index] and await self._has_value(table, claim.id, index, rest.removesuffix(".json")):
            return
        else:
            kind = Garbage.CLAIM
        dying = encode_claim(replace(claim, id=None, dying=self.engine.nonce()))
        etag = item.info.etag
        await self._remove(kind, lambda: bury(self.engine, info.key, etag, dying=dying, attempt=attempt))

    async def _has_value(self, table: TableLayout, id: str | None, index: str, value: str) -> bool:
        """Whether the document has this value now; a dry run settles nothing, and takes an undecided one's side."""
        held = await self._held(table, id) if id is not None else None
        document = visible(held.document) if held else None
        if held is not None and held.document.intent is not None:
            return True
        return document is not None and (await self._copy(table)).values(document.fields).get(index) == value

    async def leftovers(self, table: TableLayout, index: str) -> None:
        """Entries that late writers left of an index that is no more."""
        before = self.engine.clock() - self.engine.settings.day
        prefix = index_prefix(table.name, index)
        removed = await remove_under(
            self.engine, table, index, prefix, concurrency=self.concurrency, before=before, dry_run=self.dry_run
        )
        if removed:
            self.removed[Garbage.LEFTOVER] += removed

    async def decision(self, info: ObjectInfo) -> None:
        """The decision of a transaction goes; where it is `committed`, after all of its intents."""
        item = await self._get(info.key)
        if not self._is_old(item.info.last_modified):
            return
        try:
            decision = _decisions.decode(item.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise CorruptDocumentError(f"{info.key!r} does not hold a decision: {exc}.") from exc
        if decision.state == "committed" and not self.dry_run:
            for key in decision.keys:
                place = document_of(key)
                if place is not None:
                    await settled(self.engine, TableLayout(place[0]), place[1])
        await self._remove(Garbage.DECISION, lambda: self._delete(info.key))

    async def probe(self, info: ObjectInfo) -> None:
        """What a probe that crashed left."""
        await self._remove(Garbage.PROBE, lambda: self._delete(info.key))

    async def _remove(self, kind: Garbage, action: Callable[[], Awaitable[bool]]) -> None:
        if self.dry_run or await action():
            self.removed[kind] += 1

    async def _delete(self, key: str) -> bool:
        """Delete a key that never comes back, again where nobody answered: whichever attempt lands does no harm."""
        for attempt in range(1, ATTEMPTS):
            try:
                await self.engine.store.delete(key)
            except UnknownOutcomeError:
                await self.engine.pause(attempt)
            else:
                return True
        await self.engine.store.delete(key)
        return True

    async def _get(self, key: str) -> StoredObject:
        found = await self.engine.store.get(key)
        if found is None:  # only a get with if_none_match answers None
            raise NotFoundError(f"There is no object {key!r}.")
        return found

    async def _held(self, table: TableLayout, id: str) -> Versioned | None:
        """What the key of a document holds, settled; a dry run settles nothing."""
        return await (fetch if self.dry_run else settled)(self.engine, table, id)

    async def _copy(self, table: TableLayout) -> Copy:
        return await self.engine.states.copy(table, create=False)

    def _is_old(self, modified: datetime | None) -> bool:
        return modified is not None and self.engine.clock() - modified.timestamp() > self.engine.settings.day


def read_claim(key: str, item: StoredObject) -> Claim:
    """The claim in an object, or a CorruptDocumentError."""
    try:
        return decode_claim(item.data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CorruptDocumentError(
            f"{key!r} is not a claim of a unique value: {exc}.", hint="Delete the object."
        ) from exc
