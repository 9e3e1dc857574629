"""
MemoryAdapter: a bucket in a dict, and the reference semantics of `storage.protocol`.

Etags are the MD5 of the bytes, as on S3: equal bytes give equal etags, so code that lets bytes come back is
caught here.
"""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Self

from ..errors import AlreadyExistsError, ClosedError, ConflictError, NotFoundError
from .protocol import Capabilities, ListPage, ObjectInfo, StoredObject


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
        self._closed = False

    async def __aenter__(self) -> Self:
        self._closed = False
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close. What is stored stays until the object is dropped; safe to call twice."""
        self._closed = True

    async def check(self) -> None:
        """Nothing can be missing here."""
        self._open()

    def _open(self) -> dict[str, StoredObject]:
        if self._closed:
            raise ClosedError("This MemoryAdapter is closed.", hint="Use it inside `async with`.")
        return self._objects

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
        objects = self._open()
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
            metadata={name.lower(): value for name, value in (metadata or {}).items()},
            content_type=content_type,
        )
        if current is None:
            insort(self._keys, key)
        objects[key] = StoredObject(bytes(data), info)
        return info

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None:
        """The object; None if its etag is `if_none_match`. `range` is (start, stop), stop exclusive or None."""
        found = self._open().get(key)
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
        found = self._open().get(key)
        if found is None:
            raise NotFoundError(f"There is no object {key!r}.", hint="Check the key, or list its prefix.")
        return found.info

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove a key; a missing one is no error unless `if_match` is given."""
        objects = self._open()
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
        last = start_after
        while limit is None or limit > 0:
            page = self._page(prefix, last, min(limit or 1000, 1000))
            for info in page:
                yield info
            if len(page) < 1000:
                return
            last = page[-1].key
            if limit is not None:
                limit -= len(page)

    def _page(self, prefix: str, start_after: str | None, size: int) -> list[ObjectInfo]:
        objects = self._open()
        at = bisect_left(self._keys, prefix)
        if start_after is not None:
            at = max(at, bisect_right(self._keys, start_after))
        page: list[ObjectInfo] = []
        while at < len(self._keys) and len(page) < size and self._keys[at].startswith(prefix):
            page.append(objects[self._keys[at]].info)
            at += 1
        return page

    async def list_pages(
        self, prefix: str = "", *, page_size: int = 1000, delimiter: str | None = None, start_after: str | None = None
    ) -> AsyncIterator[ListPage]:
        """The same in pages; with a delimiter, keys that hold it after the prefix are rolled up into `prefixes`."""
        last = start_after
        while True:
            objects: list[ObjectInfo] = []
            prefixes: list[str] = []
            while len(objects) + len(prefixes) < page_size:
                found = self._page(prefix, last, 1)
                if not found:
                    break
                key = found[0].key
                cut = key.find(delimiter, len(prefix)) if delimiter else -1
                if delimiter and cut >= 0:
                    rolled = key[: cut + len(delimiter)]
                    prefixes.append(rolled)
                    last = rolled + "\U0010ffff"
                else:
                    objects.append(found[0])
                    last = key
            if objects or prefixes:
                yield ListPage(objects, prefixes)
            if len(objects) + len(prefixes) < page_size:
                return
