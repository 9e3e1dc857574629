"""
Export: the documents of a table as JSON lines, CSV or Parquet, in memory that does not grow with the table.

    ranges of keys ─► LIST each ─► GET, some ahead ─► rendering ─► file
      a…  b…  c…       side by side                    in the order of keys within a range, ranges mixed

With one range the whole is in the order of the keys. Every document that is there from beginning to end is exported,
each at a committed state of its own; what others write meanwhile may be in it or not.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import anyio
import anyio.to_thread
import msgspec

from ..engine import Engine
from ..errors import ConfigurationError, CorruptDocumentError
from ..model.codec import ObjectCodec
from ..model.document import Document
from ..model.keys import object_id, object_key, objects_prefix
from ..model.record import Object
from ..model.schema import Table
from ..storage.paging import MAX_PAGE
from ..storage.protocol import ObjectStore
from .columnar import GROUP_ROWS, ParquetFile
from .compression import compression_of, compressor
from .rendering import CSV, JSONLines, Rendering
from .spread import prefixes_of

BATCH_BYTES = 64 * 1024
"""What is gathered before it is written: a system call for each document would take most of the time."""

RANGES = 8
CONCURRENCY = 64

ExportFormat = Literal["jsonl", "csv", "parquet"]
Write = Callable[[bytes], Awaitable[object]]

_FORMAT_OF_SUFFIX: dict[str, ExportFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class ExportReport(msgspec.Struct):
    """
    What an export did, so far or in the end.

    Attributes:
        problems: Key -> why, of what is no document and is not in the file.
        left_out: Field -> documents that have it, of fields that are no columns of the table: CSV and Parquet have no
            place for them.
    """

    table: str
    exported: int = 0
    bytes_written: int = 0
    problems: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    left_out: dict[str, int] = msgspec.field(default_factory=dict[str, int])


class DocumentSource(Protocol):
    """What an export reads: `Documents`, or a transaction's view of them."""

    engine: Engine

    async def get(self, id: str) -> Document | None: ...


def plain(document: Object) -> dict[str, Any]:
    """The fields with the id among them, first; a field `id` of the document's own gives way."""
    return {"id": document.id} | {name: value for name, value in document.fields.items() if name != "id"}


def format_of(target: Path, format: ExportFormat | None) -> ExportFormat:
    """
    The format of a file: as asked for, else by its name, `.gz` and `.zst` aside; else JSON lines.

    Raises:
        ConfigurationError: It is none, or Parquet is asked for and compressed again.
    """
    packed = compression_of(target.suffix)
    inner = target.with_suffix("") if packed else target
    found = format or _FORMAT_OF_SUFFIX.get(inner.suffix.lower(), "jsonl")
    if found not in ("jsonl", "csv", "parquet"):
        raise ConfigurationError(f"format={found!r}.", hint="Use jsonl, csv or parquet.")
    if found == "parquet" and packed:
        raise ConfigurationError(f"{target}: Parquet is compressed already.", hint="Leave the last ending out.")
    return found


async def export_documents(
    documents: DocumentSource,
    table: Table,
    target: str | Path | Write,
    *,
    format: ExportFormat | None = None,
    ranges: int = RANGES,
    concurrency: int = CONCURRENCY,
    on_progress: Callable[[ExportReport], object] | None = None,
    prefixes: Sequence[str] | None = None,
) -> ExportReport:
    """As `Repository.export`. `prefixes`: only documents whose keys begin with one of these."""
    if ranges < 1 or concurrency < 1:
        raise ConfigurationError(f"ranges={ranges}, concurrency={concurrency}: at least 1.", hint="Leave them out.")
    path = None if callable(target) else Path(target)
    kind = format_of(path or Path(), format)
    export = _Export(documents, table, concurrency, on_progress, prefixes)
    try:
        if callable(target):
            if kind == "parquet":
                raise ConfigurationError("Parquet cannot be written to a pipe.", hint="Name a file.")
            await export.write_lines(_rendering(kind, table), target, ranges)
        elif kind == "parquet":
            async with _whole(Path(target)) as partial:
                await export.write_parquet(partial, ranges)
        else:
            async with _file(Path(target)) as write:
                await export.write_lines(_rendering(kind, table), write, ranges)
    except BaseExceptionGroup as group:
        raise _first(cast(Any, group)) from None
    return export.report


def _rendering(kind: ExportFormat, table: Table) -> Rendering:
    return CSV(table.columns) if kind == "csv" else JSONLines()


