"""
Stores that promise less, made from a MemoryAdapter: what some S3 servers do with conditions (servers.md), exactly.

`LaxStore` has the six primitives and nothing else: it declares no capabilities, like any user's wrapper.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ddao_async.errors import StoreError
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import ListPage, ObjectInfo, StoredObject


class LaxStore:
    """
    A store that ignores some conditions.

    Args:
        ignores: Any of `create` (PUT If-None-Match), `replace` (PUT If-Match), `delete` (DELETE If-Match).
        refuses: The same, answered with 501 instead.
        racy: Conditions are checked, then the server looks away before it writes.
        by_directory: Lists `n/a` before `n-b`.
    """

    def __init__(
        self,
        *ignores: str,
        refuses: tuple[str, ...] = (),
        racy: bool = False,
        by_directory: bool = False,
        memory: MemoryAdapter | None = None,
    ) -> None:
        self.memory = memory or MemoryAdapter()
        self.ignores, self.refuses, self.racy, self.by_directory = set(ignores), set(refuses), racy, by_directory
        self.requests: list[tuple[str, str]] = []

    def _enforced(self, condition: str, operation: str, key: str) -> bool:
        if condition in self.refuses:
            raise StoreError("Not implemented.", operation=operation, key=key, status=501, code="NotImplemented")
        return condition not in self.ignores

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
        self.requests.append(("put", key))
        if if_none_match and not self._enforced("create", "put", key):
            if_none_match = False
        if if_match is not None and not self._enforced("replace", "put", key):
            if_match = None
        if self.racy and if_none_match:
            try:
                await self.memory.head(key)
            except LookupError:
                if_none_match = False
            await asyncio.sleep(0)
        return await self.memory.put(
            key, data, if_none_match=if_none_match, if_match=if_match, metadata=metadata, content_type=content_type
        )

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None:
        self.requests.append(("get", key))
        return await self.memory.get(key, if_none_match=if_none_match, range=range)

    async def head(self, key: str) -> ObjectInfo:
        self.requests.append(("head", key))
        return await self.memory.head(key)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        self.requests.append(("delete", key))
        if if_match is not None and not self._enforced("delete", "delete", key):
            if_match = None
        await self.memory.delete(key, if_match=if_match)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        self.requests.append(("list", prefix))
        found = [info async for info in self.memory.list(prefix)]
        if self.by_directory:
            found.sort(key=lambda info: info.key.split("/"))
        at = 0
        if start_after is not None:
            after = start_after.split("/") if self.by_directory else start_after
            at = sum((info.key.split("/") if self.by_directory else info.key) <= after for info in found)
        for info in found[at:][:limit]:
            yield info

    async def list_pages(
        self, prefix: str = "", *, page_size: int = 1000, delimiter: str | None = None, start_after: str | None = None
    ) -> AsyncIterator[ListPage]:
        self.requests.append(("list", prefix))
        async for page in self.memory.list_pages(
            prefix, page_size=page_size, delimiter=delimiter, start_after=start_after
        ):
            yield page
