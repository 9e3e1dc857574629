"""
Which tables an open database has: each `_metadata.json` is read once, at the first call that needs it.

A table that was never created is a SchemaError at that first call, not an empty result.
"""

from __future__ import annotations

import asyncio

from .documents import Documents
from .engine import Engine
from .errors import NotFoundError, SchemaError
from .model.annotation import table_of
from .model.keys import TABLES_PREFIX, check_table, metadata_key
from .model.metadata import parse_metadata
from .model.record import Record
from .model.schema import Schema, Table, merged
from .state import TableLayout


class Catalog:
    """
    The tables of one bucket, as one client knows them.

    Args:
        engine: The context of all operations on the bucket.
        declared: What the program declares, for indexes that only a declaration tells of.
    """

    def __init__(self, engine: Engine, declared: Schema | None = None) -> None:
        self.engine = engine
        self.declared = declared or Schema()
        self._tables: dict[str, Table] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    def remember(self, table: Table) -> None:
        """This is what the bucket holds of a table now."""
        self._tables[table.name] = table

    @property
    def known(self) -> list[Table]:
        """The tables looked at so far."""
        return list(self._tables.values())

    async def table(self, name: str) -> Table:
        """
        A table as the bucket holds it; one GET, the first time.

        Raises:
            SchemaError: It was never created.
        """
        known = self._tables.get(name)
        if known is not None:
            return known
        async with self._loading.setdefault(check_table(name), asyncio.Lock()):
            known = self._tables.get(name)
            if known is None:
                known = self._tables[name] = await self._load(name)
            return known

    async def _load(self, name: str) -> Table:
        try:
            found = await self.engine.store.get(metadata_key(name))
        except NotFoundError:
            found = None
        if found is None:
            raise SchemaError(
                f"Table {name!r} does not exist in this database.", hint="Create it: await db.create_tables(schema)."
            )
        stored = parse_metadata(found.data, name)
        return merged(stored, self.declared[name]) if name in self.declared else stored

    async def names(self) -> list[str]:
        """Names of all tables in the bucket, created by this library or by Go."""
        names: list[str] = []
        async for page in self.engine.store.list_pages(TABLES_PREFIX, delimiter="/"):
            names += [prefix.removeprefix(TABLES_PREFIX).removesuffix("/") for prefix in page.prefixes]
        return names

    def documents(self, table: Table) -> Documents:
        """The documents of a table."""
        return Documents(layout_of(table), engine=self.engine)


def layout_of(table: Table) -> TableLayout:
    """What the engine must know of a table."""
    return TableLayout(table.name, table.indexed, table.transactions)


async def known_table(catalog: Catalog, kind: type[Record] | str) -> Table:
    """What the bucket holds of a table, and for a record class what that declares besides; SchemaError on a clash."""
    if isinstance(kind, str):
        return await catalog.table(kind)
    declared = table_of(kind)
    return merged(await catalog.table(declared.name), declared)
