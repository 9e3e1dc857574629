"""
Many deletes in few requests: DeleteObjects, a thousand keys at a time; one by one where the server refuses that, and
for keys that XML cannot carry.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Protocol

from ..errors import DDAOError, StoreError, UnsupportedError, ValidationError
from ..wire.request import Request
from . import batch
from .exchange import Opened
from .habit import NOT_SERVED, Habits
from .protocol import BatchResult, ObjectStore

MAX_KEYS = 1000
_NOT_FOR_XML = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


async def delete_many(
    store: Deleting, keys: Iterable[str] | AsyncIterable[str], *, concurrency: int = MAX_KEYS
) -> BatchResult:
    """As `batch.delete_many`, up to a thousand keys in one request where the server takes that."""
    if concurrency < 1:
        raise ValidationError("concurrency is at least 1.", hint="Leave it out for the default.")
    return await _BulkDelete(store).run(keys, concurrency)


class Deleting(Opened, ObjectStore, Protocol):
    """An adapter of S3 that remembers whether its server takes DeleteObjects."""

    @property
    def habits(self) -> Habits: ...


class _BulkDelete:
    """One call of `delete_many`."""

    def __init__(self, store: Deleting) -> None:
        self._store = store
        self._exchange = store.exchange
        self._habits = store.habits
        self._prefix = store.prefix
        self._succeeded = 0
        self._failed: dict[str, Exception] = {}

    async def run(self, keys: Iterable[str] | AsyncIterable[str], concurrency: int) -> BatchResult:
        """Delete; never more than `concurrency` keys are taken and not yet answered for."""
        size = min(MAX_KEYS, concurrency)
        await batch.each(_groups(keys, size), self._delete, lambda group: group[0], concurrency // size)
        return BatchResult(self._succeeded, self._failed)

    async def _delete(self, group: list[str]) -> None:
        single = [key for key in group if not self._habits.takes_delete_objects or not key or _NOT_FOR_XML.search(key)]
        together = sorted(set(group) - set(single))
        if together:
            single += await self._delete_together(together)
        result = await batch.delete_many(self._store, single)
        self._succeeded += result.succeeded + len(group) - len(single)
        self._failed |= result.failed

    async def _delete_together(self, keys: list[str]) -> list[str]:
        """Returns the keys that are to be tried one by one, which also tells their errors exactly."""
        request = Request(operation="delete_objects", keys=[self._prefix + key for key in keys])
        try:
            answer = await self._exchange.send(request, await self._exchange.lanes.bulk_lane())
        except (StoreError, UnsupportedError) as exc:
            if isinstance(exc, StoreError) and exc.status not in NOT_SERVED:
                self._failed |= dict.fromkeys(keys, exc)
                self._succeeded -= len(keys)
                return []
            self._habits.takes_delete_objects = False
            return keys
        except DDAOError as exc:
            self._failed |= dict.fromkeys(keys, exc)
            self._succeeded -= len(keys)
            return []
        return [key.removeprefix(self._prefix) for key in answer.undeleted or {}]


async def _groups(keys: Iterable[str] | AsyncIterable[str], size: int) -> AsyncIterator[list[str]]:
    group: list[str] = []
    if isinstance(keys, Iterable):
        for key in keys:
            group.append(key)
            if len(group) == size:
                yield group
                group = []
    else:
        async for key in keys:
            group.append(key)
            if len(group) == size:
                yield group
                group = []
    if group:
        yield group
