"""
Repository: the documents of one table as records of a class, or as `Object`s.

    users = db.repository(User)
    user = await users.insert(User(email="a@b.c", name="Ann"))
    user = await users.modify(user.id, rename)

It turns records into raw fields and back (`model.codec`) and leaves everything else to `documents`, or to a
transaction's view of them: both have the same methods.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast

import msgspec

from . import many
from .errors import ConflictError, NotFoundError, ValidationError
from .many import InsertReport, OnConflict
from .model.codec import ObjectCodec, RecordCodec
from .model.keys import check_id
from .model.predicate import Predicate
from .model.timestamp import instant
from .model.uuid7 import uuid7
from .origin import Codec, Origin, Source
from .query import Query, Target
from .storage.batch import CONCURRENCY
from .storage.protocol import BatchResult
from .transaction import again
from .version import Snapshot, Version, expected

if TYPE_CHECKING:
    from pathlib import Path

    from .transfer.exports import ExportReport, Write
    from .transfer.options import ExportOptions

T = TypeVar("T")

_random_bits = SystemRandom().getrandbits


class Repository(Generic[T]):
    """
    One table. Made by `db.repository` or `tx.repository`; usable from many tasks at once.

    Args:
        origin: The database or transaction that it belongs to.
        kind: A record class, or the name of a table for dynamic objects.
    """

    def __init__(self, origin: Origin, kind: type[T] | str) -> None:
        self._origin = origin
        self._kind = kind
        self._token: object = None
        self._source: Any = None
        self._codec: Any = None if isinstance(kind, str) else RecordCodec(cast(Any, kind))

    def __repr__(self) -> str:
        return f"Repository({self._kind if isinstance(self._kind, str) else self._kind.__name__})"

    async def _open(self, token: object) -> Source:
        """The documents; looks for the table at the first call after the database was opened."""
        source, table = await self._origin.source(cast(Any, self._kind))
        if isinstance(self._kind, str):
            self._codec = ObjectCodec(table)
        self._source, self._token = source, token
        return source

    async def _documents(self) -> Source:
        token = self._origin.token()
        return self._source if token is self._token else await self._open(token)

    # One record

    async def get(self, id: str) -> T:
        """
        The record of this id.

        Raises:
            NotFoundError: There is none.
            CorruptDocumentError: What is stored does not fit the record type.
        """
        token = self._origin.token()
        source = self._source if token is self._token else await self._open(token)
        document = await source.get(check_id(id))
        if document is None:
            raise _missing(source, id)
        return self._codec.decode(id, document.fields)

    async def find_by_id(self, id: str) -> T | None:
        """The record of this id; None if there is none."""
        source = await self._documents()
        document = await source.get(check_id(id))
        return None if document is None else self._codec.decode(id, document.fields)

    async def find_by_key(self, key: str, value: object) -> T | None:
        """The first record whose column has this value; None if there is none."""
        return await self.find(Predicate(key, "==", (value,))).first()

    async def read(self, id: str) -> Snapshot[T]:
        """
        The record of this id with its version, to write over that and nothing else.

        Raises:
            NotFoundError: There is none.
        """
        source = await self._documents()
        held = await source.read(check_id(id))
        if held is None:
            raise _missing(source, id)
        document = held.document
        return Snapshot(
            self._codec.decode(id, document.fields),
            Version(held),
            instant(document.created_at),
            instant(document.updated_at),
        )

    async def insert(self, record: T) -> T:
        """
        Write a new record; one without an id gets one.

        Returns:
            The record with its id.

        Raises:
            AlreadyExistsError: There is one of this id; UniqueViolationError: one with a unique value of it.
            ValidationError: A value does not fit; nothing was written.
            UnknownOutcomeError: It may have been written. Inserting it again, with its id, is safe.
        """
        token = self._origin.token()
        source = self._source if token is self._token else await self._open(token)
        id = self._codec.id_of(record)  # noqa: A001
        if id is None:
            id = uuid7(source.engine.clock(), _random_bits(62))  # noqa: A001
            record = self._codec.with_id(record, id)
        await source.insert(id, self._codec.encode(record))
        return record

    async def update(self, record: T, *, if_version: Any = msgspec.UNSET) -> T:
        """
        Replace a record; fields of the document that its type does not know stay.

        Args:
            if_version: Only over this version (`read` gives it); left out: over whatever is there now.

        Raises:
            NotFoundError: There is none.
            ConflictError: With `if_version`: it changed since, or is gone.
        """
        source = await self._documents()
        codec: Codec[T] = self._codec
        id = self._id_of(record)  # noqa: A001
        fields = codec.encode(record)
        version, known = expected(if_version)
        await source.update(id, lambda held: codec.merge(id, held.fields, fields), version=version, known=known)
        return record

    async def upsert(self, record: T) -> bool:
        """Write a record whether or not there is one of its id. True when new."""
        source = await self._documents()
        codec: Codec[T] = self._codec
        id = self._id_of(record)  # noqa: A001
        fields = codec.encode(record)
        return await source.upsert(id, lambda held: codec.merge(id, held.fields, fields) if held else fields)

    async def delete(self, id: str, *, if_version: Any = msgspec.UNSET) -> bool:
        """
        Delete a record. False if there was none.

        Raises:
            ConflictError: With `if_version`: it changed since, or is gone.
        """
        source = await self._documents()
        version, known = expected(if_version)
        return await source.delete(check_id(id), version=version, known=known)

    async def modify(self, id: str, change: Callable[[T], T | Awaitable[T]]) -> T:
        """
        Read a record, change it, write it if nobody else did meanwhile; again from the start if somebody did.

        Args:
            change: From the record to what shall be written; may wait, may be called several times. Raising leaves
                everything as it is, and so does a result that differs in nothing.

        Returns:
            What was written.

        Raises:
            NotFoundError: There is none.
            ConflictError: Others kept writing for 30 s.
        """
        source = await self._documents()
        codec: Codec[T] = self._codec
        check_id(id)

        async def attempt() -> T:
            held = await source.read(id)
            if held is None:
                raise _missing(source, id)
            value = codec.decode(id, held.document.fields)
            before = _encoded(codec, value)
            answer = change(value)
            changed = cast(T, await answer if inspect.isawaitable(answer) else answer)
            if self._id_of(changed) != id:
                raise ValidationError(f"The change of {id!r} returned another id.", hint="Return the record changed.")
            fields = codec.encode(changed)
            if fields != before:
                merged = codec.merge(id, held.document.fields, fields)
                await source.update(id, lambda _: merged, version=held.version, known=held)
            return changed

        return await again(source.engine, attempt, on=ConflictError)

    # Many records

    def find(self, *predicates: Predicate, **equal: object) -> Query[T]:
        """
        Search: all predicates must hold, `users.find(field("age") >= 18, country="NL")`.

        Returns:
            A query, which runs when it is iterated over or asked for results.
        """
        for each_predicate in predicates:
            if not isinstance(each_predicate, Predicate):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValidationError(
                    f"{each_predicate!r} is not a predicate.", hint='Write find(ddao.field("age") >= 18, country="NL").'
                )
        wanted = [*predicates, *(Predicate(name, "==", (value,)) for name, value in equal.items())]
        return Query(self._target, wanted)

    async def _target(self) -> Target[T]:
        source = await self._documents()
        return Target(source, self._codec, self._origin.written(source.table.name))

    async def count(self, *predicates: Predicate, estimate: bool = False, **equal: object) -> int:
        """How many records match; with `estimate`, see `Query.count`."""
        return await self.find(*predicates, **equal).count(estimate=estimate)

    async def insert_many(
        self,
        records: Iterable[T] | AsyncIterable[T],
        *,
        concurrency: int = CONCURRENCY,
        on_conflict: OnConflict = "error",
    ) -> InsertReport:
        """
        Insert many records, `concurrency` at a time, taking them as they are needed.

        Args:
            on_conflict: What to do about an id that exists: `error` (it goes to `failed`), `skip`, `replace`. Another
                document with a unique value of the record is always a failure.

        Returns:
            Counts, and id -> error of each record that was not written. Only an error of `records` itself is raised.
        """
        await self._documents()
        return await many.insert(self, records, concurrency, on_conflict)

    async def get_many(self, ids: Sequence[str], *, concurrency: int = CONCURRENCY) -> list[T | None]:
        """
        Records in the order of their ids, None where there is none.

        Raises:
            The error of the first that cannot be read.
        """
        await self._documents()
        return await many.get(self, ids, concurrency)

    async def delete_many(
        self, ids: Iterable[str] | AsyncIterable[str], *, concurrency: int = CONCURRENCY
    ) -> BatchResult:
        """Delete many records; missing ones count as deleted. Returns how many, and id -> error of the others."""
        await self._documents()
        return await many.delete(self, ids, concurrency)

    async def export(self, target: str | Path | Write, **options: Unpack[ExportOptions]) -> ExportReport:
        """
        Write all documents to a file, in memory that does not grow with the table.

        Args:
            target: A path, which exists once the file is whole (.gz and .zst pack it), or an async function of bytes.
            options: `format`, `ranges`, `concurrency`, `on_progress`: see `transfer.options.ExportOptions`.

        Returns:
            The counts, and in `problems` what could not be read as a document.
        """
        from .transfer.exports import export_documents  # files and formats are for those who export

        return await export_documents(await self._documents(), self._codec.table, target, **options)

    def _id_of(self, record: T) -> str:
        id = self._codec.id_of(record)  # noqa: A001
        if id is None:
            raise ValidationError("The record has no id.", hint="Give it the id of the document, or insert it.")
        return id


def _missing(source: Source, id: str) -> NotFoundError:
    return NotFoundError(f"There is no document {id!r} in table {source.table.name!r}.", hint="Check the id.")


def _encoded(codec: Codec[T], value: T) -> bytes | None:
    """What is stored as this library would write it; None if it would not (another tool wrote it)."""
    try:
        return codec.encode(value)
    except ValidationError:
        return None
