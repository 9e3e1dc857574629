"""
`ddao-async tables`: the tables of a database and their columns.
"""

from __future__ import annotations

from .option import AsJson, Url
from .output import columns, emit, note


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
            rows = [("TABLE", "COLUMN", "TYPE", "")]
            for table in found:
                for column in table.columns:
                    rows.append((table.name, column.name, column.type, _remarks(column)))
            columns(rows)

    with_database(url, work)


def _remarks(column: object) -> str:
    return ""