class _Export:
    """One export under way."""

    def __init__(
        self,
        documents: DocumentSource,
        table: Table,
        concurrency: int,
        on_progress: Callable[[ExportReport], object] | None,
        prefixes: Sequence[str] | None,
    ) -> None:
        self.report = ExportReport(table.name)
        self._prefixes = prefixes
        self._documents = documents
        self._table = table
        self._codec = ObjectCodec(table)
        self._concurrency = concurrency
        self._on_progress = on_progress
        self._writing = asyncio.Lock()

    async def write_lines(self, rendering: Rendering, write: Write, ranges: int) -> None:
        """Write every document, some 64 KiB at a time."""

        async def flush(at_least: int) -> None:
            async with self._writing:
                data = rendering.take() if rendering.waiting >= at_least else b""
                if data:
                    await write(data)
                    self.report.bytes_written += len(data)
            self.report.left_out = rendering.left_out
            self._tell()

        async def take(document: dict[str, Any]) -> None:
            rendering.add(document)
            if rendering.waiting >= BATCH_BYTES:
                await flush(BATCH_BYTES)

        await self._each(take, ranges)
        await flush(0)

    async def write_parquet(self, path: Path, ranges: int) -> None:
        """Write every document into a Parquet file."""
        file = await anyio.to_thread.run_sync(ParquetFile, path, self._table.columns)
        try:

            async def flush(at_least: int) -> None:
                async with self._writing:
                    if file.waiting >= at_least:
                        await anyio.to_thread.run_sync(file.flush)
                self.report.left_out = file.left_out
                self._tell()

            async def take(document: dict[str, Any]) -> None:
                file.add(document)
                if file.waiting >= GROUP_ROWS:
                    await flush(GROUP_ROWS)

            await self._each(take, ranges)
            await flush(0)
        finally:
            file.close()
        self.report.bytes_written = (await anyio.Path(path).stat()).st_size

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.report)

    async def _each(self, take: Callable[[dict[str, Any]], Awaitable[None]], ranges: int) -> None:
        """Hand every document on, ranges of keys side by side."""
        store, prefix = self._documents.engine.store, objects_prefix(self._table.name)
        if self._prefixes is not None:
            prefixes = deque(self._prefixes)
        else:
            is_one = ranges == 1 or await _is_one_page(store, prefix)
            prefixes = deque([prefix] if is_one else await prefixes_of(store, prefix))
        gate = self._documents.engine.gate
        gate.open(self._concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(ranges, len(prefixes))):
                    group.create_task(self._work(prefixes, take))
        finally:
            gate.close(self._concurrency)

    async def _work(self, prefixes: deque[str], take: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        while prefixes:
            async with aclosing(self._read(prefixes.popleft())) as documents:
                async for document in documents:
                    await take(document)
                    self.report.exported += 1

    async def _read(self, prefix: str) -> AsyncGenerator[dict[str, Any], None]:
        """The documents whose keys begin so, in the order of the keys, some read ahead."""
        ahead: deque[asyncio.Task[dict[str, Any] | None]] = deque()
        try:
            async for info in self._documents.engine.store.list(prefix):
                ahead.append(asyncio.create_task(self._document(info.key)))
                if len(ahead) >= self._concurrency and (found := await ahead.popleft()) is not None:
                    yield found
            while ahead:
                if (found := await ahead.popleft()) is not None:
                    yield found
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _document(self, key: str) -> dict[str, Any] | None:
        """The fields with the id among them, first; None: no document is there, or none any more."""
        id = object_id(self._table.name, key)  # noqa: A001
        if id is None:
            self.report.problems[key] = "Its key is not that of a document: OBJECTS/ID.json."
            return None
        gate = self._documents.engine.gate
        await gate.enter()
        began: float | None = gate.clock()
        try:
            document = await self._documents.get(id)
            if document is None:
                return None
            return plain(self._codec.decode(id, document.fields))
        except CorruptDocumentError as error:
            self.report.problems[object_key(self._table.name, id)] = str(error)
            return None
        except BaseException:
            began = None
            raise
        finally:
            gate.leave(began)


@asynccontextmanager
async def _file(path: Path) -> AsyncGenerator[Write, None]:
    """What takes the bytes of a file, packed as its name says."""
    async with _whole(path) as partial, await anyio.open_file(partial, "wb") as file:
        compression = compression_of(path.suffix)
        if compression is None:
            yield file.write
            return
        packer = compressor(compression)

        async def write(data: bytes) -> None:
            await file.write(await anyio.to_thread.run_sync(packer.compress, data))

        yield write
        await file.write(packer.flush())


@asynccontextmanager
async def _whole(path: Path) -> AsyncGenerator[Path, None]:
    """Where to write a file, which gets its name only when it is whole: a cut export never looks like one."""
    target = anyio.Path(path)
    if await target.exists() and not await target.is_file():  # /dev/null, a named pipe
        yield path
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield Path(partial)
        await partial.replace(target)
    finally:
        with anyio.CancelScope(shield=True):
            await partial.unlink(missing_ok=True)


async def _is_one_page(store: ObjectStore, prefix: str) -> bool:
    """A small table is not worth the requests that find its ranges."""
    async for page in store.list_pages(prefix):
        return len(page.objects) < MAX_PAGE
    return True


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    first = group.exceptions[0]
    return _first(cast(Any, first)) if isinstance(first, BaseExceptionGroup) else first
