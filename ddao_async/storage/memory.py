"""
MemoryAdapter: a bucket in a dict, and the reference semantics of `storage.protocol`.

Etags are the MD5 of the bytes, as on S3: equal bytes give equal etags, so code that lets bytes come back is
caught here.
"""

from __future__ import annotations

import hashlib
import os
import time
from asyncio import AbstractEventLoop, get_running_loop
from bisect import bisect_left, bisect_right, insort
from builtins import list as list_
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Self

from ..errors import AlreadyExistsError, ClosedError, ConflictError, NotFoundError
from . import batch
from .paging import MAX_PAGE, pages_of
from .protocol import Capabilities, ListPage, ObjectInfo, StoredObject
from .rule import as_bytes, check_conditions, check_key, check_metadata, check_range, lowered


class MemoryAdapter:
    """
    An `ObjectStore` in memory; new and empty, gone when it is dropped. All of S3's conditions are enforced.

    Args:
        clock: Server time, epoch seconds; what `last_modified` is taken from.
    """

    capabilities = Capabilities(conditional_put=True, conditional_delete=True, sorted_list=True)
    deadline = 0.0
    grace = 0.0

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._objects: dict[str, StoredObject] = {}
        self._keys: list[str] = []
        self._is_closed = False
        self._loop: AbstractEventLoop | None = None
        self._pid = 0
        self._entered = 0
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"MemoryAdapter({len(self._objects)} objects)"

    async def __aenter__(self) -> Self:
        if self._entered == 0 or self._loop is None or self._loop.is_closed():
            self._loop, self._pid, self._entered, self._is_closed = get_running_loop(), os.getpid(), 0, False
        self._here()
        self._entered += 1
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._entered -= 1
        if self._entered <= 0:
            await self.close()

    async def close(self) -> None:
        """Close. What is stored stays until the object is dropped; it may be opened again. Safe to call twice."""
        self._is_closed, self._loop, self._entered = True, None, 0

    async def check(self) -> None:
        """Nothing can be missing here."""
        self._open("head_bucket")

    def stats(self) -> dict[str, int]:
        """How many requests were made, by operation."""
        return dict(self._counts)

    def _open(self, operation: str) -> dict[str, StoredObject]:
        """The objects, for one request."""
        self._here()
        self._counts[operation] += 1
        return self._objects

    def _here(self) -> None:
        """Without `async with` it is open too, in any event loop, until it is closed."""
        if self._is_closed:
            raise ClosedError("This MemoryAdapter is closed.", hint="Use it inside `async with`.")
        if self._loop is not None:
            if self._pid != os.getpid():
                raise ClosedError("This MemoryAdapter is the parent process's.", hint="Open one in this process.")
            if self._loop is not get_running_loop():
                raise ClosedError("This MemoryAdapter is open in another event loop.", hint="Close it there first.")

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
        """Store bytes under a key; conditions and errors as `storage.protocol` says."""
        check_key(key)
        check_conditions(if_none_match, if_match)
        check_metadata(metadata, content_type)
        data = as_bytes(data)
        objects = self._open("put")
        current = objects.get(key)
        if if_none_match and current is not None:
            raise AlreadyExistsError(f"{key!r} exists.", hint="Read it, or put without if_none_match.")
        if if_match is not None and (current is None or current.info.etag != if_match):
            raise ConflictError(f"{key!r} changed or is missing.", hint="Read it again, then decide again.")
        info = ObjectInfo(
            key=key,
            size=len(data),
            etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            last_modified=datetime.fromtimestamp(self.clock(), UTC),
            metadata=dict(lowered(metadata)),
            content_type=content_type,
        )
        if current is None:
            insort(self._keys, key)
        objects[key] = StoredObject(data, info)
        return info

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None:
        """The object; None if its etag is `if_none_match`. `range` is (start, stop), stop exclusive or None."""
        check_key(key)
        if range is not None:
            check_range(range)
        found = self._open("get").get(key)
        if found is None:
            raise NotFoundError(f"There is no object {key!r}.", hint="Check the key, or list its prefix.")
        if if_none_match is not None and if_none_match == found.info.etag:
            return None
        if range is not None:
            start, stop = range
            return StoredObject(found.data[start:stop], found.info)
        return found

    async def head(self, key: str) -> ObjectInfo:
        """What the store tells of an object."""
        check_key(key)
        found = self._open("head").get(key)
        if found is None:
            raise NotFoundError(f"There is no object {key!r}.", hint="Check the key, or list its prefix.")
        return found.info

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove a key; a missing one is no error unless `if_match` is given."""
        check_key(key)
        objects = self._open("delete")
        current = objects.get(key)
        if if_match is not None and (current is None or current.info.etag != if_match):
            raise ConflictError(f"{key!r} changed or is missing.", hint="Read it again, then decide again.")
        if current is not None:
            del objects[key]
            del self._keys[bisect_left(self._keys, key)]

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
            return self._rows(prefix, position, is_wanted, count)

        self._open("list")
        return pages_of(fetch, prefix, page_size=page_size, delimiter=delimiter, start_after=start_after)

    def _rows(self, prefix: str, position: str, is_wanted: bool, count: int) -> list_[ObjectInfo]:
        objects = self._open("list")
        at = bisect_left(self._keys, position) if is_wanted else bisect_right(self._keys, position)
        rows: list_[ObjectInfo] = []
        while at < len(self._keys) and len(rows) < count and self._keys[at].startswith(prefix):
            info = objects[self._keys[at]].info
            rows.append(ObjectInfo(info.key, info.size, info.etag, info.last_modified))
            at += 1
        return rows

    # ---- many and large objects

    put_many = batch.put_many
    get_many = batch.get_many
    delete_many = batch.delete_many
    upload = batch.upload
    open = batch.open_stream
    copy = batch.copy
