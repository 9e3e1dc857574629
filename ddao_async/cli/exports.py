"""
`ddao-async export`: a table as JSON lines, to a file or to stdout.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import typer

from ..errors import CorruptDocumentError
from .option import AsJson, Table, Url
from .output import emit, note
from .progress import Progress

Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout.", show_default=False)
]


def export_table(table: Table, output: Output = None, url: Url = None, as_json: AsJson = False) -> None:
    """Write every document of a table as a line of JSON."""
    from ..database import Database
    from ..transfer.exports import export_records
    from .session import with_database

    async def work(db: Database) -> None:
        with Progress("documents") as progress:
            async with _target(output) as write:
                report = await export_records(db, table, write, on_progress=lambda now: progress.show(now.exported))
        for key, problem in report.problems.items():
            note(f"{key}: {problem}")
        if as_json and output is not None:
            emit(report, as_json=True)
        elif output is not None:
            note(f"{report.exported:,} documents written to {output}.")
        if report.problems:
            raise CorruptDocumentError(
                f"{report.exported:,} documents were exported; {len(report.problems):,} objects are no documents.",
                hint="Each is named above with its key; mend or delete it.",
            )

    with_database(url, work)


@asynccontextmanager
async def _target(output: Path | None) -> AsyncGenerator[Callable[[bytes], Awaitable[object]], None]:
    """What takes the bytes. A file gets its name only when it is whole: a cut export never looks like one."""
    if output is None:
        sys.stdout.flush()
        yield anyio.wrap_file(sys.stdout.buffer).write
        await anyio.to_thread.run_sync(sys.stdout.buffer.flush)
        return
    target = anyio.Path(output)
    if await target.exists() and not await target.is_file():  # /dev/null, a named pipe
        async with await target.open("wb") as file:
            yield file.write
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        async with await partial.open("wb") as file:
            yield file.write
        await partial.replace(target)
    finally:
        with anyio.CancelScope(shield=True):
            await partial.unlink(missing_ok=True)
