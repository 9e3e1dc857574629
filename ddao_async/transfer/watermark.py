"""
How far an import has come when rows finish in any order: all rows up to the low-water mark are done. Pure.

    row     1 2 3 4 5 6 7 8
            ✓ ✓ ✓ · ✓ ✓ ·          mark 3; rows 5 and 6 wait for row 4 and would be looked at again after a kill

Counts are those of the rows up to the mark, so that what a journal holds agrees with itself.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

from .row import Reject

Outcome = Literal["inserted", "replaced", "skipped", "rejected"]

MAX_KEPT_REJECTS = 200
"""Rejects kept for the journal, of each file; the others are only counted."""


class Done(msgspec.Struct, forbid_unknown_fields=True):
    """All rows up to `rows` (counted from 1), what became of them, and about how many bytes of the file they are."""

    rows: int = 0
    bytes: int = 0
    inserted: int = 0
    replaced: int = 0
    skipped: int = 0
    rejected: int = 0
    rejects: list[Reject] = msgspec.field(default_factory=list[Reject])


class Watermark:
    """
    The low-water mark of one file or part of one.

    Args:
        done: Where it stands.
    """

    def __init__(self, done: Done | None = None) -> None:
        self.done = done or Done()
        self.last = self.done.rows
        """The last row that was begun."""
        self._above: dict[int, Outcome | Reject] = {}
        self._read: deque[tuple[int, int]] = deque()

    @property
    def waiting(self) -> int:
        """Rows begun and not below the mark."""
        return self.last - self.done.rows

    def begin(self, row: int) -> None:
        """The next row is taken; rows are begun in order."""
        self.last = row

    def read_up_to(self, row: int, bytes: int) -> None:
        """The rows up to this one are in the first `bytes` of the file."""
        self._read.append((row, bytes))

    def finish(self, row: int, outcome: Outcome | Reject) -> None:
        """A row is done; a `Reject` says that it was not taken."""
        self._above[row] = outcome
        done = self.done
        while (found := self._above.pop(done.rows + 1, None)) is not None:
            done.rows += 1
            if isinstance(found, Reject):
                done.rejected += 1
                if len(done.rejects) < MAX_KEPT_REJECTS:
                    done.rejects.append(found)
            else:
                setattr(done, found, getattr(done, found) + 1)
        while self._read and self._read[0][0] <= done.rows:
            done.bytes = self._read.popleft()[1]
