"""
How to import and export: the options of `Database.import_records` and `Repository.export`, and their checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec

from ..errors import ConfigurationError
from .identity import checked_name
from .row import Reject

if TYPE_CHECKING:
    from .exports import ExportFormat, ExportReport
    from .source import Format

OnConflict = Literal["error", "skip", "replace"]


class ImportOptions(TypedDict, total=False):
    """
    How to import.

    Attributes:
        key: The field whose value is the document's id; it stays in the document. Without it, the field `id` is, and
            rows that have none get an id that follows from the import's name, the file and the row's number.
        format: What the files are; default: their names' endings tell.
        on_conflict: What a row does whose id exists: `error` (default: it is rejected), `skip`, `replace`.
        concurrency: The most rows being written at one time (default 64); how many follows from what the store bears.
        resume: Keep a journal in the bucket, and go on where the run before stopped; a row that an earlier run wrote
            counts as done, also if that one kept no journal.
        name: Of the import; default: it follows from the table and the files' contents. Rows that are no files need one
            to be resumed, and must come in the same order then.
        parts: How many parts a new import is split into (default 1); one that is resumed keeps its own.
        part: Do only this part, from 0.
        on_reject: Told of each row that was not taken, as it happens.
        on_progress: Told the report so far, again and again.
    """

    key: str | None
    format: Format | None
    on_conflict: OnConflict
    concurrency: int
    resume: bool
    name: str | None
    parts: int
    part: int | None
    on_reject: Callable[[Reject], object] | None
    on_progress: Callable[[Any], object] | None


class ExportOptions(TypedDict, total=False):
    """
    How to export.

    Attributes:
        format: `jsonl` (exact), `csv` or `parquet`; default: by the path's ending, else JSON lines.
        ranges: Ranges of keys read side by side, whose documents are mixed (default 8); 1: in the order of the keys.
        concurrency: The most documents being read at a time (default 64).
        on_progress: Told the report so far, again and again.
    """

    format: ExportFormat | None
    ranges: int
    concurrency: int
    on_progress: Callable[[ExportReport], object] | None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`ImportOptions` with their defaults."""

    key: str | None = None
    format: str | None = None
    on_conflict: OnConflict = "error"
    concurrency: int = 64
    resume: bool = False
    name: str | None = None
    parts: int = 1
    part: int | None = None
    on_reject: Callable[[Reject], object] | None = None
    on_progress: Callable[[Any], object] | None = None


def checked(given: ImportOptions) -> Options:
    """
    The options with their defaults.

    Raises:
        ConfigurationError: One cannot be; the message names those that there are.
    """
    unknown = given.keys() - set(Options.__struct_fields__)
    if unknown:
        raise ConfigurationError(
            f"There is no option {min(unknown)!r}.", hint=f"There are {', '.join(sorted(Options.__struct_fields__))}."
        )
    options = Options(**given)
    if options.on_conflict not in ("error", "skip", "replace"):
        raise ConfigurationError(f"on_conflict={options.on_conflict!r}.", hint="Use error, skip or replace.")
    is_part = options.part is None or 0 <= options.part < options.parts
    if options.concurrency < 1 or options.parts < 1 or not is_part:
        raise ConfigurationError(
            f"concurrency={options.concurrency}, parts={options.parts}, part={options.part} cannot be.",
            hint="Use at least 1, and a part below the number of parts.",
        )
    if options.name is not None:
        checked_name(options.name)
    return options
