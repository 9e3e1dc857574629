"""
Where rows come from: files, standard input, or anything that can be iterated over, in one of the formats that have a
reader, compressed or not.

    users.jsonl  users.json  users.csv  users.tsv  users.parquet          and .gz or .zst behind the first four
"""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import anyio.to_thread
import msgspec

from ..errors import ConfigurationError
from ..model.record import LeftOut, Object, Record
from .compression import Compression, compression_of, decompressor
from .delimited import Delimited
from .jsonarray import JSONArray
from .jsonlines import JSONLines
from .row import Reader, Reject, Row

CHUNK_BYTES = 256 * 1024
BATCH_ROWS = 100
"""Rows taken at a time from what yields single ones."""

Format = Literal["jsonl", "json", "csv", "parquet"]
Rows = AsyncGenerator[list[Row | Reject], None]
OnBytes = Callable[[int], None]

_READERS: dict[str, Callable[[], Reader]] = {"jsonl": JSONLines, "json": JSONArray, "csv": Delimited}
_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Source(msgspec.Struct, frozen=True):
    """
    Where rows come from.

    Attributes:
        name: What to call it in messages.
        format: What the bytes are; `rows`: there are no bytes, `rows` gives them.
        open: Gives the bytes from the start, in chunks of any size.
        is_repeatable: It may be read a second time, and gives the same then (a pipe does not).
        size_bytes: How much there is, where that is known.
        compression: How the bytes are packed.
        rows: Gives the rows from the start, where they do not come as bytes; tells the bytes that it has read.
        identity: What tells this content from any other; None: nothing does.
    """

    name: str
    format: Format | Literal["rows"]
    open: Callable[[], AsyncGenerator[bytes, None]] | None = None
    is_repeatable: bool = False
    size_bytes: int | None = None
    compression: Compression | None = None
    rows: Callable[[OnBytes], Rows] | None = None
    identity: Callable[[], str] | None = None

    @property
    def is_text(self) -> bool:
        """All values are text, to be read by the columns' types."""
        return self.format == "csv"

    async def batches(self, on_bytes: OnBytes | None = None) -> Rows:
        """
        The rows, a list for each chunk read.

        Args:
            on_bytes: Told the length of each chunk, as it lies in the file.

        Raises:
            ValidationError: The bytes are not of this format at all.
        """
        told = on_bytes or _ignore
        if self.rows is not None:
            async with aclosing(self.rows(told)) as batches:
                async for batch in batches:
                    yield batch
        elif self.open is not None:
            reader = _READERS[self.format]()
            async with (
                aclosing(self.open()) as chunks,
                aclosing(_unpacked(chunks, self.compression, told)) as pieces,
            ):
                async for piece in pieces:
                    yield reader.feed(piece)
            yield reader.close()


def _ignore(_: int) -> None:
    """Nobody wants to know."""


async def _unpacked(
    chunks: AsyncGenerator[bytes, None], compression: Compression | None, on_bytes: OnBytes
) -> AsyncGenerator[bytes, None]:
    packed = None if compression is None else decompressor(compression)
    async for chunk in chunks:
        on_bytes(len(chunk))
        if packed is None:
            yield chunk
        else:
            for piece in packed.feed(chunk):
                yield piece
    if packed is not None:
        packed.close()


def sources_of(given: object, *, format: str | None = None) -> list[Source]:
    """
    The sources that a caller names.

    Args:
        given: A path or a glob pattern, a `Source`, a list of these, or a sync or async iterable of rows: dicts,
            `Record`s or `Object`s.
        format: What the files are; default: their names' endings tell.

    Raises:
        ConfigurationError: Nothing matches, or a name does not tell the format.
    """
    match given:
        case Source():
            return [given]
        case str() | Path():
            return files_of(str(given), format=format)
        case list() | tuple() if given and all(isinstance(each, str | Path | Source) for each in cast(Any, given)):
            return [found for each in cast("Sequence[Any]", given) for found in sources_of(each, format=format)]
        case Iterable() | AsyncIterable():
            return [rows_source(cast(Any, given))]
        case _:
            raise ConfigurationError(
                f"A {type(given).__name__} is nothing to import from.",
                hint="Name a file or a pattern, or pass an iterable of dicts or records.",
            )


def files_of(pattern: str, *, format: str | None = None) -> list[Source]:
    """
    The file of this name, or the files that match this pattern (`**` for all folders below), in the order of names.

    Raises:
        ConfigurationError: Nothing matches.
    """
    if os.path.exists(pattern) or not glob.has_magic(pattern):
        return [file_source(pattern, format=format)]
    found = sorted(path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path))
    if not found:
        raise ConfigurationError(f"No file matches {pattern!r}.", hint="Check the pattern, and quote it in a shell.")
    return [file_source(path, format=format) for path in found]


