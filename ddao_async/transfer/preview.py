"""
What an import would do, found out by reading its sources and nothing else: no document is read, nothing is written.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Unpack

import msgspec

from ..errors import ValidationError
from ..model.record import Record
from .imports import table_for
from .options import ImportOptions, checked
from .row import Reject, Row
from .source import sources_of
from .target import Reading, Tables, Target, stored_table, table_name


class ImportPreview(msgspec.Struct):
    """
    What an import would do.

    Attributes:
        rows: That would be written, if no id and no unique value is taken.
        rejected: Rows that cannot be taken whatever the table holds.
        bytes_read: Of the sources.
        created_columns: Name to type of the columns, if the import would create the table.
        requests: By kind, for the rows; a handful more look at the table, or create it, and keep the journal. A row
            whose id exists costs 1 get more with `replace`.
    """

    table: str
    rows: int = 0
    rejected: int = 0
    bytes_read: int = 0
    created_columns: dict[str, str] | None = None
    requests: dict[str, int] = msgspec.field(default_factory=dict[str, int])


async def preview_import(
    db: Tables, kind: type[Record] | str, source: object, **given: Unpack[ImportOptions]
) -> ImportPreview:
    """As `Database.preview_import`."""
    options = checked(given)
    preview = ImportPreview(table_name(kind))
    async with AsyncExitStack() as exits:
        readings = [Reading(each, exits) for each in sources_of(source, format=options.format)]
        table = await stored_table(db, preview.table)
        if table is None:
            table = await table_for(kind, options.key, readings)
            if table is None:
                return preview
            preview.created_columns = {column.name: column.type for column in table.columns}
        target = Target(kind, table, options.key)
        puts = 0
        for reading in readings:
            while (batch := await reading.next()) is not None:
                for row in batch:
                    found = _requests(target, row, is_text=reading.source.is_text)
                    if isinstance(found, int):
                        puts += found
                        preview.rows += 1
                        continue
                    preview.rejected += 1
                    if options.on_reject is not None:
                        several = len(readings) > 1
                        options.on_reject(
                            msgspec.structs.replace(found, file=reading.source.name) if several else found
                        )
                preview.bytes_read = sum(each.bytes_read for each in readings)
                preview.requests = {"put": puts}
                if options.on_progress is not None:
                    options.on_progress(preview)
    return preview


def _requests(target: Target, row: Row | Reject, *, is_text: bool) -> int | Reject:
    """How many writes a row takes: its document, its entries and its claims. A null has no claim."""
    if isinstance(row, Reject):
        return row
    id: str | None = None  # noqa: A001
    try:
        id = target.id_of(row)  # noqa: A001
        fields = msgspec.json.decode(target.fields_of(row, id or "new", is_text=is_text))
    except ValidationError as error:
        return Reject(row.line, str(error), id)
    indexes = target.table.indexed
    return 1 + sum(
        not index.unique or all(fields.get(column) is not None for column in index.columns) for index in indexes
    )
