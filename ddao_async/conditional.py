"""
One conditional write until it is answered, and the attempt that it belongs to (protocol.md, sections 2 and 3).

The store repeats what may be repeated within its deadline. What is still unanswered then is repeated here for a while,
the very same bytes: as long as nobody answers, it may yet take effect, and only a refusal or a success ends that. A
creating PUT of a document is not repeated by anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import msgspec

from .engine import Engine
from .errors import ConflictError, StoreError, StoreUnavailableError, UnknownOutcomeError
from .model.body import encode
from .model.document import Document
from .model.keys import object_key
from .state import Copy, TableLayout

T = TypeVar("T")

JSON = "application/json"


class Outcome(msgspec.Struct, frozen=True):
    """
    What became of a conditional write.

    Attributes:
        etag: Of what was written; empty for a delete; None: not written, as far as the answers tell.
        lost: An answer was lost on the way: a refusal may be the work of the very same request.
        may_land: Never answered and not to be repeated: it may take effect at any later time.
    """

    etag: str | None
    lost: bool = False
    may_land: bool = False

    @property
    def done(self) -> bool:
        return self.etag is not None


DONE = Outcome("")
REFUSED = Outcome(None)


class Attempt:
    """
    One attempt to write documents of one table: the copy of `_state.json` it goes by, and when it began.

    Make one with `begin`.
    """

    __slots__ = ("_engine", "began", "copy", "table")

    def __init__(self, engine: Engine, table: TableLayout, copy: Copy, began: float) -> None:
        self._engine = engine
        self.table = table
        self.copy = copy
        self.began = began

    async def may_send(self) -> bool:
        """Right before a document is sent: is the copy's plan still right, and the attempt younger than an hour?"""
        engine = self._engine
        copy = await engine.states.copy(self.table)
        if engine.monotonic() - self.began + engine.deadline > engine.settings.hour:
            return False
        if copy is not self.copy:
            if copy.builds != self.copy.builds:
                return False
            self.copy = copy
        return True

    async def bounded(self, call: Awaitable[T]) -> T:
        """Await a call of the store, cut off in time where its repetitions would outlive the copy."""
        left = self._engine.states.remaining(self.copy)
        if left is None:
            return await call
        try:
            async with asyncio.timeout(left):
                return await call
        except TimeoutError as exc:
            raise UnknownOutcomeError(
                "A write was cut off before the copy of the table's state that it went by grew too old.",
                operation="put",
                hint="Read the document to see whether it was written.",
            ) from exc


async def begin(engine: Engine, table: TableLayout) -> Attempt:
    """
    Start an attempt, with a young copy of the table's state.

    Raises:
        UnsupportedError: The table has unique columns and the server enforces no conditions.
    """
    began = engine.monotonic()
    copy = await engine.states.copy(table)
    if True in copy.indexes.values():
        engine.require_conditional_put(f"A unique column of table {table.name!r}")
    return Attempt(engine, table, copy, began)


def headers(engine: Engine, table: str, id: str) -> dict[str, str]:
    """Metadata of a document's object (layout.md). A header cannot carry every id; then it is left out."""
    metadata = {"ddao-type": "object", "ddao-table": table, "ddao-timestamp": engine.second()}
    if id.isascii() and id.isprintable():
        metadata["ddao-id"] = id
    return metadata


async def put_document(
    engine: Engine, table: str, document: Document, etag: str | None, attempt: Attempt | None = None
) -> Outcome:
    """
    Put a body over the etag given (None: where there is no key), repeated while it is not answered.

    Only for bodies that do no harm however late they are created: with etag None, for `absent` ones alone.

    Args:
        attempt: Checked before each sending, where the body shows a value to indexes.
    """
    key, metadata = object_key(table, document.id), headers(engine, table, document.id)
    return await put(engine, key, encode(document), etag, attempt=attempt, metadata=metadata)


async def create_once(engine: Engine, document: Document, attempt: Attempt) -> Outcome:
    """Create a document's key by a request that is sent once: its twin could bring back what was deleted meanwhile."""
    table = attempt.table.name
    if not await attempt.may_send():
        return REFUSED
    key, metadata = object_key(table, document.id), headers(engine, table, document.id)
    call = engine.store.put(key, encode(document), if_none_match=True, metadata=metadata, content_type=JSON)
    try:
        info = await attempt.bounded(call)
    except ConflictError:
        return REFUSED
    except UnknownOutcomeError:
        return Outcome(None, lost=True)
    return Outcome(info.etag)


async def put(
    engine: Engine,
    key: str,
    data: bytes,
    etag: str | None,
    *,
    attempt: Attempt | None = None,
    metadata: dict[str, str] | None = None,
) -> Outcome:
    """Put bytes over the etag given (None: where there is no key), repeated while it is not answered."""

    async def send() -> Outcome | None:
        if attempt is not None and not await attempt.may_send():
            return None
        call = engine.store.put(
            key, data, if_none_match=etag is None, if_match=etag, metadata=metadata, content_type=JSON
        )
        return Outcome((await (attempt.bounded(call) if attempt else call)).etag)

    return await _repeated(engine, send)


async def delete(engine: Engine, key: str, etag: str) -> Outcome:
    """Delete a key that has this etag, repeated while it is not answered. Needs conditional deletes."""

    async def send() -> Outcome:
        await engine.store.delete(key, if_match=etag)
        return DONE

    return await _repeated(engine, send)


async def _repeated(engine: Engine, send: Callable[[], Awaitable[Outcome | None]]) -> Outcome:
    """Send until answered, or for `repeat_for` seconds; None from `send` means that it may not be sent any more."""
    lost, number, until = False, 0, 0.0
    while True:
        try:
            outcome = await send()
            if outcome is None:
                return Outcome(None, lost, may_land=lost)
            return Outcome(outcome.etag, lost)
        except ConflictError:
            return Outcome(None, lost)
        except UnknownOutcomeError as exc:
            if exc.status is not None:
                return Outcome(None, lost=True)
            until = until if lost else engine.monotonic() + engine.settings.repeat_for
            lost = True
        except StoreError:
            # This call took no effect. One before, that nobody answered, still may.
            if not lost:
                raise
        if engine.monotonic() >= until:
            return Outcome(None, lost=True, may_land=True)
        number += 1
        await engine.pause(number)


async def all_of(calls: Sequence[Awaitable[T]]) -> list[T]:
    """
    Await several requests of one step at once.

    All of them come to their end, however one fails: nothing of the step is under way when the next begins.

    Raises:
        The first error, in the order of the calls.
    """
    if not calls:
        return []
    if len(calls) == 1:
        return [await calls[0]]
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)


def unanswered(what: str, key: str) -> StoreUnavailableError:
    """The error of an operation that failed because something it needed before its own write was never answered."""
    return StoreUnavailableError(
        f"{what} {key!r} was never answered; the operation it belongs to was not done.",
        operation="put",
        key=key,
        hint="Try again when the store answers.",
    )
