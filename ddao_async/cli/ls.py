"""
`ddao-async ls`: the raw keys of a store, sorted.
"""

from __future__ import annotations

from typing import Annotated

import typer

from .option import AsJson, Url
from .output import emit, say

Prefix = Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only keys that begin with this.", show_default=False)]


def list_keys(prefix: Prefix = "", url: Url = None, as_json: AsJson = False) -> None:
    """List the raw keys: size in bytes, time of the last write, key."""
    from ..database import Database
    from .session import with_database

    async def work(db: Database) -> None:
        async for info in db.store.list(prefix):
            if as_json:
                emit(
                    {"key": info.key, "size": info.size, "etag": info.etag, "last_modified": info.last_modified},
                    as_json=True,
                )
            else:
                when = info.last_modified.strftime("%Y-%m-%d %H:%M:%S") if info.last_modified else "-"
                say(f"{info.size:>10}  {when:>19}  {info.key}")

    with_database(url, work)
