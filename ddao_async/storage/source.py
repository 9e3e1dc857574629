"""
What an upload can be fed with: a file path, a file object (sync or async), or an iterable of bytes (sync or async);
cut into parts of one size. Files are read in a thread, through anyio.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from inspect import isawaitable
from typing import Any, Protocol, cast

from ..errors import ValidationError


class Readable(Protocol):
    """A file object; `read` may return an awaitable."""

    def read(self, size: int, /) -> Any: ...


Source = str | os.PathLike[str] | Readable | AsyncIterable[bytes] | Iterable[bytes] | bytes


async def parts_of(source: Source, part_size: int) -> AsyncGenerator[bytes | memoryview, None]:
    """
    Cut a source into parts.

    Args:
        part_size: Bytes of each part but the last.

    Yields:
        At least one part (a view of it, where the source is bytes); it is empty if the source is. Only one part is held
        at a time.

    Raises:
        ValidationError: The source yields something else than bytes, or is none of the known kinds.
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes) and source:
        view = memoryview(source)  # what cannot change need not be copied: 25 ms for 64 MiB
        for start in range(0, len(view), part_size):
            yield view[start : start + part_size]
        return
    kept = bytearray()
    is_first = True
    async for piece in _pieces(source, part_size):
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise ValidationError(
                "An upload takes bytes, its source yields something else.", hint="Open files as 'rb'."
            )
        piece = cast("bytes | bytearray", piece)
        if not kept and len(piece) == part_size:
            is_first = False
            yield bytes(piece)  # a file that is read in parts: nothing to cut, and of bytes this is no copy
            continue
        kept += piece
        while len(kept) >= part_size:
            part = bytes(memoryview(kept)[:part_size]) if len(kept) > part_size else bytes(kept)
            del kept[:part_size]
            is_first = False
            yield part
    if kept or is_first:
        yield bytes(kept)


async def _pieces(source: Any, part_size: int) -> AsyncIterator[Any]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        view = memoryview(cast("bytes | bytearray", source)).cast("B")
        for start in range(0, len(view), part_size):
            yield bytes(view[start : start + part_size])
    elif isinstance(source, (str, os.PathLike)):
        from anyio import open_file

        async with await open_file(os.fspath(source), "rb") as file:
            while piece := await file.read(part_size):
                yield piece
    elif callable(getattr(source, "read", None)):
        async for piece in _read(source, part_size):
            yield piece
    elif isinstance(source, AsyncIterable):
        async for piece in cast("AsyncIterable[Any]", source):
            yield piece
    elif isinstance(source, Iterable):
        for piece in cast("Iterable[Any]", source):
            yield piece
    else:
        raise ValidationError(
            f"{type(source).__name__} cannot be uploaded.", hint="Give a path, a file or an iterator."
        )


async def _read(file: Any, part_size: int) -> AsyncIterator[Any]:
    from anyio.to_thread import run_sync

    while True:
        piece = await run_sync(file.read, part_size)
        if isawaitable(piece):
            piece = await piece
        if not piece:
            return
        yield piece
