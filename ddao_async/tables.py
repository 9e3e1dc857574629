"""
Creates and alters tables: probes the server, completes `_metadata.json` and `_schema.json`, decides on the indexes.

Everything here may be done again, and by several programs at once: what is stored is completed under a condition, and
read again when somebody else was faster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec

from .catalog import Catalog, layout_of
from .engine import Engine
from .errors import ConflictError, CorruptDocumentError, NotFoundError, SchemaError, UnknownOutcomeError
from .maintenance.build import add_indexes, require_unique
from .maintenance.drop import drop_index as remove_index
from .maintenance.probe import ensure_probed
from .model.keys import SCHEMA_KEY, metadata_key
from .model.metadata import format_metadata, format_schema, parse_metadata
from .model.schema import Column, Schema, Table, check_declared, merged, without_index

_log = logging.getLogger("ddao_async.tables")

ATTEMPTS = 20
"""Each lost one is another program's start; more than these do not begin at the very same moment."""


async def create_tables(catalog: Catalog, schema: Schema) -> list[Table]:
    """
    Create what is missing of these tables, and complete what is there.

    Returns:
        The tables as the bucket holds them now.

    Raises:
        SchemaError: A declaration clashes with what is stored. Tables before it are created then.
        UnsupportedError: A table has unique columns and the server enforces no conditional writes.
    """
    engine = catalog.engine
    engine.learn(await ensure_probed(engine.store))
    created: dict[str, Table] = {}
    written: dict[str, bytes] = {}
    for declared in schema:
        check_declared(declared)
        if any(index.unique for index in declared.indexed):
            engine.require_conditional_put(f"A unique column of table {declared.name!r}")
        table, written[declared.name] = await _complete(engine, declared)
        created[declared.name] = table
        await _settle_state(engine, table)
        catalog.remember(table)
    await _summarize(engine, written, created)
    return list(created.values())


async def alter_table(
    catalog: Catalog, name: str, columns: Iterable[Column], indexes: Sequence[Sequence[str]], *, exclusive: bool
) -> Table:
    """
    Add columns, or indexes to columns, to a table that has documents; indexes are built before it returns.

    Args:
        indexes: Indexes over several columns.
        exclusive: Nobody else writes to the table now or did so in the last minutes: the wait is skipped.
    """
    engine = catalog.engine
    held = await catalog.table(name)
    change = Table(name, tuple(columns), indexes, held.transactions)
    known = {index.name for index in held.indexed}
    wanted = merged(held, change)
    await require_unique(engine, layout_of(held), [index for index in wanted.indexed if index.name not in known])
    await _settle_state(engine, wanted, warn=False)
    # An index is declared once it stands: a build that finds duplicates leaves no column that claims to be unique.
    await _declare(catalog, _as_indexed_in(held, wanted))
    asked = {column.name for column in change.columns}
    fresh = [i for i in wanted.indexed if i.name not in known or set(i.columns) <= asked or i.columns in change.indexes]
    if fresh:
        await add_indexes(engine, layout_of(wanted), fresh, exclusive=exclusive)
    return await _declare(catalog, wanted)


def _as_indexed_in(held: Table, wanted: Table) -> Table:
    """The columns of the table that is wanted, with the indexes of the one that is there."""
    old = {column.name: column for column in held.columns}
    columns: list[Column] = []
    for column in wanted.columns:
        before = old.get(column.name)
        unique, index = (before.unique, before.index) if before else (False, False)
        columns.append(msgspec.structs.replace(column, unique=unique, index=index))
    return msgspec.structs.replace(wanted, columns=columns, indexes=held.indexes)


async def _declare(catalog: Catalog, wanted: Table) -> Table:
    """Let the bucket hold at least these columns."""
    table, data = await _complete(catalog.engine, wanted)
    catalog.remember(table)
    await _summarize(catalog.engine, {table.name: data}, {table.name: table})
    return table


async def drop_index(catalog: Catalog, name: str, index: str, *, exclusive: bool) -> Table:
    """
    Remove an index from a table, then its declaration; entries and claims go with it.

    Args:
        exclusive: Nobody else reads or writes the table now or did so in the last minutes: the wait is skipped.

    Raises:
        SchemaError: The table has no such index.
    """
    engine = catalog.engine
    held = await catalog.table(name)
    dropped = await remove_index(engine, layout_of(held), index, exclusive=exclusive)
    if not dropped.is_known and index not in {one.name for one in held.indexed}:
        raise SchemaError(f"Table {name!r} has no index {index!r}.", hint="`ddao-async doctor` names those it has.")
    table = held

    def undeclared(stored: bytes | None) -> bytes:
        nonlocal table
        table = without_index(held if stored is None else merged(parse_metadata(stored, name), held), index)
        return format_metadata(table, stored, engine.timestamp())

    data = await _rewrite(engine, metadata_key(name), undeclared, {"ddao-type": "table-metadata", "ddao-table": name})
    catalog.remember(table)
    await _summarize(engine, {name: data}, {name: table})
    return table


async def _complete(engine: Engine, declared: Table) -> tuple[Table, bytes]:
    """A table's `_metadata.json`, completed by a declaration: what it says then, and its bytes."""
    key = metadata_key(declared.name)
    table = declared

    def complete(held: bytes | None) -> bytes:
        nonlocal table
        table = declared if held is None else merged(parse_metadata(held, declared.name), declared)
        return format_metadata(table, held, engine.timestamp())

    metadata = {"ddao-type": "table-metadata", "ddao-table": declared.name}
    data = await _rewrite(engine, key, complete, metadata)
    return table, data


async def _summarize(engine: Engine, written: dict[str, bytes], tables: dict[str, Table]) -> None:
    if written:
        await _rewrite(engine, SCHEMA_KEY, lambda held: format_schema(written, tables, held), {"ddao-type": "schema"})


async def _rewrite(
    engine: Engine, key: str, change: Callable[[bytes | None], bytes], metadata: dict[str, str]
) -> bytes:
    """Replace an object by what `change` makes of it, again when somebody else was faster; the same is not written."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            found = await engine.store.get(key)
        except NotFoundError:
            found = None
        data = change(found.data if found else None)
        if found is not None and found.data == data:
            return data
        try:
            await engine.store.put(
                key,
                data,
                if_none_match=found is None,
                if_match=found.info.etag if found else None,
                metadata={**metadata, "ddao-timestamp": engine.second()},
                content_type="application/json",
            )
        except (ConflictError, UnknownOutcomeError):
            if attempt == ATTEMPTS:
                raise
            await engine.pause(attempt)  # it may have been written: what is there then is looked at again
        else:
            return data
    raise AssertionError("unreachable")


async def _settle_state(engine: Engine, table: Table, *, warn: bool = True) -> None:
    """Let `_state.json` be there, and say what it has otherwise than declared."""
    copy = await engine.states.copy(layout_of(table))
    state = copy.state
    if state is None:
        raise CorruptDocumentError(f"The state of table {table.name!r} went away.", hint="Try again.")
    if state.transactions != table.transactions:
        raise SchemaError(
            f"Table {table.name!r} was created with transactions={state.transactions}, which never changes.",
            hint="Declare it so, or use another table.",
        )
    missing = [index.name for index in table.indexed if index.name not in state.indexes]
    if missing and warn:
        _log.warning(
            "Table %r has documents that the indexes %s do not know; searches scan until `ddao-async reindex %s`.",
            table.name,
            ", ".join(missing),
            table.name,
        )
