"""
The table that rows go into: what its columns are, or become, and how a row is a document of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Protocol, cast

import msgspec

from ..documents import Documents
from ..engine import Engine
from ..errors import SchemaError, ValidationError
from ..model.annotation import table_of
from ..model.codec import ObjectCodec, RecordCodec
from ..model.keys import check_id
from ..model.record import Object, Record
from ..model.schema import Column, Schema, Table
from .inference import Inference
from .literal import literal
from .row import Reject, Row
from .source import Rows, Source

SAMPLE_ROWS = 1000
"""Rows that a table without a schema is judged by where the source can be read only once."""


class Tables(Protocol):
    """What an import needs of a database."""

    @property
    def engine(self) -> Engine: ...

    async def table(self, name: str) -> Table: ...

    async def create_tables(self, schema: Schema | None = None) -> Schema: ...

    async def source(self, kind: type[Record] | str) -> tuple[Documents, Table]: ...


class Reading:
    """One source being read, some of its rows perhaps ahead of time. Close it by its `exits`."""

    def __init__(self, source: Source, exits: AsyncExitStack) -> None:
        self.source = source
        self.bytes_read = 0
        self._exits = exits
        self._seen: deque[list[Row | Reject]] = deque()
        self._batches: Rows | None = None

    def _count(self, count: int) -> None:
        self.bytes_read += count

    async def next(self) -> list[Row | Reject] | None:
        """The next rows; None: there are no more."""
        if self._seen:
            return self._seen.popleft()
        if self._batches is None:
            self._batches = await self._exits.enter_async_context(aclosing(self.source.batches(self._count)))
        return await anext(self._batches, None)

    async def peek(self, inference: Inference) -> int:
        """Show some rows to the inference and keep them. How many there were."""
        rows, seen = 0, list[list[Row | Reject]]()
        while rows < SAMPLE_ROWS and (batch := await self.next()) is not None:
            seen.append(batch)
            rows += observed(inference, batch)
        self._seen.extend(seen)
        return rows


def observed(inference: Inference, batch: Sequence[Row | Reject]) -> int:
    """Show the rows to the inference. How many there were."""
    rows = [item for item in batch if isinstance(item, Row)]
    for row in rows:
        inference.observe(row.fields)
    return len(rows)


async def inferred(table: str, key: str | None, readings: Sequence[Reading]) -> Table | None:
    """
    The table that the rows need; None: there are no rows.

    Raises:
        ValidationError: No row has the key.
    """
    inference = Inference(is_text=all(reading.source.is_text for reading in readings))
    rows = 0
    for reading in readings:
        if not reading.source.is_repeatable:
            rows += await reading.peek(inference)
            continue
        async with aclosing(reading.source.batches()) as whole:
            async for batch in whole:
                rows += observed(inference, batch)
    types = inference.columns()
    types.pop("id", None)
    if key is not None and key != "id" and rows and key not in types:
        raise ValidationError(f"No row has the field {key!r}.", hint=f"There are: {', '.join(types)}.")
    if not rows:
        return None
    return Table(table, columns=[Column(name, kind, nullable=True) for name, kind in types.items()])


async def stored_table(db: Tables, name: str) -> Table | None:
    """The table as the bucket holds it; None: it was never created."""
    try:
        return await db.table(name)
    except SchemaError:
        return None


class Target:
    """
    A table, and how rows become documents of it.

    Args:
        kind: A record class, or the name of a table.
        table: What is known of the table.
        key: The field whose value is the id; it stays in the document. None: the field `id`, if a row has it.
    """

    def __init__(self, kind: type[Record] | str, table: Table, key: str | None) -> None:
        self.name = table.name
        self.table = table
        self._kind = kind
        self._key = key
        self._columns = {column.name: column for column in table.columns}
        self._objects = ObjectCodec(table)
        self._records: RecordCodec[Any] | None = None if isinstance(kind, str) else RecordCodec(kind)
        self._id_name = "id"
        if not isinstance(kind, str):
            names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
            self._id_name = names["id"]

    def id_of(self, row: Row) -> str | None:
        """
        The id that a row brings; None: it brings none.

        Raises:
            ValidationError: It cannot be one, or the row lacks the key.
        """
        value = row.fields.get(self._key or "id")
        if value is None or value == "":
            if self._key is not None:
                raise ValidationError(f"The key {self._key!r} is missing or empty.", hint="Every row needs one.")
            return None
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValidationError(f"The id {value!r} is neither text nor an integer.", hint="Use another key.")
        return check_id(str(value))

    def fields_of(self, row: Row, id: str, *, is_text: bool) -> bytes:
        """
        The fields of a row's document, as they are stored.

        Args:
            is_text: All values are text, to be read by the columns' types.

        Raises:
            ValidationError: One does not fit.
        """
        fields = dict(row.fields)
        if self._key not in (None, "id") and fields.get("id") not in (None, "", id):
            raise ValidationError(f"The row has an 'id' besides its key {self._key!r}.", hint="Rename that field.")
        fields.pop("id", None)
        if is_text:
            fields = {name: self._value(name, text) for name, text in fields.items()}
        if self._records is None:
            return self._objects.encode(Object(self.name, id, fields))
        fields[self._id_name] = id
        try:
            record = msgspec.convert(fields, cast("type[Record]", self._kind))
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            raise ValidationError(f"{self.name}: {error}.", hint="Nothing was written; correct the value.") from error
        return self._records.encode(record)

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


def table_name(kind: type[Record] | str) -> str:
    """The name of the table."""
    return kind if isinstance(kind, str) else table_of(kind).name
