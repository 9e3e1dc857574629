"""
CheckFirst: conditions for a server that has none, by looking before writing (protocol.md, section 8).

Two writers that look at the same time both write, and the last one wins: whoever uses this says so in the log, and what
needs more (unique columns, transactions, leases) is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from .errors import AlreadyExistsError, ConflictError, NotFoundError
from .storage.protocol import ListPage, ObjectInfo, ObjectStore, StoredObject


class CheckFirst:
    """
    An `ObjectStore` around one that ignores conditions on writes.

    Attributes:
        inner: The store that keeps the bytes.
    """

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

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
        """Look, then put. Refused as on a server that enforces the condition."""
        if if_none_match and await self._etag(key) is not None:
            raise AlreadyExistsError(f"{key!r} exists.", hint="Read it, or update it.")
        if if_match is not None and await self._etag(key) != if_match:
            raise ConflictError(f"{key!r} changed or is missing.", hint="Read it again, then decide again.")
        return await self.inner.put(key, data, metadata=metadata, content_type=content_type)

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None:
        return await self.inner.get(key, if_none_match=if_none_match, range=range)

    async def head(self, key: str) -> ObjectInfo:
        return await self.inner.head(key)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Look, then delete."""
        if if_match is not None and await self._etag(key) != if_match:
            raise ConflictError(f"{key!r} changed or is missing.", hint="Read it again, then decide again.")
        await self.inner.delete(key)

    def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        return self.inner.list(prefix, start_after=start_after, limit=limit)

    def list_pages(
        self, prefix: str = "", *, page_size: int = 1000, delimiter: str | None = None, start_after: str | None = None
    ) -> AsyncIterator[ListPage]:
        return self.inner.list_pages(prefix, page_size=page_size, delimiter=delimiter, start_after=start_after)

    async def _etag(self, key: str) -> str | None:
        try:
            return (await self.inner.head(key)).etag
        except NotFoundError:
            return None
