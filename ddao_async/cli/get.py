"""
`ddao-async get`: one document by its id.
"""

from __future__ import annotations

from .option import AsJson, Id, Table, Url
from .output import emit


def get(table: Table, id: Id, url: Url = None, as_json: AsJson = False) -> None:
    """Print one document."""
    from ..database import Database
    from ..transfer.exports import plain
    from .session import with_database

    async def work(db: Database) -> None:
        emit(plain(await db.repository(table).get(id)), as_json=as_json)

    with_database(url, work)