def file_source(path: str | Path, *, format: str | None = None) -> Source:
    """
    A file's rows. Without `format`, the name's ending tells it: .jsonl, .ndjson, .json, .csv, .tsv or .parquet; one
    more ending, .gz or .zst, that it is compressed.

    Raises:
        ConfigurationError: The name does not tell the format, or it is a directory.
        OSError: There is no such file, or it may not be read.
    """
    path = Path(path)
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise ConfigurationError(f"{path} is a directory.", hint=f"Name files: {path}/*.jsonl")
    is_regular = stat.S_ISREG(about.st_mode)
    compression = compression_of(path.suffix)
    inner = path.with_suffix("") if compression else path
    kind = format or _format_of(path, inner)
    if kind not in ("jsonl", "json", "csv", "parquet"):
        raise ConfigurationError(f"format={format!r}.", hint="Use jsonl, json, csv or parquet.")
    common: dict[str, Any] = {
        "name": str(path),
        "format": kind,
        "is_repeatable": is_regular,
        "size_bytes": about.st_size if is_regular else None,
        "identity": partial(_file_identity, path) if is_regular else None,
    }
    if kind == "parquet":
        if compression or not is_regular:
            raise ConfigurationError(f"{path} cannot be read as Parquet.", hint="Parquet needs a plain file.")
        from .columnar import parquet_rows  # pyarrow takes half a second to load

        return Source(**common, rows=partial(parquet_rows, path))
    return Source(**common, open=partial(_file_chunks, path), compression=compression)


def stdin_source(format: Format) -> Source:
    """The rows that come in through standard input."""
    if format == "parquet":
        raise ConfigurationError("Parquet cannot be read from a pipe.", hint="Name a file.")
    return Source(name="standard input", format=format, open=partial(_pipe_chunks, 0))


def rows_source(rows: Iterable[Any] | AsyncIterable[Any], *, name: str = "the rows given") -> Source:
    """Rows that a program makes: dicts, records or objects."""
    return Source(name=name, format="rows", rows=partial(_made_rows, rows))


def _format_of(path: Path, inner: Path) -> Format:
    found = _FORMAT_OF_SUFFIX.get(inner.suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"The name of {path} does not tell its format.", hint="Say --format jsonl, json, csv or parquet."
        )
    return found


def _file_identity(path: Path) -> str:
    """Name and content: what a file that was changed, or another one, does not share. Reads all of it (1 s a GB)."""
    with path.open("rb") as file:
        return f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}"


async def _file_chunks(path: Path) -> AsyncGenerator[bytes, None]:
    async with await anyio.open_file(path, "rb") as file:
        while chunk := await file.read(CHUNK_BYTES):
            yield chunk


async def _pipe_chunks(descriptor: int) -> AsyncGenerator[bytes, None]:
    # A read in a thread cannot be interrupted: Ctrl-C would wait for the other end of the pipe. Anything else that may
    # be redirected here (a file, /dev/null) never blocks, and an event loop cannot wait for it.
    mode = os.fstat(descriptor).st_mode
    may_block = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
    while True:
        if may_block:
            await anyio.wait_readable(descriptor)
        chunk = await anyio.to_thread.run_sync(os.read, descriptor, CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _made_rows(rows: Iterable[Any] | AsyncIterable[Any], _: OnBytes) -> Rows:
    number = 0
    batch: list[Row | Reject] = []
    if isinstance(rows, AsyncIterable):
        async for value in rows:  # one at a time: the next may be long in coming
            number += 1
            yield [_made_row(number, value)]
        return
    for value in rows:
        number += 1
        batch.append(_made_row(number, value))
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def _made_row(number: int, value: Any) -> Row | Reject:
    if isinstance(value, Object):
        own = {} if isinstance(value.id, LeftOut) else {"id": value.id}
        return Row(number, {**value.fields, **own})
    try:
        if isinstance(value, Record):
            return Row(number, _record_fields(value))
        fields = msgspec.to_builtins(value, str_keys=True)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        return Reject(number, f"not a row: {error}")
    if not isinstance(fields, dict):
        return Reject(number, f"not a row: a {type(value).__name__} is neither a dict nor a record")
    return Row(number, cast("dict[str, Any]", fields))


def _record_fields(record: Record) -> dict[str, Any]:
    """The stored fields of a record, its id by the name `id`."""
    is_left_out = isinstance(record.id, LeftOut)
    fields: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(record, id="") if is_left_out else record)
    id = fields.pop(_id_name(type(record)))  # noqa: A001
    return fields if is_left_out else fields | {"id": id}


@lru_cache
def _id_name(kind: type[Record]) -> str:
    return next(field.encode_name for field in msgspec.structs.fields(kind) if field.name == "id")
