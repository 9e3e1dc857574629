"""
`ddao-async rm`: deletes documents by id.
"""

from __future__ import annotations

from typing import Annotated

import typer

from .option import AsJson, Table, Url
from .output import emit, say

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of the documents.", show_default=False)]


def remove(table: Table, ids: Ids, url: Url = None, as_json: AsJson = False) -> None:
    """Delete documents. One that is not there is no error."""
    from ..database import Database
    from .session import with_database

    async def work(db: Database) -> None:
        repository = db.repository(table)
        for each in ids:
            deleted = await repository.delete(each)
            if as_json:
                emit({"id": each, "deleted": deleted}, as_json=True)
            else:
                say(f"{'deleted' if deleted else 'missing'}  {each}")

    with_database(url, work)
