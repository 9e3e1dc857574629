"""
What the doctor sees of each table: its indexes, documents that another tool wrote, objects that are no documents.

Reads only. Nothing here goes through the engine: what is broken must not keep the doctor from looking.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import msgspec

from ..errors import NotFoundError
from ..model.document import Document
from ..model.keys import TABLES_PREFIX, metadata_key, object_id, objects_prefix, state_key
from ..state import TableState
from ..storage.protocol import ObjectStore

SAMPLE = 1000
"""Documents read of each table at most: enough to notice another writer, few enough to wait for."""
CONCURRENCY = 32

_documents = msgspec.json.Decoder(Document)
_states = msgspec.json.Decoder(TableState)


class _Column(msgspec.Struct, frozen=True, rename="pascal"):
    index: bool = False
    unique: bool = False


class _Metadata(msgspec.Struct, frozen=True):
    fields: dict[str, _Column] | None = None


class TableLook(msgspec.Struct, frozen=True):
    """
    What was seen of one table.

    Attributes:
        indexes: Column -> state of its index, by `_state.json`; None where nobody has written by this library yet, or
            the object cannot be read (it is among `broken` then).
        unbuilt: Columns declared as indexed or unique that `_state.json` knows no index of.
        documents: How many were read; `whole`: these are all.
        foreign: Documents without `revision`, written by another tool and not yet by this library.
        broken: Keys under `objects/` that are no documents of this table, the first few.
    """

    name: str
    indexes: dict[str, str] | None
    unbuilt: list[str]
    documents: int
    whole: bool
    foreign: int
    broken: list[str]


async def examine_tables(store: ObjectStore, *, sample: int = SAMPLE) -> AsyncIterator[TableLook]:
    """Look at every table of a store, one after the other, with at most `sample` documents of each."""
    async for page in store.list_pages(TABLES_PREFIX, delimiter="/"):
        for prefix in page.prefixes:
            yield await examine(store, prefix.removeprefix(TABLES_PREFIX).rstrip("/"), sample=sample)


async def examine(store: ObjectStore, table: str, *, sample: int = SAMPLE) -> TableLook:
    """Look at one table."""
    keys = [info.key async for info in store.list(objects_prefix(table), limit=sample + 1)]
    seen: Counter[str] = Counter()
    broken: list[str] = []
    slots = asyncio.Semaphore(CONCURRENCY)

    async def look(key: str) -> None:
        async with slots:
            kind = await _kind(store, table, key)
        seen[kind] += 1
        if kind == "broken":
            broken.append(key)

    async with asyncio.TaskGroup() as group:
        for key in keys[:sample]:
            group.create_task(look(key))
    indexes = await _indexes(store, table, broken)
    return TableLook(
        name=table,
        indexes=indexes,
        unbuilt=sorted(await _declared(store, table, broken) - set(indexes or {})),
        documents=seen["ours"] + seen["foreign"],
        whole=len(keys) <= sample,
        foreign=seen["foreign"],
        broken=sorted(broken)[:10],
    )


async def _kind(store: ObjectStore, table: str, key: str) -> str:
    try:
        found = await store.get(key)
    except NotFoundError:
        return "gone"  # deleted since it was listed
    try:
        document = _documents.decode(found.data if found else b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "broken"
    if document.id != object_id(table, key):
        return "broken"
    if document.absent:
        return "absent"
    return "ours" if document.revision else "foreign"


async def _indexes(store: ObjectStore, table: str, broken: list[str]) -> dict[str, str] | None:
    try:
        found = await store.get(state_key(table))
    except NotFoundError:
        return None
    try:
        state = _states.decode(found.data if found else b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        broken.append(state_key(table))
        return None
    return {name: index.state for name, index in state.indexes.items()}


async def _declared(store: ObjectStore, table: str, broken: list[str]) -> set[str]:
    try:
        found = await store.get(metadata_key(table))
    except NotFoundError:
        return set()
    try:
        fields = msgspec.json.decode(found.data if found else b"", type=_Metadata).fields or {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        broken.append(metadata_key(table))
        return set()
    return {name for name, column in fields.items() if column.index or column.unique}
