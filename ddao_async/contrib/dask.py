"""
Imports, exports, index builds and copies on a Dask cluster (`pip install "ddao-async[dask]"`).

    with Client("tcp://scheduler:8786") as client:
        report = import_records(client, url, "users", "/shared/users-*.jsonl", parts=32)

The work is cut into partitions; each is one task that connects by the URL, so every worker needs the credentials and
the files. A partition that is run again (its worker died) goes on where the journal says, or finds what it wrote: the
result is exactly once, on whichever workers, and `ddao-async import --resume` can finish what a cluster began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, Unpack, cast

from distributed import as_completed  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from ..catalog import layout_of
from ..maintenance import Built, add_indexes
from ..maintenance.build import Builder
from ..model.keys import object_id, objects_prefix
from ..opening import connect
from ..storage.adapter import adapter_for
from ..storage.protocol import ObjectInfo
from ..transfer.copies import CopyReport
from ..transfer.copies import copy_objects as _copy
from ..transfer.exports import ExportFormat, ExportReport, export_documents
from ..transfer.imports import ImportReport, prepare_import
from ..transfer.imports import import_records as _import
from ..transfer.options import ImportOptions
from ..transfer.row import Reject
from ..transfer.spread import prefixes_of

T = TypeVar("T")

BATCH = 1000
"""Objects of one task of a copy or an index build."""

RETRIES = 3
"""How often a task that raised is run again; one whose worker died is moved by Dask itself."""


def import_records(
    client: Any, url: str, table: str, source: str | Sequence[str], **options: Unpack[ImportOptions]
) -> ImportReport:
    """
    `Database.import_records` on a cluster; it is always resumed, and keeps its journal.

    Args:
        client: A `distributed.Client`, in its blocking mode.
        source: Paths or patterns of files, the same on every worker.
        options: As there; `parts` is how many tasks there are (default: four a worker thread). Rows of one id may be
            written in any order, if they are in different parts; with `replace` the last of them stays.

    Returns:
        The counts of all parts together.
    """
    on_reject = options.pop("on_reject", None)
    options.pop("on_progress", None)
    options["resume"] = True
    options.setdefault("parts", max(1, 4 * _threads(client)))

    async def prepare() -> ImportReport | None:
        async with connect(url) as db:
            return await prepare_import(db, table, source, **options)

    prepared = _run(prepare())
    if prepared is None:
        return ImportReport(table)
    report, options["parts"] = prepared, prepared.parts
    tasks = [client.submit(_import_part, url, table, source, options, n, **_ONCE) for n in range(prepared.parts)]
    for part, rejects in _results(client, tasks):
        for name in ("inserted", "replaced", "skipped", "rejected", "resumed", "bytes_read"):
            setattr(report, name, getattr(report, name) + getattr(part, name))
        for reject in rejects if on_reject is not None else ():
            cast("Callable[[Reject], object]", on_reject)(reject)
    return report


def export(
    client: Any, url: str, table: str, folder: str | Path, *, format: ExportFormat = "jsonl", parts: int | None = None
) -> list[ExportReport]:
    """
    `Repository.export` on a cluster: one file for each part, `part-0000.jsonl`, in a folder that all workers share.

    Args:
        parts: How many files at most; default: one for each worker thread. Keys that do not spread give fewer.

    Returns:
        The report of each file, in their order.
    """

    async def prefixes() -> list[str]:
        async with connect(url) as db:
            return await prefixes_of(db.store, objects_prefix((await db.table(table)).name))

    found = _run(prefixes())
    count = min(len(found), parts or _threads(client))
    names = [str(Path(folder) / f"part-{n:04d}.{format}") for n in range(count)]
    groups = [found[n::count] for n in range(count)]
    tasks = [
        client.submit(_export_part, url, table, name, format, group, **_ONCE)
        for name, group in zip(names, groups, strict=True)
    ]
    return client.gather(tasks)


def copy_objects(client: Any, source_url: str, target_url: str) -> CopyReport:
    """`ddao-async copy` on a cluster: what the target has and is equal is skipped, so running it again goes on."""

    async def objects() -> AsyncGenerator[list[ObjectInfo], None]:
        async with cast(Any, adapter_for(source_url)) as store:
            async for page in store.list_pages("", page_size=BATCH):
                yield page.objects

    report = CopyReport()
    tasks = [client.submit(_copy_batch, source_url, target_url, batch, **_ONCE) for batch in _collected(objects())]
    for part in _results(client, tasks):
        report.copied += part.copied
        report.equal += part.equal
        report.bytes_copied += part.bytes_copied
        report.failed |= part.failed
    return report


def reindex(client: Any, url: str, table: str, *, exclusive: bool = False) -> Built:
    """
    Build the declared indexes of a table that are not complete, its documents spread over a cluster.

    Args:
        exclusive: Nobody else writes to the table now or did so in the last minutes: the wait is skipped.
    """

    async def build() -> Built:
        async with connect(url) as db:
            layout = layout_of(await db.table(table))

            async def pass_over(builder: Builder) -> None:
                batches: list[list[str]] = []
                async for page in db.store.list_pages(objects_prefix(table), page_size=BATCH):
                    ids = (object_id(table, info.key) for info in page.objects)
                    batches.append([each for each in ids if each is not None])
                tasks = [client.submit(_index_batch, url, table, builder.builds, ids, **_ONCE) for ids in batches]
                for part in await asyncio.to_thread(lambda: list(_results(client, tasks))):
                    builder.documents += part["documents"]
                    builder.written += part["written"]
                    builder.problems |= part["problems"]
                    for name, pairs in part["duplicates"].items():
                        builder.duplicates.setdefault(name, []).extend(pairs)

            return await add_indexes(db.engine, layout, layout.indexes, exclusive=exclusive, pass_over=pass_over)

    return _run(build())


# What a worker does

_ONCE: dict[str, Any] = {"pure": False, "retries": RETRIES}


def _import_part(
    url: str, table: str, source: Any, options: ImportOptions, part: int
) -> tuple[ImportReport, list[Reject]]:
    rejects: list[Reject] = []

    async def work() -> ImportReport:
        async with connect(url) as db:
            mine = options.copy()
            mine["part"], mine["on_reject"] = part, rejects.append
            return await _import(db, table, source, **mine)

    return asyncio.run(work()), rejects


def _export_part(url: str, table: str, path: str, format: ExportFormat, prefixes: list[str]) -> ExportReport:
    async def work() -> ExportReport:
        async with connect(url) as db:
            documents, stored = await db.source(table)
            return await export_documents(documents, stored, path, format=format, prefixes=prefixes)

    return asyncio.run(work())


def _copy_batch(source_url: str, target_url: str, objects: list[ObjectInfo]) -> CopyReport:
    async def listed() -> AsyncGenerator[ObjectInfo, None]:
        for info in objects:
            yield info

    async def work() -> CopyReport:
        async with cast(Any, adapter_for(source_url)) as source, cast(Any, adapter_for(target_url)) as target:
            return await _copy(source, target, objects=listed())

    return asyncio.run(work())


def _index_batch(url: str, table: str, builds: dict[str, str], ids: list[str]) -> dict[str, Any]:
    async def listed() -> AsyncGenerator[str, None]:
        for each in ids:
            yield each

    async def work() -> dict[str, Any]:
        async with connect(url) as db:
            builder = Builder(db.engine, layout_of(await db.table(table)), builds)
            await db.engine.prepare()
            await builder.pass_over_ids(listed(), 32)
            names = ("documents", "written", "problems", "duplicates")
            return {name: getattr(builder, name) for name in names}

    return asyncio.run(work())


# What the client does


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run in an event loop of another thread: a notebook has one in this."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()


def _threads(client: Any) -> int:
    return sum(client.nthreads().values())


def _results(client: Any, tasks: list[Any]) -> Iterator[Any]:
    """Results as they come; the first error ends the others."""
    try:
        for task in cast(Any, as_completed(tasks)):
            yield task.result()
    except BaseException:
        client.cancel(tasks)
        raise


def _collected(batches: AsyncGenerator[list[ObjectInfo], None]) -> list[list[ObjectInfo]]:
    async def collect() -> list[list[ObjectInfo]]:
        return [batch async for batch in batches]

    return _run(collect())
