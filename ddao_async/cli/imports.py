"""
`ddao-async import`: rows of files or of standard input into a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from ..errors import DDAOError, ValidationError
from .option import AsJson, Url
from .output import emit, note
from .progress import Progress

if TYPE_CHECKING:
    from ..database import Database
    from ..transfer.imports import ImportReport
    from ..transfer.options import ImportOptions
    from ..transfer.preview import ImportPreview
    from ..transfer.row import Reject
    from ..transfer.source import Source

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE|GLOB|-", help="What to read: a file, a quoted pattern; - is standard input.", show_default=False
    ),
]
Into = Annotated[str, typer.Option("--table", metavar="TABLE", help="Where the rows go.", show_default=False)]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="FIELD", help="The field that is the id; default: id.", show_default=False),
]
Format = Annotated[
    Literal["jsonl", "json", "csv", "parquet"] | None,
    typer.Option(
        "--format",
        help="JSON lines, one JSON array, CSV or Parquet; default: by the file's name, as is .gz and .zst.",
        show_default=False,
    ),
]
OnConflict = Annotated[
    Literal["error", "skip", "replace"], typer.Option("--on-conflict", help="What a row does whose id exists.")
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, max=10_000, metavar="N", help="The most rows in flight.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Keep a journal in the bucket, and go on where the run before stopped.")
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="What the import is called in its journal; default: by the table and the files' contents.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Write nothing; tell what would be written, and the requests it takes.")
]

MAX_SHOWN_REJECTS = 100


def import_file(
    file: File,
    table: Into,
    key: Key = None,
    format: Format = None,
    on_conflict: OnConflict = "error",
    concurrency: Concurrency = 64,
    resume: Resume = False,
    name: Name = None,
    dry_run: DryRun = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Write every row as a document. Rows that cannot be taken are reported with their line; the others go on."""
    from ..transfer.options import ImportOptions
    from ..transfer.source import files_of, stdin_source
    from .session import with_database

    if file == "-" and format is None:
        raise typer.BadParameter("Standard input has no name that tells its format: say --format jsonl, json or csv.")
    sources = [stdin_source(format)] if file == "-" and format else files_of(file, format=format)
    options = ImportOptions(key=key, on_conflict=on_conflict, concurrency=concurrency, resume=resume, name=name)

    async def work(db: Database) -> ImportReport | ImportPreview:
        sizes = [source.size_bytes for source in sources]
        total = sum(size or 0 for size in sizes) if None not in sizes else None
        with Progress("rows", total_bytes=total, as_json=as_json) as progress:
            rejects = Rejects(progress, as_json=as_json)
            if dry_run:
                return await _preview(db, table, sources, options, progress, rejects)
            return await _import(db, table, sources, options, progress, rejects)

    report = with_database(url, work)
    if as_json:
        emit(report, as_json=True)
    else:
        for line in _summary(report, file):
            note(line)
    if report.rejected:
        would = "would be " if dry_run else ""
        raise ValidationError(
            f"{report.rejected:,} of {_rows(report):,} rows {would or 'were '}rejected.",
            hint="Mend the lines named above and import them again." if not dry_run else "Mend the lines named above.",
        )


async def _import(
    db: Database, table: str, sources: list[Source], options: ImportOptions, progress: Progress, rejects: Rejects
) -> ImportReport:
    from ..transfer.imports import import_records

    last: list[ImportReport] = []

    def on_progress(now: ImportReport) -> None:
        last[:] = [now]
        progress.show(now.rows, now.bytes_read, errors=now.rejected, before=now.resumed)

    options["on_reject"], options["on_progress"] = rejects, on_progress
    try:
        return await import_records(db, table, sources, **options)
    except DDAOError as error:
        if last and last[0].rows:
            again = "Run it again to go on." if options.get("resume") else "Run it again with --resume to go on."
            error.hint = f"{error.hint} {last[0].rows:,} rows were done before that. {again}".strip()
        raise


async def _preview(
    db: Database, table: str, sources: list[Source], options: ImportOptions, progress: Progress, rejects: Rejects
) -> ImportPreview:
    from ..transfer.preview import preview_import

    def on_progress(now: ImportPreview) -> None:
        progress.show(now.rows, now.bytes_read, errors=now.rejected)

    options["on_reject"], options["on_progress"] = rejects, on_progress
    return await preview_import(db, table, sources, **options)


class Rejects:
    """Shows rejected rows as they come: all of them as JSON, the first hundred to people."""

    def __init__(self, progress: Progress, *, as_json: bool) -> None:
        self._progress = progress
        self._as_json = as_json
        self._shown = 0

    def __call__(self, reject: Reject) -> None:
        self._shown += 1
        if self._as_json:
            emit(
                {name: value for name, value in msgspec.to_builtins(reject).items() if value or name != "file"},
                as_json=True,
            )
        elif self._shown <= MAX_SHOWN_REJECTS:
            self._progress.print(_line(reject))
        elif self._shown == MAX_SHOWN_REJECTS + 1:
            self._progress.print("More rejected rows are counted and not shown; --json shows all.")


def _line(reject: Reject) -> str:
    file = f"{reject.file}, " if reject.file else ""
    return f"{file}line {reject.line}{f' ({reject.id})' if reject.id else ''}: {reject.reason}"


def _rows(report: ImportReport | ImportPreview) -> int:
    from ..transfer.imports import ImportReport

    return report.rows if isinstance(report, ImportReport) else report.rows + report.rejected


def _summary(report: ImportReport | ImportPreview, source: str) -> list[str]:
    from ..transfer.imports import ImportReport

    if not isinstance(report, ImportReport):
        requests = ", ".join(f"{count:,} {kind.upper()}" for kind, count in report.requests.items()) or "none"
        lines = [
            f"{source} into {report.table}: {report.rows:,} rows would be written, {report.rejected:,} rejected; "
            f"requests: {requests}, and a handful for the table."
        ]
        was = "would be"
    else:
        counts = {"inserted": report.inserted, "replaced": report.replaced, "skipped": report.skipped}
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing written"
        before = f" {report.resumed:,} of them were done before." if report.resumed else ""
        lines = [f"{source} into {report.table}: {told}, {report.rejected:,} rejected.{before}"]
        was = "was"
    if report.created_columns:
        columns = ", ".join(f"{name} {kind}" for name, kind in report.created_columns.items())
        lines.insert(0, f"The table {report.table} {was} created from the data: {columns}.")
    return lines
