"""CountingStore: an `ObjectStore` that keeps what was asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from ..storage.protocol import ListPage, ObjectInfo, ObjectStore, StoredObject
from .fault import Operation


class CountingStore:
    """
    An `ObjectStore` around another that keeps what was asked of it.

    Attributes:
        requests: (operation, key) of every request in order; a list counts once for each page.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.requests: list[tuple[Operation, str]] = []
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def counts(self) -> dict[str, int]:
        """Requests by operation, since the start or the last `reset`."""
        return dict(Counter(operation for operation, _ in self.requests))

    def reset(self) -> None:
        """Forget what was asked so far."""
        self.requests.clear()

    async def put(self, key: str, data: bytes, **conditions: Any) -> ObjectInfo:
        self.requests.append(("put", key))
        return await self._store.put(key, data, **conditions)

    async def get(self, key: str, **conditions: Any) -> StoredObject | None:
        self.requests.append(("get", key))
        return await self._store.get(key, **conditions)

    async def head(self, key: str) -> ObjectInfo:
        self.requests.append(("head", key))
        return await self._store.head(key)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        self.requests.append(("delete", key))
        await self._store.delete(key, if_match=if_match)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        self.requests.append(("list", prefix))
        count = 0
        async for info in self._store.list(prefix, start_after=start_after, limit=limit):
            if count and count % 1000 == 0:
                self.requests.append(("list", prefix))
            count += 1
            yield info

    async def list_pages(self, prefix: str = "", **options: Any) -> AsyncIterator[ListPage]:
        self.requests.append(("list", prefix))
        first = True
        async for page in self._store.list_pages(prefix, **options):
            if not first:
                self.requests.append(("list", prefix))
            first = False
            yield page
