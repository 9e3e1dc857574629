"""
`ddao-async export`: a table as JSON lines, CSV or Parquet, to a file or to stdout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import anyio
import anyio.to_thread
import typer

from ..errors import CorruptDocumentError, ValidationError
from .option import AsJson, Table, Url
from .output import emit, note
from .progress import Progress

if TYPE_CHECKING:
    from ..database import Database
    from ..transfer.exports import ExportReport

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout.", show_default=False)
]
Format = Annotated[
    Literal["jsonl", "csv", "parquet"] | None,
    typer.Option("--format", help="Default: by the file's name, else JSON lines.", show_default=False),
]
Ranges = Annotated[
    int,
    typer.Option(
        "--ranges", min=1, max=256, metavar="N", help="Ranges of ids read side by side, mixed; 1: in the order of ids."
    ),
]


def export_table(
    table: Table,
    output: Output = None,
    format: Format = None,
    ranges: Ranges = 8,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Write every document of a table."""
    from .session import with_database

    async def work(db: Database) -> None:
        with Progress("documents", as_json=as_json) as progress:

            def on_progress(now: ExportReport) -> None:
                progress.show(now.exported, now.bytes_written)

            if output is None:
                sys.stdout.flush()
                write = anyio.wrap_file(sys.stdout.buffer).write
                report = await db.repository(table).export(write, format=format, ranges=ranges, on_progress=on_progress)
                await anyio.to_thread.run_sync(sys.stdout.buffer.flush)
            else:
                report = await db.repository(table).export(
                    output, format=format, ranges=ranges, on_progress=on_progress
                )
        _tell(report, output, as_json=as_json)

    with_database(url, work)


def _tell(report: ExportReport, output: Path | None, *, as_json: bool) -> None:
    for key, problem in report.problems.items():
        note(f"{key}: {problem}")
    for name, count in report.left_out.items():
        note(f"{name}: left out of {count:,} documents, as it is no column of the table.")
    if as_json and output is not None:
        emit(report, as_json=True)
    elif output is not None:
        note(f"{report.exported:,} documents written to {output}.")
    if report.problems:
        raise CorruptDocumentError(
            f"{report.exported:,} documents were exported; {len(report.problems):,} objects are no documents.",
            hint="Each is named above with its key; mend or delete it.",
        )
    if report.left_out:
        raise ValidationError(
            f"{len(report.left_out):,} fields have no place in this format.",
            hint="Export as jsonl, or add them as columns.",
        )
