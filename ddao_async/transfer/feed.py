"""
Hands the rows of an import out, one source after the other, to workers that take the next when they are done with one.

A unit is one part of one source: its rows are numbered by their place in the whole source (`number`: ids and marks rest
on it) and by their place among the unit's own (`position`: the watermark rests on it).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import NamedTuple

from .journal import Journal
from .row import Reject, Row
from .target import Reading
from .watermark import Done, Outcome, Watermark

BLOCK_ROWS = 500
"""Rows that stay together when an import is split into parts."""

MAX_AHEAD = 20_000
"""Rows taken while an earlier one of the same unit is not done: they are kept in mind."""


class Unit:
    """
    One part of one source, under way.

    Args:
        file: Number of the source.
        part: Number of the part.
        done: Where an earlier run left it.
    """

    def __init__(self, file: int, part: int, done: Done) -> None:
        self.file = file
        self.part = part
        self.mark = Watermark(done)
        self.is_read = False
        self.saved = done.rows

    @property
    def is_done(self) -> bool:
        """Every row of it is done."""
        return self.is_read and self.mark.waiting == 0


class Item(NamedTuple):
    """A row to be written: its unit, its place there, its place in the source."""

    unit: Unit
    position: int
    number: int
    row: Row


class Feed:
    """
    The rows of an import.

    Args:
        readings: The sources, by number; one that must not be read anew may have begun.
        exits: What closes them.
        parts: How many parts there are.
        wanted: The parts to hand out.
        journal: Where it is kept how far each part has come; None: nowhere.
        on_taken: Told what an earlier run did of a part.
        on_reject: Told of a row that the reader could not take.
        on_bytes: Told after each batch how many more bytes were read.

    Attributes:
        open: Units that are not both done and saved.
    """

    def __init__(
        self,
        readings: Sequence[Reading],
        exits: AsyncExitStack,
        *,
        parts: int,
        wanted: Sequence[int],
        journal: Journal | None,
        on_taken: Callable[[Done], None],
        on_reject: Callable[[Unit, int, Reject], None],
        on_bytes: Callable[[int], None],
    ) -> None:
        self.open: list[Unit] = []
        self._readings = readings
        self._exits = exits
        self._parts = parts
        self._wanted = wanted
        self._journal = journal
        self._on_taken = on_taken
        self._on_reject = on_reject
        self._on_bytes = on_bytes
        self._batches = self._read()
        self._items: deque[Item] = deque()
        self._is_over = False
        self._reading = asyncio.Lock()
        self._moved = asyncio.Event()

    async def next(self) -> Item | None:
        """The next row; None: there are no more."""
        while not self._items and not self._is_over:
            async with self._reading:
                if self._items or self._is_over:
                    continue
                batch = await anext(self._batches, None)
                if batch is None:
                    self._is_over = True
                else:
                    self._items.extend(batch)
        return self._items.popleft() if self._items else None

    def finish(self, unit: Unit, position: int, outcome: Outcome | Reject) -> None:
        """A row is done; `outcome` as for `Watermark.finish`."""
        unit.mark.finish(position, outcome)
        self._moved.set()

    async def close(self) -> None:
        """Stop reading."""
        await self._batches.aclose()

    async def _read(self) -> AsyncGenerator[list[Item], None]:
        for file, reading in enumerate(self._readings):
            for part in self._wanted:
                done = Done()
                if self._journal is not None:
                    entry = await self._journal.take(file, part)
                    done = entry.done
                    self._on_taken(done)
                    if entry.is_done:
                        self._on_bytes(done.bytes)
                        continue
                unit = Unit(file, part, done)
                self.open.append(unit)
                if self._parts > 1:
                    reading = Reading(reading.source, self._exits)
                async with aclosing(self._rows(unit, reading)) as batches:
                    async for items in batches:
                        yield items
                unit.is_read = True
                if self._journal is None:
                    self.open.remove(unit)

    async def _rows(self, unit: Unit, reading: Reading) -> AsyncGenerator[list[Item], None]:
        number = position = told = 0
        known = unit.mark.done.rows
        while (batch := await reading.next()) is not None:
            items: list[Item] = []
            for row in batch:
                number += 1
                if self._parts > 1 and (number - 1) // BLOCK_ROWS % self._parts != unit.part:
                    continue
                position += 1
                if position <= known:
                    continue
                unit.mark.begin(position)
                if isinstance(row, Reject):
                    self._on_reject(unit, position, row)
                else:
                    items.append(Item(unit, position, number, row))
            unit.mark.read_up_to(position, reading.bytes_read)
            self._on_bytes(reading.bytes_read - told)
            told = reading.bytes_read
            yield items
            while unit.mark.waiting > MAX_AHEAD and not self._items:
                self._moved.clear()
                await self._moved.wait()
