"""
An index that goes while readers and writers run (protocol.md, section 3).

    _state.json: dropping      readers leave it; writers keep it for those that have not noticed yet
    17 minutes
    _state.json: without it    writers keep it no longer
    DELETE entries and claims  each by a young copy of `_state.json` that still is without it
"""

from __future__ import annotations

import msgspec

from ..conditional import JSON, Attempt
from ..engine import Engine
from ..errors import ConflictError, SchemaError, UnknownOutcomeError
from ..model.keys import index_prefix, unique_prefix
from ..model.placement import Claim, encode_claim
from ..state import TableLayout, TableState
from ..storage.protocol import ObjectInfo
from .walk import CONCURRENCY, for_each

replace = msgspec.structs.replace

ATTEMPTS = 5


class Dropped(msgspec.Struct, frozen=True):
    """What a drop removed: entries and claims. `is_known`: there was such an index."""

    removed: int
    is_known: bool = True


async def drop_index(
    engine: Engine, table: TableLayout, index: str, *, exclusive: bool = False, concurrency: int = CONCURRENCY
) -> Dropped:
    """
    Remove an index of a table, and then its entries and claims.

    Args:
        exclusive: Nobody else reads or writes the table now or did so in the last minutes: the wait is skipped.

    Raises:
        SchemaError: Another client added the index again meanwhile.
    """
    build = ""

    def dropping(state: TableState) -> TableState | None:
        nonlocal build
        found = state.indexes.get(index)
        if found is None:
            return None
        build = found.build
        return replace(state, indexes={**state.indexes, index: replace(found, state="dropping")})

    def without(state: TableState) -> TableState | None:
        found = state.indexes.get(index)
        if found is None or found.build != build or found.state != "dropping":
            return None
        return replace(state, indexes={name: one for name, one in state.indexes.items() if name != index})

    if await engine.states.change(table, dropping) is None:
        return Dropped(await remove_entries(engine, table, index, concurrency=concurrency), is_known=False)
    if not exclusive:
        await engine.sleep(engine.quiet_time)
    if await engine.states.change(table, without) is None and await _is_back(engine, table, index):
        raise SchemaError(
            f"Index {index!r} of table {table.name!r} was added again by another client.",
            hint="Drop it again if it shall go.",
        )
    return Dropped(await remove_entries(engine, table, index, concurrency=concurrency))


async def _is_back(engine: Engine, table: TableLayout, index: str) -> bool:
    engine.states.forget(table.name)
    return index in (await engine.states.copy(table)).indexes


async def remove_entries(engine: Engine, table: TableLayout, index: str, *, concurrency: int = CONCURRENCY) -> int:
    """
    Delete the entries and claims of an index that the table has not, and stop as soon as it has it again.

    Returns:
        How many were deleted.
    """
    removed = 0
    for prefix in (index_prefix(table.name, index), unique_prefix(table.name, index)):
        removed += await remove_under(engine, table, index, prefix, concurrency=concurrency)
    return removed


async def remove_under(
    engine: Engine,
    table: TableLayout,
    index: str,
    prefix: str,
    *,
    concurrency: int,
    before: float | None = None,
    dry_run: bool = False,
) -> int:
    """
    The same for the keys under one prefix.

    Args:
        before: Only what was last modified before this server time (epoch seconds).
        dry_run: Count only.
    """
    removed = 0

    async def one(info: ObjectInfo) -> None:
        nonlocal removed
        if before is not None and (info.last_modified is None or info.last_modified.timestamp() >= before):
            return
        if dry_run or await _removed(engine, table, index, info):
            removed += 1

    await for_each(engine.store.list(prefix), one, concurrency=concurrency)
    return removed


async def _removed(engine: Engine, table: TableLayout, index: str, info: ObjectInfo) -> bool:
    """Delete one entry or claim, each sending by a young copy without the index."""
    for attempt in range(1, ATTEMPTS + 1):
        copy = await engine.states.copy(table)
        if index in copy.indexes:
            return False
        by_copy = Attempt(engine, table, copy, engine.monotonic())
        try:
            if info.key.startswith(index_prefix(table.name, index)):
                await by_copy.bounded(engine.store.delete(info.key))
            elif engine.conditional_delete:
                await by_copy.bounded(engine.store.delete(info.key, if_match=info.etag))
            else:
                released = encode_claim(Claim(None, engine.nonce()))
                put = engine.store.put(info.key, released, if_match=info.etag, content_type=JSON)
                await by_copy.bounded(put)
        except ConflictError:
            return False  # taken by somebody since it was listed, or gone
        except UnknownOutcomeError:
            if attempt == ATTEMPTS:
                raise
            continue
        return True
    return False
