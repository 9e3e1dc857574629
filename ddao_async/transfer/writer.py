"""
Writes one row's document, once, however often it has to be tried: by this run, or by the one that was killed.

    insert ──► written
      ├─ exists: mine by its mark? ──► done before        (identity)
      │            else: error, skip, or replace
      └─ no answer, no capacity: wait, and insert again: what landed meanwhile has my mark
"""

from __future__ import annotations

from ..documents import Documents
from ..errors import AlreadyExistsError, StoreError, ThrottledError, UniqueViolationError, UnknownOutcomeError
from ..model.body import chain
from ..model.document import Document
from .identity import Marker
from .options import OnConflict
from .watermark import Outcome

PATIENCE = 120.0
"""Seconds that one row is tried again while the store has no capacity, or does not answer."""

LONGEST_PAUSE = 5.0


class _DoneBeforeError(Exception):
    """The document in place has this row, or a later one of its id."""


class Writer:
    """
    Writes rows of one import.

    Args:
        documents: Of the table.
        marker: The marks of this run.
        on_conflict: What a row does whose id exists.

    Attributes:
        met: Rows that an earlier run had written.
        gate: What each write goes through.
    """

    def __init__(self, documents: Documents, marker: Marker, on_conflict: OnConflict) -> None:
        self.met = 0
        self._documents = documents
        self._marker = marker
        self._on_conflict = on_conflict
        self.gate = documents.engine.gate

    def clock(self) -> float:
        """The store's time, in seconds since 1970."""
        return self._documents.engine.clock()

    async def write(self, id: str, fields: bytes, file: int, row: int) -> Outcome:
        """
        Write a document, or find that it was written.

        Raises:
            AlreadyExistsError: There is another of this id; UniqueViolationError: one with a unique value of it.
            StoreError: The store failed, or did not recover in time.
        """
        engine, gate = self._documents.engine, self.gate
        until, attempt = 0.0, 0
        while True:
            await gate.enter()
            began: float | None = gate.clock()
            try:
                return await self._attempt(id, fields, file, row, is_repeated=attempt > 0)
            except StoreError as error:
                began = None
                if isinstance(error, ThrottledError):
                    gate.refused()
                now = engine.monotonic()
                until = until or now + PATIENCE
                if now >= until or not (error.retryable or isinstance(error, UnknownOutcomeError)):
                    raise
            finally:
                gate.leave(began)
            attempt += 1
            await engine.pause(attempt, longest=LONGEST_PAUSE)

    async def _attempt(self, id: str, fields: bytes, file: int, row: int, *, is_repeated: bool) -> Outcome:
        if self._on_conflict == "replace":
            return await self._replace(id, fields, file, row, is_repeated=is_repeated)
        try:
            await self._documents.insert(id, fields, mark=self._marker.mark(file, row))
        except UniqueViolationError:
            raise
        except AlreadyExistsError:
            if (is_repeated or self._marker.is_resumed) and await self._is_mine(id, file, row):
                self.met += not is_repeated
                return "inserted"
            if self._on_conflict == "error":
                raise
            return "skipped"
        return "inserted"

    async def _is_mine(self, id: str, file: int, row: int) -> bool:
        held = await self._documents.read(id)
        return self._marker.has_written(chain(held), file, row)

    async def _replace(self, id: str, fields: bytes, file: int, row: int, *, is_repeated: bool) -> Outcome:
        mark = self._marker.mark(file, row)
        found: tuple[str, ...] = ()

        def fields_for(held: Document | None) -> bytes:
            nonlocal found
            if held is not None:
                found = (held.revision or "", *held.past)
                if self._marker.has_passed(found, file, row):
                    raise _DoneBeforeError
            return fields

        try:
            return "inserted" if await self._documents.upsert(id, fields_for, mark=mark) else "replaced"
        except _DoneBeforeError:
            self.met += not is_repeated
            return "inserted" if self._marker.has_written(found[-1:], file, row) else "replaced"
