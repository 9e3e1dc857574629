"""
Import: rows from sources into a table, many at once, in memory that does not grow with them, exactly once.

    sources ─► reader ─► rows ─► workers ─► gate ─► documents
                 │                  │
                 └──── rejects ◄────┘ ───► watermark ─► journal        each reject with its line and reason

A row that cannot be taken never stops the others. A store that fails does, once it has not recovered for two minutes:
nothing says that the next row would fare better. Rows of one id are written in the order of the sources. A worker takes
a row when it is done with the last one, so a slow store slows the reading.

An import may be split into parts that different processes do: part p of n has every n-th block of 500 rows.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import SystemRandom
from typing import Any, Unpack, cast

import anyio
import anyio.to_thread
import msgspec

from ..errors import ConfigurationError, ConflictError, CorruptDocumentError, DDAOError, ValidationError
from ..model.record import Record
from ..model.schema import Schema, Table
from ..model.uuid7 import uuid7
from .feed import Feed, Item, Unit
from .identity import Marker, default_name, distinct, row_id, tag_of
from .journal import Journal, Plan, PlannedSource
from .options import ImportOptions, Options, checked
from .row import Reject
from .source import Source, sources_of
from .target import Reading, Tables, Target, inferred, stored_table, table_name
from .watermark import Done, Outcome
from .writer import Writer

_log = logging.getLogger("ddao_async.imports")

SAVE_SECONDS = 2.0
"""How often the journal is written while rows are: what a kill makes the next run look at again."""

_random_bits = SystemRandom().getrandbits


class ImportReport(msgspec.Struct):
    """
    What an import did, so far or in the end: counts of rows, and bytes of the sources that were read.

    Attributes:
        resumed: Rows among the counts that an earlier run had done.
        created_columns: Name to type of the columns, if the import created the table.
        name: Of the import; empty if it has no name that another run would share.
        parts: How many the import is split into.
    """

    table: str
    inserted: int = 0
    replaced: int = 0
    skipped: int = 0
    rejected: int = 0
    resumed: int = 0
    bytes_read: int = 0
    created_columns: dict[str, str] | None = None
    name: str = ""
    parts: int = 1

    @property
    def rows(self) -> int:
        """All rows that were dealt with."""
        return self.inserted + self.replaced + self.skipped + self.rejected


async def import_records(
    db: Tables, kind: type[Record] | str, source: object, **given: Unpack[ImportOptions]
) -> ImportReport:
    """As `Database.import_records`."""
    options = checked(given)
    async with AsyncExitStack() as exits:
        readings = [Reading(each, exits) for each in sources_of(source, format=options.format)]
        job = await _prepared(db, kind, readings, options)
        if job is None:
            return ImportReport(table_name(kind), bytes_read=sum(reading.bytes_read for reading in readings))
        try:
            await job.run(readings, exits)
        except BaseExceptionGroup as group:
            raise _first(cast(Any, group)) from None
        return job.report


async def prepare_import(
    db: Tables, kind: type[Record] | str, source: object, **given: Unpack[ImportOptions]
) -> ImportReport | None:
    """
    Create the table and the journal of an import whose parts other processes will do; writes no row.

    Returns:
        A report without counts, its `parts` being those to do; None: there are no rows.
    """
    options = checked(given)
    async with AsyncExitStack() as exits:
        readings = [Reading(each, exits) for each in sources_of(source, format=options.format)]
        job = await _prepared(db, kind, readings, options)
        if job is None:
            return None
        job.report.parts = job.parts
        return job.report


async def _prepared(
    db: Tables,
    kind: type[Record] | str,
    readings: Sequence[Reading],
    options: Options,
) -> _Import | None:
    """The import, its table and its journal being there; None: there are no rows."""
    identities, name = await named(table_name(kind), [reading.source for reading in readings], options)
    created = None
    table = await stored_table(db, table_name(kind))
    if table is None:
        table = await table_for(kind, options.key, readings)
        if table is None:
            return None
        created = {column.name: column.type for column in table.columns}
        await db.create_tables(Schema.of(table if isinstance(kind, str) else kind))
    documents, table = await db.source(kind)
    engine, run = db.engine, secrets.token_hex(4)
    journal, parts = None, options.parts
    if options.resume:
        await engine.prepare()
        journal = Journal(engine, name, run)
        sources = [
            PlannedSource(reading.source.name, identity) for reading, identity in zip(readings, identities, strict=True)
        ]
        plan = Plan(table.name, options.key, options.on_conflict, sources, parts)
        parts = (await journal.begin(plan)).parts
    marker = Marker(tag_of(name), run, options.resume)
    job = _Import(Target(kind, table, options.key), Writer(documents, marker, options.on_conflict), options)
    job.report = ImportReport(table.name, created_columns=created, name=name if options.name or all(identities) else "")
    job.name, job.identities, job.journal, job.parts = name, identities, journal, parts
    return job


async def table_for(kind: type[Record] | str, key: str | None, readings: Sequence[Reading]) -> Table | None:
    """The table to create: as its class declares it, or as the rows need it. None: there are no rows."""
    if isinstance(kind, str):
        return await inferred(kind, key, readings)
    (table,) = Schema.of(kind)
    return table


async def named(table: str, sources: Sequence[Source], options: Options) -> tuple[list[str], str]:
    """
    What identifies each source (empty: nothing does), and the name of the import.

    Raises:
        ConfigurationError: It shall be resumed, and nothing would tell that it is the same.
    """
    found: list[str] = []
    for source in sources:
        if source.identity is not None:
            found.append(await anyio.to_thread.run_sync(source.identity))
        elif options.name is not None:
            found.append(f"{len(found)}:{source.format}")
        elif options.resume:
            raise ConfigurationError(
                f"Nothing tells that {source.name} holds the same rows again.",
                hint="Give the import a name, and the same rows in the same order each time.",
            )
        else:
            found.append("")
    identities = distinct(found) if all(found) else found
    if options.name is not None:
        return identities, options.name
    return identities, default_name(table, identities) if all(found) else secrets.token_hex(16)


class _Import:
    """One import under way: the counts, and which ids are being written."""

    report: ImportReport
    name: str
    identities: list[str]
    journal: Journal | None
    parts: int

    def __init__(self, target: Target, writer: Writer, options: Options) -> None:
        self._target = target
        self._writer = writer
        self._options = options
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._readings: Sequence[Reading] = ()
        self._done_before = 0

    async def run(self, readings: Sequence[Reading], exits: AsyncExitStack) -> None:
        """Write every row."""
        self._readings = readings
        wanted = range(self.parts) if self._options.part is None else [self._options.part]

        def on_reject(unit: Unit, position: int, reject: Reject) -> None:
            self._finish(feed, unit, position, reject)

        feed = Feed(
            readings,
            exits,
            parts=self.parts,
            wanted=wanted,
            journal=self.journal,
            on_taken=self._take_over,
            on_reject=on_reject,
            on_bytes=self._count_bytes,
        )
        concurrency = self._options.concurrency
        async with self._gated(concurrency), self._journalled(feed):
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(concurrency):
                        group.create_task(self._work(feed))
            finally:
                await feed.close()
                self._count_bytes(0)

    @asynccontextmanager
    async def _gated(self, concurrency: int) -> AsyncGenerator[None, None]:
        gate = self._writer.gate
        gate.open(concurrency)
        try:
            yield
        finally:
            gate.close(concurrency)

    @asynccontextmanager
    async def _journalled(self, feed: Feed) -> AsyncGenerator[None, None]:
        """Write the journal from time to time, and at the end, whatever the end is."""
        if self.journal is None:
            yield
            return
        journal, is_over = self.journal, asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_save_regularly(feed, journal, is_over))
                yield
                is_over.set()
        except BaseException:
            with anyio.move_on_after(5, shield=True):
                try:
                    await _save(feed, journal)
                except DDAOError as error:  # the first error is the one to tell
                    _log.warning("The journal of import %r could not be written at its end: %s", journal.name, error)
            raise
        await _save(feed, journal)

    async def _work(self, feed: Feed) -> None:
        while (item := await feed.next()) is not None:
            id: str | None = None  # noqa: A001
            try:
                id = self._id(item)  # noqa: A001
                fields = self._target.fields_of(item.row, id, is_text=self._readings[item.unit.file].source.is_text)
                outcome: Outcome | Reject = await self._in_turn(id, fields, item)
            except (ValidationError, ConflictError, CorruptDocumentError) as error:
                outcome = Reject(item.row.line, str(error), id)
            self._finish(feed, item.unit, item.position, outcome)

    def _id(self, item: Item) -> str:
        found = self._target.id_of(item.row)
        if found is not None:
            return found
        identity = self.identities[item.unit.file]
        if identity:
            return row_id(self.name, identity, item.number)
        return uuid7(self._writer.clock(), _random_bits(62))

    async def _in_turn(self, id: str, fields: bytes, item: Item) -> Outcome:
        """Write the document once every earlier row of the same id is written."""
        while (earlier := self._in_flight.get(id)) is not None:
            await asyncio.wait((earlier,))
        mine = self._in_flight[id] = asyncio.get_running_loop().create_future()
        try:
            return await self._writer.write(id, fields, item.unit.file, item.number)
        finally:
            del self._in_flight[id]
            mine.set_result(None)

    def _finish(self, feed: Feed, unit: Unit, position: int, outcome: Outcome | Reject) -> None:
        if isinstance(outcome, Reject):
            if len(self._readings) > 1:
                outcome = msgspec.structs.replace(outcome, file=self._readings[unit.file].source.name)
            self.report.rejected += 1
            if self._options.on_reject is not None:
                self._options.on_reject(outcome)
        else:
            setattr(self.report, outcome, getattr(self.report, outcome) + 1)
        feed.finish(unit, position, outcome)

    def _take_over(self, done: Done) -> None:
        """An earlier run did these rows."""
        report = self.report
        report.inserted += done.inserted
        report.replaced += done.replaced
        report.skipped += done.skipped
        report.rejected += done.rejected
        self._done_before += done.rows
        report.resumed = self._done_before + self._writer.met
        for reject in done.rejects if self._options.on_reject is not None else ():
            self._options.on_reject(reject)  # type: ignore[misc]

    def _count_bytes(self, count: int) -> None:
        self.report.bytes_read += count
        self.report.resumed = self._done_before + self._writer.met
        if self._options.on_progress is not None:
            self._options.on_progress(self.report)


async def _save_regularly(feed: Feed, journal: Journal, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        with anyio.move_on_after(SAVE_SECONDS):
            await is_over.wait()
        await _save(feed, journal)


async def _save(feed: Feed, journal: Journal) -> None:
    """Write how far each unit has come that has moved; those that are done are out of the way then."""
    for unit in list(feed.open):
        is_done, rows = unit.is_done, unit.mark.done.rows
        if is_done or rows != unit.saved:
            await journal.save(unit.file, unit.part, unit.mark.done, is_done=is_done)
            unit.saved = rows
        if is_done:
            feed.open.remove(unit)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    first = group.exceptions[0]
    return _first(cast(Any, first)) if isinstance(first, BaseExceptionGroup) else first
