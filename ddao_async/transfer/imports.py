"""
Import: rows from a source into a table, many at once, in memory that does not grow with the file.

    source ─► reader ─► rows ─► (queue) ─► workers ─► repository
                          │                   │
                          └── rejects ◄───────┘   each with its line and reason, handed out as they happen

A row that cannot be taken never stops the others. A store that fails does: nothing says that the next row would fare
better. Rows of one id are written in the order of the file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal, cast

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ..database import Database
from ..errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConflictError,
    CorruptDocumentError,
    SchemaError,
    UniqueViolationError,
    UnknownOutcomeError,
    ValidationError,
)
from ..model.record import LeftOut, Object
from ..model.schema import Column, Schema, Table
from .inference import Inference
from .literal import literal
from .row import Reject, Row
from .source import Source

OnConflict = Literal["error", "skip", "replace"]

SAMPLE_ROWS = 1000
"""Rows that a table without a schema is judged by where the source can be read only once."""

_Batches = AsyncGenerator[list[Row | Reject], None]


class ImportReport(msgspec.Struct):
    """
    What an import did, so far or in the end: counts of rows, and bytes of the source that were read.

    `created_columns`: name to type of the columns, if the import created the table.
    """

    table: str
    inserted: int = 0
    replaced: int = 0
    skipped: int = 0
    rejected: int = 0
    bytes_read: int = 0
    created_columns: dict[str, str] | None = None

    @property
    def rows(self) -> int:
        """All rows that were dealt with."""
        return self.inserted + self.replaced + self.skipped + self.rejected


async def import_records(
    db: Database,
    table: str,
    source: Source,
    *,
    key: str | None = None,
    on_conflict: OnConflict = "error",
    concurrency: int = 64,
    on_reject: Callable[[Reject], None] | None = None,
    on_progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """
    Write every row of the source as a document of the table, which is created from the data if it is not there.

    Args:
        key: The field whose value is the document's id; it stays in the document. Without it, the field `id` is, and
            rows that have none get a new UUIDv7.
        on_conflict: What a row does whose id exists: it is rejected, skipped, or replaces the document.
        concurrency: The most rows being written at one time.
        on_reject: Told of each row that was not taken, as it happens.
        on_progress: Told the report so far, after each chunk of the source.

    Returns:
        The final counts. A report with `rejected` above 0 is no error here.

    Raises:
        ConfigurationError: `concurrency` or `on_conflict` is none.
        ValidationError: The source is not of its format at all, or no row has the key.
        StoreError: The store failed; rows before that are written.
    """
    if concurrency < 1 or on_conflict not in ("error", "skip", "replace"):
        raise ConfigurationError(
            f"concurrency={concurrency!r}, on_conflict={on_conflict!r} cannot be.",
            hint="Use a concurrency of at least 1, and error, skip or replace.",
        )
    job = _Import(db, table, key, on_conflict, on_reject)
    async with aclosing(source.batches(job.count_bytes)) as batches:
        seen = await job.prepare(source, batches)
        try:
            await job.run(seen, batches, concurrency, on_progress)
        except BaseExceptionGroup as group:
            raise _first(cast(Any, group)) from None
    return job.report


class _Import:
    """One import under way: the table, the counts, and which ids are being written."""

    def __init__(
        self,
        db: Database,
        table: str,
        key: str | None,
        on_conflict: OnConflict,
        on_reject: Callable[[Reject], None] | None,
    ) -> None:
        self.report = ImportReport(table)
        self._db = db
        self._repository = db.repository(table)
        self._key = key
        self._on_conflict = on_conflict
        self._on_reject = on_reject
        self._columns: dict[str, Column] = {}
        self._is_text = False  # the source's values are text, to be read by the columns' types
        self._in_flight: dict[str, anyio.Event] = {}

    def count_bytes(self, count: int) -> None:
        self.report.bytes_read += count

    # ---- the table

    async def prepare(self, source: Source, batches: _Batches) -> deque[list[Row | Reject]]:
        """Learn the table's columns, or create it. Gives back the batches that had to be read for that."""
        self._is_text = source.format == "csv"
        seen: deque[list[Row | Reject]] = deque()
        try:
            table = await self._db.table(self.report.table)
        except SchemaError:  # it was never created
            table = await self._create(source, batches, seen)
        self._columns = {column.name: column for column in table.columns}
        return seen

    async def _create(self, source: Source, batches: _Batches, seen: deque[list[Row | Reject]]) -> Table:
        inference = Inference(is_text=self._is_text)
        rows = 0
        if source.is_repeatable:
            async with aclosing(source.batches()) as whole:
                async for batch in whole:
                    rows += _observe(inference, batch)
        else:
            async for batch in batches:
                seen.append(batch)
                rows += _observe(inference, batch)
                if rows >= SAMPLE_ROWS:
                    break
        types = inference.columns()
        types.pop("id", None)
        if self._key is not None and self._key != "id" and rows and self._key not in types:
            raise ValidationError(f"No row has the field {self._key!r}.", hint=f"There are: {', '.join(types)}.")
        if not rows:
            return Table(self.report.table, columns=[])
        table = Table(self.report.table, columns=[Column(name, kind, nullable=True) for name, kind in types.items()])
        await self._db.create_tables(Schema.of(table))
        self.report.created_columns = types
        return table

    # ---- the rows

    async def run(
        self,
        seen: deque[list[Row | Reject]],
        batches: _Batches,
        concurrency: int,
        on_progress: Callable[[ImportReport], None] | None,
    ) -> None:
        send, receive = anyio.create_memory_object_stream[Row](concurrency)
        async with receive, anyio.create_task_group() as group:
            for _ in range(concurrency):
                group.start_soon(self._work, receive)
            async with send:
                while seen:
                    await self._hand_out(seen.popleft(), send)
                async for batch in batches:
                    await self._hand_out(batch, send)
                    if on_progress is not None:
                        on_progress(self.report)

    async def _hand_out(self, batch: list[Row | Reject], send: MemoryObjectSendStream[Row]) -> None:
        for item in batch:
            if isinstance(item, Reject):
                self._reject(item)
            else:
                await send.send(item)

    async def _work(self, rows: MemoryObjectReceiveStream[Row]) -> None:
        async for row in rows:
            name: str | None = None
            try:
                name = self._id(row)
                await self._in_turn(name, self._document(row, name))
            except UnknownOutcomeError as error:
                self._reject(Reject(row.line, f"may have been written or not: {error}", name))
            except (ValidationError, ConflictError, CorruptDocumentError) as error:
                self._reject(Reject(row.line, str(error), name))

    async def _in_turn(self, id: str | None, document: Object) -> None:
        """Write the document once every earlier row of the same id is written."""
        if id is None:
            await self._write(document)
            return
        while (earlier := self._in_flight.get(id)) is not None:
            await earlier.wait()
        mine = self._in_flight[id] = anyio.Event()
        try:
            await self._write(document)
        finally:
            del self._in_flight[id]
            mine.set()

    async def _write(self, document: Object) -> None:
        if self._on_conflict == "replace" and not isinstance(document.id, LeftOut):
            if await self._repository.upsert(document):
                self.report.inserted += 1
            else:
                self.report.replaced += 1
            return
        try:
            await self._repository.insert(document)
        except UniqueViolationError:
            raise
        except AlreadyExistsError:
            if self._on_conflict == "error":
                raise
            self.report.skipped += 1
        else:
            self.report.inserted += 1

    def _reject(self, reject: Reject) -> None:
        self.report.rejected += 1
        if self._on_reject is not None:
            self._on_reject(reject)

    def _document(self, row: Row, id: str | None) -> Object:
        fields = dict(row.fields)
        if fields.pop("id", id) != id and self._key not in (None, "id"):
            raise ValidationError(f"The row has an 'id' besides its key {self._key!r}.", hint="Rename that field.")
        if self._is_text:
            fields = {name: self._value(name, text) for name, text in fields.items()}
        if id is None:
            return Object(self.report.table, fields=fields)
        return Object(self.report.table, id, fields)

    def _id(self, row: Row) -> str | None:
        value = row.fields.get(self._key or "id")
        if value is None or value == "":
            if self._key is not None:
                raise ValidationError(f"The key {self._key!r} is missing or empty.", hint="Every row needs one.")
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValidationError(f"The id {value!r} is neither text nor an integer.", hint="Use another --key.")
        return str(value)

    def _value(self, name: str, text: str) -> Any:
        column = self._columns.get(name)
        if column is None:
            return text
        if text == "" and (column.nullable or column.type != "text"):
            return None
        try:
            return literal(column.type, text)
        except ValidationError as error:
            raise ValidationError(f"Column {name!r}: {error.message}", hint=error.hint) from error


def _observe(inference: Inference, batch: list[Row | Reject]) -> int:
    rows = [item for item in batch if isinstance(item, Row)]
    for row in rows:
        inference.observe(row.fields)
    return len(rows)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    first = group.exceptions[0]
    return _first(cast(Any, first)) if isinstance(first, BaseExceptionGroup) else first
