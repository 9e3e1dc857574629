"""
Where rows come from: a file, standard input, or any async generator of bytes, in one of the formats that have a reader.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Literal

import anyio
import msgspec

from ..errors import ConfigurationError
from .delimited import Delimited
from .jsonarray import JSONArray
from .jsonlines import JSONLines
from .row import Reader, Reject, Row

CHUNK_BYTES = 256 * 1024

Format = Literal["jsonl", "json", "csv"]

_READERS: dict[Format, Callable[[], Reader]] = {"jsonl": JSONLines, "json": JSONArray, "csv": Delimited}
_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
}


class Source(msgspec.Struct, frozen=True):
    """
    Bytes that hold rows.

    Attributes:
        name: What to call it in messages.
        format: What the bytes are.
        open: Gives the bytes from the start, in chunks of any size.
        is_repeatable: `open` may be called a second time (a pipe's may not).
        size_bytes: How much there is, where that is known.
    """

    name: str
    format: Format
    open: Callable[[], AsyncGenerator[bytes, None]]
    is_repeatable: bool = False
    size_bytes: int | None = None

    async def batches(self, on_bytes: Callable[[int], None] | None = None) -> AsyncGenerator[list[Row | Reject], None]:
        """
        The rows, a list for each chunk read.

        Args:
            on_bytes: Told the length of each chunk.

        Raises:
            ValidationError: The bytes are not of this format at all.
        """
        reader = _READERS[self.format]()
        async with aclosing(self.open()) as chunks:
            async for chunk in chunks:
                if on_bytes is not None:
                    on_bytes(len(chunk))
                yield reader.feed(chunk)
        yield reader.close()


def file_source(path: str | Path, *, format: Format | None = None) -> Source:
    """
    A file's rows. Without `format`, the name's ending tells it: .jsonl, .ndjson, .json, .csv or .tsv.

    Raises:
        ConfigurationError: The name does not tell the format, or it is a directory.
        OSError: There is no such file, or it may not be read.
    """
    path = Path(path)
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise ConfigurationError(f"{path} is a directory.", hint="Name one file.")
    is_regular = stat.S_ISREG(about.st_mode)
    return Source(
        name=str(path),
        format=format or _format_of(path),
        open=partial(_file_chunks, path),
        is_repeatable=is_regular,
        size_bytes=about.st_size if is_regular else None,
    )


def stdin_source(format: Format) -> Source:
    """The rows that come in through standard input."""
    return Source(name="standard input", format=format, open=partial(_pipe_chunks, 0))


def _format_of(path: Path) -> Format:
    found = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise ConfigurationError(
            f"The name of {path} does not tell its format.", hint="Say --format jsonl, json or csv."
        )
    return found


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
