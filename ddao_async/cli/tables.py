"""
`ddao-async tables`: the tables of a database and their columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .option import AsJson, Url
from .output import columns, emit, note

if TYPE_CHECKING:
    from ..model.schema import Column


def tables(url: Url = None, as_json: AsJson = False) -> None:
    """List the tables and their columns."""
    from ..database import Database
    from .session import with_database

    async def work(db: Database) -> None:
        found = [await db.table(name) for name in await db.tables()]
        if as_json:
            for table in found:
                emit(table, as_json=True)
        elif not found:
            note("There are no tables.")
        else:
            rows = [
                [table.name, column.name, column.type, _remarks(column)] for table in found for column in table.columns
            ]
            columns([["TABLE", "COLUMN", "TYPE", ""], *rows])

    with_database(url, work)


def _remarks(column: Column) -> str:
    said = [name for name in ("unique", "index", "nullable") if getattr(column, name)]
    return ", ".join([*said, column.comment] if column.comment else said)
