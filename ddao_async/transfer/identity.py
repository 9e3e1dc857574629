"""
What makes a run meet its own writes again: names, ids and marks that follow from the import and the row alone. Pure.

    tag     i3f9a0c1b2d4e        of the import's name
    mark    i3f9a0c1b2d4e_0_1f4_7b2c9e_        file 0, row 500, written by the run 7b2c9e
    revision of the document     the mark, then a nonce that was never drawn before

A document's revision begins with the mark of the row that wrote it, and its past keeps those of eight writes before. So
a later run can tell that a row was written before the kill even where others have written over it since, which equal
content could not.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence

import msgspec

from ..errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_MARK = re.compile(r"(i[0-9a-f]{12})_([0-9a-f]+)_([0-9a-f]+)_([0-9a-f]+)_")
_NAMESPACE = uuid.UUID("6c1f0f0e-2d5c-5a54-9f0b-3b1f7f0c2a11")


class Mark(msgspec.Struct, frozen=True):
    """Who wrote a revision: the import's tag, the file's number, the row's number, the run."""

    tag: str
    file: int
    row: int
    run: str


class Marker(msgspec.Struct, frozen=True):
    """
    The marks of one run of an import.

    Attributes:
        tag: Of the import.
        run: Drawn by this run.
        is_resumed: Writes of earlier runs are this import's own too; else only those of this very run.
    """

    tag: str
    run: str
    is_resumed: bool

    def mark(self, file: int, row: int) -> str:
        """What the revision of a row's document begins with."""
        return f"{self.tag}_{file:x}_{row:x}_{self.run}_"

    def own(self, revisions: Sequence[str]) -> list[Mark | None]:
        """For each revision: the row of this import that wrote it, or None."""
        found: list[Mark | None] = []
        for revision in revisions:
            match = _MARK.match(revision)
            is_own = match is not None and match[1] == self.tag and (self.is_resumed or match[4] == self.run)
            found.append(Mark(match[1], int(match[2], 16), int(match[3], 16), match[4]) if match and is_own else None)
        return found

    def has_written(self, revisions: Sequence[str], file: int, row: int) -> bool:
        """Whether one of these revisions is this row's."""
        return any(mark is not None and (mark.file, mark.row) == (file, row) for mark in self.own(revisions))

    def has_passed(self, revisions: Sequence[str], file: int, row: int) -> bool:
        """Whether one of these revisions is this row's or a later one's: rows of one id are written in their order."""
        return any(mark is not None and (mark.file, mark.row) >= (file, row) for mark in self.own(revisions))


def tag_of(name: str) -> str:
    """The tag of an import of this name."""
    return "i" + hashlib.sha256(name.encode()).hexdigest()[:12]


def default_name(table: str, identities: Sequence[str]) -> str:
    """The name of an import that was given none: it follows from the table and the contents of its files."""
    digest = hashlib.sha256("\0".join((table, *identities)).encode()).hexdigest()
    return f"{table}-{digest[:16]}"


def checked_name(name: str) -> str:
    """
    The name.

    Raises:
        ConfigurationError: It cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not the name of an import.", hint="Use letters, digits, '_', '-' and '.', at most 200."
        )
    return name


def row_id(name: str, identity: str, row: int) -> str:
    """The id of a row that brings none: a UUID of version 5, the same in every run."""
    return str(uuid.uuid5(_NAMESPACE, f"{name}\0{identity}\0{row}"))


def distinct(identities: Sequence[str]) -> list[str]:
    """The same, the second of two equal ones told apart: two files of equal content are two files."""
    seen: dict[str, int] = {}
    found: list[str] = []
    for identity in identities:
        count = seen[identity] = seen.get(identity, 0) + 1
        found.append(identity if count == 1 else f"{identity}#{count}")
    return found
