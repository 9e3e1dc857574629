"""
`connect`: from a connection string to an open database.

    async with connect("s3://bucket/prefix") as db: ...
    db = await connect("sqlite:///app.db"); ...; await db.close()
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .database import Database
from .model.schema import Schema
from .storage.adapter import adapter_for


class Connecting:
    """A database that is about to be opened: by `async with`, or by `await`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __await__(self) -> Generator[Any, None, Database]:
        return self._database.open().__await__()

    async def __aenter__(self) -> Database:
        return await self._database.open()

    async def __aexit__(self, *error: object) -> None:
        await self._database.close()


def connect(url: str, *, schema: Schema | None = None, **options: Any) -> Connecting:
    """
    Connect to a database: `async with connect(url) as db`, or `db = await connect(url)` and `await db.close()`.

    Args:
        url: `s3://bucket/prefix?region=...`, `sqlite:///path.db`, `sqlite://:memory:`, `memory://`.
        schema: What the program declares.
        options: Fields of the store's settings, which override the URL's parameters; for S3 also `session`,
            `credentials` and `clock`.

    Raises:
        ConfigurationError: At once: the connection string or an option is wrong.
        BucketNotFoundError, AccessDeniedError, InvalidCredentialsError, ConnectionTimeoutError: When it is opened.
    """
    database = Database(adapter_for(url, **options), schema)
    database.is_private = url.startswith(("memory:", "sqlite://:memory:"))
    return Connecting(database)
