"""
`ddao-async import`: rows of a file or of standard input into a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import ValidationError
from .option import AsJson, Url
from .output import emit, note
from .progress import Progress

if TYPE_CHECKING:
    from ..transfer.imports import ImportReport
    from ..transfer.row import Reject

File = Annotated[str, typer.Argument(metavar="FILE", help="What to read; - is standard input.", show_default=False)]
Into = Annotated[str, typer.Option("--table", metavar="TABLE", help="Where the rows go.", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="FIELD", help="The field that is the id; default: id.", show_default=False),
]
Format = Annotated[
    Literal["jsonl", "json", "csv"] | None,
    typer.Option(
        "--format", help="JSON lines, one JSON array, or CSV; default: by the file's name.", show_default=False
    ),
]
OnConflict = Annotated[
    Literal["error", "skip", "replace"], typer.Option("--on-conflict", help="What a row does whose id exists.")
]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, max=10_000, metavar="N", help="Rows in flight.")]

MAX_SHOWN_REJECTS = 100


def import_file(
    file: File,
    table: Into,
    key: Key = None,
    format: Format = None,
    on_conflict: OnConflict = "error",
    concurrency: Concurrency = 64,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Write every row as a document. Rows that cannot be taken are reported with their line; the others go on."""
    from ..database import Database
    from ..transfer.imports import import_records
    from ..transfer.source import file_source, stdin_source
    from .session import with_database

    if file == "-" and format is None:
        raise typer.BadParameter("Standard input has no name that tells its format: say --format jsonl, json or csv.")
    source = stdin_source(format) if file == "-" and format else file_source(file, format=format)

    async def work(db: Database) -> ImportReport:
        shown = 0
        with Progress("rows", total_bytes=source.size_bytes) as progress:

            def on_reject(reject: Reject) -> None:
                nonlocal shown
                shown += 1
                if as_json:
                    emit(reject, as_json=True)
                elif shown <= MAX_SHOWN_REJECTS:
                    progress.print(_line(reject))
                elif shown == MAX_SHOWN_REJECTS + 1:
                    progress.print("More rejected rows are counted and not shown; --json shows all.")

            return await import_records(
                db,
                table,
                source,
                key=key,
                on_conflict=on_conflict,
                concurrency=concurrency,
                on_reject=on_reject,
                on_progress=lambda now: progress.show(now.rows, now.bytes_read),
            )

    report = with_database(url, work)
    if as_json:
        emit(report, as_json=True)
    else:
        for line in _summary(report, source.name):
            note(line)
    if report.rejected:
        raise ValidationError(
            f"{report.rejected:,} of {report.rows:,} rows were rejected, the others are stored.",
            hint="Mend the lines named above and import them again.",
        )


def _line(reject: Reject) -> str:
    return f"line {reject.line}{f' ({reject.id})' if reject.id else ''}: {reject.reason}"


def _summary(report: ImportReport, source: str) -> list[str]:
    counts = {"inserted": report.inserted, "replaced": report.replaced, "skipped": report.skipped}
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing written"
    lines = [f"{source} into {report.table}: {told}, {report.rejected:,} rejected."]
    if report.created_columns:
        columns = ", ".join(f"{name} {kind}" for name, kind in report.created_columns.items())
        lines.insert(0, f"The table {report.table} was created from the data: {columns}.")
    return lines
