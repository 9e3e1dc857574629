"""
Export: the documents of a table as JSON lines, one after the other, in memory that does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ..database import Database
from ..model.record import Object

BATCH_BYTES = 64 * 1024
"""What is gathered before it is written: a system call for each document would take most of the time."""


class ExportReport(msgspec.Struct):
    """What an export did, so far or in the end. `problems`: keys that hold no document, and why."""

    table: str
    exported: int = 0
    bytes_written: int = 0
    problems: dict[str, str] = msgspec.field(default_factory=dict[str, str])


def plain(document: Object) -> dict[str, Any]:
    """The fields with the id among them, first; a field `id` of the document's own gives way."""
    return {"id": document.id} | {name: value for name, value in document.fields.items() if name != "id"}


async def export_records(
    db: Database,
    table: str,
    write: Callable[[bytes], Awaitable[object]],
    *,
    on_progress: Callable[[ExportReport], None] | None = None,
) -> ExportReport:
    """
    Write every document of the table as a line of JSON, in no particular order.

    Args:
        write: Takes the bytes, some 64 KiB at a time.
        on_progress: Told the report so far, after each write.

    Returns:
        The final counts, and in `problems` what could not be read as a document and is not among the lines.

    Raises:
        SchemaError: There is no such table.
        StoreError: The store failed; what was written before is whole lines.
    """
    report = ExportReport(table)
    query = db.repository(table).find()
    encoder = msgspec.json.Encoder()
    batch = bytearray()

    async def flush() -> None:
        await write(bytes(batch))
        report.bytes_written += len(batch)
        batch.clear()
        if on_progress is not None:
            on_progress(report)

    async for document in query:
        encoder.encode_into(plain(document), batch, -1)
        batch += b"\n"
        report.exported += 1
        if len(batch) >= BATCH_BYTES:
            await flush()
    if batch:
        await flush()
    report.problems = {key: str(error) for key, error in query.problems.items()}
    return report
