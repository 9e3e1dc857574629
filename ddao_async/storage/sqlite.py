"""
SQLiteAdapter: a bucket in one file, one row an object. Conditional writes are one statement each, so they hold between
tasks and between processes. Keys are stored as UTF-8 bytes: SQLite then sorts them as S3 does.

    ddao_objects (key BLOB, etag TEXT, modified REAL, metadata TEXT, content_type TEXT, data BLOB)
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from asyncio import get_running_loop
from builtins import list as list_
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from ..config import SQLiteSettings, settings_from_url, sqlite_settings
from ..errors import AlreadyExistsError, ClosedError, ConfigurationError, ConflictError, NotFoundError
from . import batch
from .paging import MAX_PAGE, after_prefix, pages_of
from .protocol import Capabilities, ListPage, ObjectInfo, StoredObject
from .rule import as_bytes, check_conditions, check_key, check_metadata, check_range, lowered
from .sqlite_thread import SQLiteThread, Work

CREATE = """
CREATE TABLE IF NOT EXISTS ddao_objects (
    key BLOB NOT NULL PRIMARY KEY,
    etag TEXT NOT NULL,
    modified REAL NOT NULL,
    metadata TEXT NOT NULL,
    content_type TEXT,
    data BLOB NOT NULL
)"""
INSERT = "INSERT INTO ddao_objects (etag, modified, metadata, content_type, data, key) VALUES (?, ?, ?, ?, ?, ?)"
PUT = (
    INSERT + " ON CONFLICT (key) DO UPDATE SET etag = excluded.etag, modified = excluded.modified,"
    " metadata = excluded.metadata, content_type = excluded.content_type, data = excluded.data"
)
CREATE_OBJECT = INSERT + " ON CONFLICT (key) DO NOTHING"
REPLACE = (
    "UPDATE ddao_objects SET etag = ?, modified = ?, metadata = ?, content_type = ?, data = ?"
    " WHERE key = ? AND etag = ?"
)
COLUMNS = "key, length(data), etag, modified, metadata, content_type"

log = logging.getLogger("ddao_async")
_metadata_decoder = msgspec.json.Decoder(dict[str, str])


class SQLiteAdapter:
    """
    An `ObjectStore` in one SQLite file. Open while inside `async with`, in one event loop; it may be opened again, in
    another one too. Safe for many tasks and for several processes on one file.

    Args:
        path: The file, created if it is missing; or `:memory:`, which is new and empty at each opening.
        busy_timeout: Seconds to wait for other processes' writes.
        clock: What `last_modified` is taken from, epoch seconds.
        options: Other fields of `config.SQLiteSettings`.

    Raises:
        ConfigurationError: An option is unknown or malformed.
    """

    capabilities = Capabilities(conditional_put=True, conditional_delete=True, sorted_list=True)
    grace = 0.0

    def __init__(self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.time, **options: Any) -> None:
        self.settings: SQLiteSettings = sqlite_settings(path=os.fspath(path), **options)
        self.clock = clock
        self.deadline = self.settings.busy_timeout
        self._thread: SQLiteThread | None = None
        self._loop: Any = None
        self._pid = 0
        self._entered = 0
        self._counts: Counter[str] = Counter()

    @classmethod
    def from_url(cls, url: str, *, clock: Callable[[], float] = time.time, **options: Any) -> Self:
        """
        An adapter for `sqlite:///relative.db`, `sqlite:////absolute.db` or `sqlite://:memory:`.

        Raises:
            ConfigurationError: As `config.settings_from_url`.
        """
        settings = settings_from_url(url, os.environ, **options)
        if not isinstance(settings, SQLiteSettings):
            raise ConfigurationError("This is no connection string of SQLite.", hint="Use sqlite:///path.db.")
        values = {name: getattr(settings, name) for name in settings.__struct_fields__}
        return cls(**values, clock=clock)

    def __repr__(self) -> str:
        return f"SQLiteAdapter({self.settings.path!r})"

    async def __aenter__(self) -> Self:
        if self._thread is not None and self._pid == os.getpid() and not self._loop.is_closed():
            self._here()
            self._entered += 1
            return self
        thread = SQLiteThread(self.settings.path, self.settings.busy_timeout, _prepare)
        await thread.open()
        self._thread, self._loop, self._pid, self._entered = thread, get_running_loop(), os.getpid(), 1
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._entered -= 1
        if self._entered <= 0:
            await self.close()

    async def close(self) -> None:
        """Finish what is queued and close the file. Safe to call twice; the adapter may be opened again."""
        thread, pid, loop = self._thread, self._pid, self._loop
        self._thread, self._entered = None, 0
        if thread is not None and pid == os.getpid() and not loop.is_closed():
            await thread.close()

    async def check(self) -> None:
        """
        Is the file usable?

        Raises:
            StoreError: It cannot be read.
        """
        await self._run("head_bucket", "", lambda db: db.execute("SELECT 1 FROM ddao_objects LIMIT 1").fetchone())

    def stats(self) -> dict[str, int]:
        """How many requests were made, by operation."""
        return dict(self._counts)

    def _here(self) -> SQLiteThread:
        thread = self._thread
        if thread is None:
            raise ClosedError(f"{self!r} is closed.", hint="Use it inside `async with`.")
        if self._pid != os.getpid():
            raise ClosedError(f"{self!r} was opened in the parent process.", hint="Open another one in this process.")
        if self._loop is not get_running_loop():
            raise ClosedError(f"{self!r} is open in another event loop.", hint="Close it there first.")
        return thread

    async def _run(self, operation: str, key: str, work: Work, *, is_write: bool = False) -> Any:
        thread = self._here()
        self._counts[operation] += 1
        if not self.settings.verbose:
            return await thread.run(work, is_write=is_write)
        started = time.perf_counter()
        try:
            return await thread.run(work, is_write=is_write)
        finally:
            log.info("sqlite %s %r %.1f ms", operation, key, (time.perf_counter() - started) * 1000)

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
        metadata: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Store bytes under a key; conditions and outcomes as `storage.protocol` says."""
        check_key(key)
        check_conditions(if_none_match, if_match)
        check_metadata(metadata, content_type)
        data = as_bytes(data)
        metadata = lowered(metadata)
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        modified = self.clock()
        row: list[Any] = [etag, modified, msgspec.json.encode(metadata).decode(), content_type, data, key.encode()]
        statement = CREATE_OBJECT if if_none_match else PUT
        if if_match is not None:
            statement = REPLACE
            row.append(if_match)
        written = await self._run("put", key, lambda db: db.execute(statement, row).rowcount, is_write=True)
        if written == 0 and if_none_match:
            raise AlreadyExistsError(f"{key!r} exists.", hint="Read it, or put without if_none_match.")
        if written == 0:
            raise ConflictError(f"{key!r} changed or is missing.", hint="Read it again, then decide again.")
        return ObjectInfo(key, len(data), etag, datetime.fromtimestamp(modified, UTC), metadata, content_type)

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None:
        """The object; None if its etag is `if_none_match`. `range` is (start, stop), stop exclusive or None."""
        check_key(key)
        columns, values = f"{COLUMNS}, data", [key.encode()]
        if range is not None:
            check_range(range)
            start, stop = range
            columns = f"{COLUMNS}, substr(data, {start + 1}{'' if stop is None else f', {stop - start}'})"
        statement = f"SELECT {columns} FROM ddao_objects WHERE key = ?"  # noqa: S608  two integers, no text
        row = await self._run("get", key, lambda db: db.execute(statement, values).fetchone())
        if row is None:
            raise _not_found(key)
        info = _info(row)
        return None if info.etag == if_none_match else StoredObject(bytes(row[6]), info)

    async def head(self, key: str) -> ObjectInfo:
        """What the store tells of an object."""
        check_key(key)
        statement = f"SELECT {COLUMNS} FROM ddao_objects WHERE key = ?"  # noqa: S608
        row = await self._run("head", key, lambda db: db.execute(statement, [key.encode()]).fetchone())
        if row is None:
            raise _not_found(key)
        return _info(row)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove a key; a missing one is no error unless `if_match` is given."""
        check_key(key)
        statement, values = "DELETE FROM ddao_objects WHERE key = ?", [key.encode()]
        if if_match is not None:
            statement, values = statement + " AND etag = ?", [key.encode(), if_match]
        removed = await self._run("delete", key, lambda db: db.execute(statement, values).rowcount, is_write=True)
        if if_match is not None and removed == 0:
            raise ConflictError(f"{key!r} changed or is missing.", hint="Read it again, then decide again.")

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """Objects whose key has the prefix, in UTF-8 byte order, those after `start_after` only."""
        async with aclosing(self.list_pages(prefix, start_after=start_after)) as pages:
            async for page in pages:
                for info in page.objects:
                    if limit is not None:
                        if limit <= 0:
                            return
                        limit -= 1
                    yield info

    def list_pages(
        self,
        prefix: str = "",
        *,
        page_size: int = MAX_PAGE,
        delimiter: str | None = None,
        start_after: str | None = None,
    ) -> AsyncGenerator[ListPage, None]:
        """The same in pages; with a delimiter, keys that hold it after the prefix are rolled up into `prefixes`."""

        async def fetch(position: str, is_wanted: bool, count: int) -> list_[ObjectInfo]:
            comparison = ">=" if is_wanted else ">"
            statement = f"SELECT {COLUMNS} FROM ddao_objects WHERE key {comparison} ? "  # noqa: S608
            values: list_[Any] = [position.encode()]
            if stop is not None:
                statement += "AND key < ? "
                values.append(stop.encode())
            statement += f"ORDER BY key LIMIT {count:d}"
            rows = await self._run("list", prefix, lambda db: db.execute(statement, values).fetchall())
            return [_listed(row) for row in rows]

        self._here()
        stop = after_prefix(prefix)
        return pages_of(fetch, prefix, page_size=page_size, delimiter=delimiter, start_after=start_after)

    # ---- many and large objects

    put_many = batch.put_many
    get_many = batch.get_many
    delete_many = batch.delete_many
    upload = batch.upload
    open = batch.open_stream
    copy = batch.copy


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(CREATE)
    columns = {row[1] for row in connection.execute("PRAGMA table_info(ddao_objects)")}
    if columns != {"key", "etag", "modified", "metadata", "content_type", "data"}:
        raise ConfigurationError(
            "The SQLite file has a table ddao_objects of another kind.", hint="Choose another file for this database."
        )


def _info(row: tuple[Any, ...]) -> ObjectInfo:
    key, size, etag, modified, metadata, content_type, *_ = row
    instant = datetime.fromtimestamp(modified, UTC)
    return ObjectInfo(key.decode(), size, etag, instant, _metadata_decoder.decode(metadata), content_type)


def _listed(row: tuple[Any, ...]) -> ObjectInfo:
    key, size, etag, modified, *_ = row
    return ObjectInfo(key.decode(), size, etag, datetime.fromtimestamp(modified, UTC))


def _not_found(key: str) -> NotFoundError:
    return NotFoundError(f"There is no object {key!r}.", hint="Check the key, or list its prefix.")
