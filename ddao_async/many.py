"""
Many records at a time: a few under way at once, and a report of each that failed. Nothing is raised per record.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from .errors import AlreadyExistsError, UniqueViolationError, ValidationError
from .model.record import LeftOut
from .storage.batch import each
from .storage.protocol import BatchResult

T = TypeVar("T")
OnConflict = Literal["error", "skip", "replace"]


class InsertReport(msgspec.Struct):
    """What became of many records: counts, and id -> error of each that was not written."""

    inserted: int = 0
    skipped: int = 0
    replaced: int = 0
    failed: dict[str, Exception] = {}


class Single(Protocol[T]):
    """The operations on one record that these repeat: a repository."""

    async def find_by_id(self, id: str) -> T | None: ...

    async def insert(self, record: T) -> T: ...

    async def upsert(self, record: T) -> bool: ...

    async def delete(self, id: str) -> bool: ...


async def insert(
    repository: Single[T], records: Iterable[T] | AsyncIterable[T], concurrency: int, on_conflict: OnConflict
) -> InsertReport:
    """As `Repository.insert_many`."""
    if on_conflict not in ("error", "skip", "replace"):
        raise ValidationError(f"on_conflict={on_conflict!r}.", hint="Use 'error', 'skip' or 'replace'.")
    report = InsertReport()

    async def write(record: T) -> None:
        if on_conflict == "replace" and not isinstance(getattr(record, "id", None), LeftOut):
            if await repository.upsert(record):
                report.inserted += 1
            else:
                report.replaced += 1
            return
        try:
            await repository.insert(record)
        except AlreadyExistsError as error:
            if on_conflict != "skip" or isinstance(error, UniqueViolationError):
                raise
            report.skipped += 1
        else:
            report.inserted += 1

    report.failed = (await each(records, write, _name, concurrency)).failed
    return report


async def get(repository: Single[T], ids: Sequence[str], concurrency: int) -> list[T | None]:
    """As `Repository.get_many`."""
    wanted = list(ids)
    found: dict[str, T | None] = {}

    async def find(id: str) -> None:
        found[id] = await repository.find_by_id(id)

    done = await each(dict.fromkeys(wanted), find, str, concurrency)
    for error in done.failed.values():
        raise error
    return [found[each_id] for each_id in wanted]


async def delete(repository: Single[T], ids: Iterable[str] | AsyncIterable[str], concurrency: int) -> BatchResult:
    """As `Repository.delete_many`."""

    async def remove(id: str) -> None:
        await repository.delete(id)

    return await each(ids, remove, str, concurrency)


def _name(record: object) -> str:
    """What a report calls a record that could not be written."""
    found = getattr(record, "id", None)
    return found if isinstance(found, str) and found else repr(record)[:200]
