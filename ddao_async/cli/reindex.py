"""
`ddao-async reindex`: builds the declared indexes of a table that are not complete, or checks and repairs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CorruptDocumentError, SchemaError
from .option import AsJson, Table, Url
from .output import emit, note, say
from .progress import Progress

if TYPE_CHECKING:
    from ..maintenance import Checked

Check = Annotated[
    bool, typer.Option("--check", help="Build nothing; check what is complete, and write what is missing.")
]
Exclusive = Annotated[
    bool,
    typer.Option("--exclusive", help="Nobody else writes to the table: skip the wait of 17 minutes for late writers."),
]


def reindex(
    table: Table, check: Check = False, exclusive: Exclusive = False, url: Url = None, as_json: AsJson = False
) -> None:
    """Build the indexes of a table, beside running writers, and check those that are there."""
    from .. import maintenance
    from ..catalog import layout_of
    from ..database import Database
    from .session import with_database

    async def work(db: Database) -> Checked:
        with Progress("documents") as progress:
            done = 0

            def on_document(_: str) -> None:
                nonlocal done
                done += 1
                progress.show(done)

            def on_wait(seconds: float) -> None:
                note(f"Waiting {seconds / 60:.0f} minutes for late writers; with --exclusive that is skipped.")

            layout = layout_of(await db.table(table))
            if check:
                return await maintenance.check(db.engine, layout, on_document=on_document)
            built, checked = await maintenance.reindex(
                db.engine, layout, exclusive=exclusive, on_wait=on_wait, on_document=on_document
            )
            for name in built.indexes:
                note(
                    f"{name} is complete: {built.documents:,} documents, {built.written:,} entries and claims written."
                )
            return checked

    checked = with_database(url, work)
    if as_json:
        emit({"indexes": checked.indexes, "documents": checked.documents, "problems": _texts(checked)}, as_json=True)
    else:
        _tell(checked)
    if checked.problems:
        raise CorruptDocumentError(
            f"{len(checked.problems):,} objects of table {table!r} are no documents.", hint="Mend or delete them."
        )
    if any(index.duplicates for index in checked.indexes):
        raise SchemaError(
            f"Documents of table {table!r} share values of a unique column.",
            hint="Change one of each pair named above.",
        )


def _tell(checked: Checked) -> None:
    for index in checked.indexes:
        say(
            f"{index.name}: {index.live:,} live, {len(index.missing):,} were missing and are written, "
            f"{len(index.dead):,} dead",
        )
        if index.dead:
            note(f"{index.name}: dead entries and claims are left to `ddao-async vacuum`")
        for pair in index.duplicates:
            note(f"{index.name}: {pair[0]} and {pair[1]} share a value")
    note(f"{checked.documents:,} documents looked at.")
    for key, problem in _texts(checked).items():
        note(f"{key}: {problem}")


def _texts(checked: Checked) -> dict[str, str]:
    return {key: str(error) for key, error in checked.problems.items()}
