"""
FaultyStore: an `ObjectStore` that fails as it is told.

What the caller sees obeys `storage.protocol`, as S3Adapter does: losses are repeated where a repetition is safe, until
`deadline`, and come out as `UnknownOutcomeError` where it is not; refusals for lack of capacity are repeated too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self, TypeVar

import msgspec

from ..errors import (
    AlreadyExistsError,
    ConflictError,
    ConnectionTimeoutError,
    NotFoundError,
    StoreUnavailableError,
    ThrottledError,
    UnknownOutcomeError,
    UnsupportedError,
)
from ..storage.protocol import Capabilities, ListPage, ObjectInfo, ObjectStore, StoredObject
from .fault import Answer, Attempt, Crash, Crashed, Failed, Fate, Faults, Lost, Operation, Refused

T = TypeVar("T")
READS = frozenset(("get", "head", "list"))


class Twin(msgspec.Struct, frozen=True):
    """A request on its way: what it asks, and how to apply it."""

    attempt: Attempt
    apply: Callable[[], Awaitable[Any]]


class FaultyStore:
    """
    An `ObjectStore` around another that fails as it is told.

    Args:
        store: Keeps the bytes. Several FaultyStores around one store are several clients of one bucket.
        faults: Asked before every request; `Script`, `RandomFaults` or any async function from `Attempt` to a fate.
        capabilities: What this server claims and enforces; default: what `store` says. Without conditional_delete, a
            delete with `if_match` is an UnsupportedError, as on S3.
        deadline: Seconds after which a call stops repeating a request (default 30, as S3Adapter's).
        grace: Seconds after which a request on its way is dead (default 900, as S3's signatures).
        max_attempts: Attempts of one call (default 8).
        page_size: The most keys in one answer to a list (default 1,000).
    """

    def __init__(
        self,
        store: ObjectStore,
        faults: Faults,
        *,
        capabilities: Capabilities | None = None,
        deadline: float = 30.0,
        grace: float = 900.0,
        max_attempts: int = 8,
        page_size: int = 1000,
    ) -> None:
        self.clock: Callable[[], float] = getattr(store, "clock", time.time)
        self.capabilities: Capabilities = capabilities or getattr(store, "capabilities", Capabilities())
        self.deadline = deadline
        self.grace = grace
        self.twins: list[Twin] = []
        """Requests without an answer that may still take effect, oldest first."""
        self.has_crashed = False
        self._store = store
        self._faults = faults
        self._max_attempts = max_attempts
        self._page_size = page_size

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the store inside, if it can be closed."""
        if close := getattr(self._store, "close", None):
            await close()

    async def check(self) -> None:
        """Is the bucket there? Asked of the store inside, without faults."""
        if check := getattr(self._store, "check", None):
            await check()

    async def land(self, twin: Twin | None = None) -> bool:
        """
        Let a request that was on its way arrive: this one, or the oldest; each lands once at most.

        Returns:
            True if it took effect; False if it was refused, too old, or there is none.
        """
        if twin is None and not self.twins:
            return False
        twin = twin or self.twins[0]
        self.twins.remove(twin)
        if self.clock() - twin.attempt.began > self.deadline + self.grace:
            return False
        return await self._applied(twin.apply)

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
        def apply() -> Awaitable[ObjectInfo]:
            return self._store.put(
                key,
                data,
                if_none_match=if_none_match,
                if_match=if_match,
                metadata=metadata,
                content_type=content_type,
            )

        return await self._send(apply, "put", key, data, if_none_match, if_match)

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None:
        return await self._send(lambda: self._store.get(key, if_none_match=if_none_match, range=range), "get", key)

    async def head(self, key: str) -> ObjectInfo:
        return await self._send(lambda: self._store.head(key), "head", key)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        if if_match is not None and self.capabilities.conditional_delete is False:
            raise UnsupportedError(f"Cannot delete {key!r} on a condition here.", hint="See `capabilities`.")
        await self._send(lambda: self._store.delete(key, if_match=if_match), "delete", key, if_match=if_match)

    async def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]:
        count = 0
        if limit is not None and limit <= 0:
            return
        async for page in self.list_pages(prefix, start_after=start_after):
            for info in page.objects:
                yield info
                count += 1
                if count == limit:
                    return

    async def list_pages(
        self, prefix: str = "", *, page_size: int = 1000, delimiter: str | None = None, start_after: str | None = None
    ) -> AsyncIterator[ListPage]:
        size = min(page_size, self._page_size)
        last = start_after

        async def first_page() -> ListPage:
            pages = self._store.list_pages(prefix, page_size=size, delimiter=delimiter, start_after=last)
            async for page in pages:
                return page
            return ListPage([])

        while True:
            page = await self._send(first_page, "list", prefix)
            if page.objects or page.prefixes:
                yield page
            if len(page.objects) + len(page.prefixes) < size:
                return
            ends = [info.key for info in page.objects[-1:]] + [rolled + "\U0010ffff" for rolled in page.prefixes[-1:]]
            last = max(ends)

    async def _send(
        self,
        apply: Callable[[], Awaitable[T]],
        operation: Operation,
        key: str,
        data: bytes = b"",
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> T:
        """Attempt until one is answered for good, by the outcomes of `storage.protocol`."""
        began, number, unanswered = self.clock(), 0, False
        # A create, or a delete without condition, that landed late could undo what others did since.
        is_once = if_none_match or (operation == "delete" and if_match is None)
        while True:
            number += 1
            self._check_alive()
            attempt = Attempt(
                operation=operation,
                key=key,
                number=number,
                began=began,
                data=data,
                if_none_match=if_none_match,
                if_match=if_match,
            )
            fate = await self._faults(attempt)
            self._check_alive()
            match fate:
                case Answer(late):
                    return await self._answered(apply, operation, key, late, unanswered)
                case Failed(error):
                    raise error
                case Lost(applied, twin) | Crash(applied, twin):
                    if applied:
                        await self._applied(apply)
                    elif twin and operation not in READS:
                        self.twins.append(Twin(attempt, apply))
                    if isinstance(fate, Crash):
                        self.has_crashed = True
                        self._check_alive()
                    unanswered = unanswered or operation not in READS
                case Refused():
                    pass
            is_late = number >= self._max_attempts or self.clock() - began >= self.deadline
            if is_late or (is_once and unanswered):
                raise _failure(fate, operation, key, unanswered)

    def _check_alive(self) -> None:
        if self.has_crashed:
            raise Crashed("This client is dead.")

    async def _answered(
        self, apply: Callable[[], Awaitable[T]], operation: Operation, key: str, late: float, unanswered: bool
    ) -> T:
        try:
            return await apply()
        except ConflictError as refusal:
            if not unanswered:
                raise
            # The attempt before may be the very reason for the refusal.
            raise UnknownOutcomeError(
                f"A {operation} of {key!r} was not answered, and refused when repeated.",
                operation=operation,
                key=key,
                status=412 if await self._exists(key) else 404,
                hint="Read the object to see what it holds.",
            ) from refusal
        finally:
            if late:
                await asyncio.sleep(late)
                self._check_alive()

    async def _applied(self, apply: Callable[[], Awaitable[object]]) -> bool:
        """Apply a request whose answer nobody hears."""
        try:
            await apply()
        except (AlreadyExistsError, ConflictError, NotFoundError):
            return False
        return True

    async def _exists(self, key: str) -> bool:
        try:
            await self._store.head(key)
        except NotFoundError:
            return False
        return True


def _failure(fate: Fate, operation: Operation, key: str, unanswered: bool) -> Exception:
    """What a call ends with that may not, or cannot in time, be repeated."""
    if unanswered:
        return UnknownOutcomeError(
            f"A {operation} of {key!r} was not answered.",
            operation=operation,
            key=key,
            hint="Read the object to see what it holds.",
        )
    if isinstance(fate, Refused) and fate.status == 409:
        return StoreUnavailableError(
            f"Conditional writes of {key!r} kept colliding.",
            operation=operation,
            key=key,
            status=409,
            hint="Try again.",
        )
    if isinstance(fate, Refused):
        return ThrottledError(
            f"The server had no capacity for {operation} {key!r}.",
            operation=operation,
            key=key,
            status=fate.status,
            hint="Try again later.",
        )
    return ConnectionTimeoutError(
        f"No answer to {operation} {key!r} in time.", operation=operation, key=key, hint="Try again."
    )
