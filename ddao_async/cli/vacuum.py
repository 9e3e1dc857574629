"""
`ddao-async vacuum`: removes what crashes, lost answers and deletes have left, a day after it was written.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import CorruptDocumentError
from .option import AsJson, Url
from .output import emit, note, say

DryRun = Annotated[bool, typer.Option("--dry-run", help="Remove nothing, only count.")]


def vacuum(dry_run: DryRun = False, url: Url = None, as_json: AsJson = False) -> None:
    """Remove garbage that is older than a day, beside running writers."""
    from .. import maintenance
    from ..database import Database
    from .session import with_database

    async def work(db: Database) -> maintenance.Vacuumed:
        return await maintenance.vacuum(db.engine, dry_run=dry_run)

    done = with_database(url, work)
    problems = {key: str(error) for key, error in done.problems.items()}
    if as_json:
        removed = {kind.value: count for kind, count in done.removed.items()}
        emit({"removed": removed, "dry_run": done.dry_run, "problems": problems}, as_json=True)
    else:
        for kind, count in done.removed.items():
            say(f"{count:>10,}  {kind.value}")
        if not any(done.removed.values()):
            note("There is no garbage older than a day.")
        elif done.dry_run:
            note("Nothing was removed: --dry-run.")
        for key, problem in problems.items():
            note(f"{key}: {problem}")
    if problems:
        raise CorruptDocumentError(f"{len(problems):,} objects could not be judged or removed.", hint="Look at them.")
