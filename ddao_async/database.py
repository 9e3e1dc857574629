"""
Database: the composition root. It owns every lifetime, and hands out repositories, transactions and leases.

    async with Database(store, schema) as db:
        users = db.repository(User)

An open database belongs to one event loop of one process. After closing it may be opened again, in another loop too.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast, overload

from .catalog import Catalog, known_table
from .documents import Documents
from .engine import Engine, Settings
from .errors import SchemaError, TransactionConflictError
from .lease import Lease
from .lifetime import Lifetime
from .model.codec import check_object
from .model.record import Object, Record
from .model.schema import Column, Schema, Table
from .repository import Repository
from .storage.protocol import ObjectStore
from .transacted import Transaction
from .transaction import again

if TYPE_CHECKING:
    from .maintenance import Checked, Vacuumed
    from .transfer.imports import ImportReport
    from .transfer.options import ImportOptions
    from .transfer.preview import ImportPreview

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Database:
    """
    The tables of one store.

    Usable at once over a store that is open, or inside `async with`, which opens and closes the store too.

    Args:
        store: Anything that has the six primitives of `ObjectStore`.
        schema: What the program declares; `create_tables()` creates it.
        settings: Times of the protocol.

    Attributes:
        store: The same.
        is_private: Nobody else can reach the store: it was made by `connect`, in memory.
    """

    def __init__(self, store: ObjectStore, schema: Schema | None = None, *, settings: Settings | None = None) -> None:
        self.store = store
        self._schema = schema or Schema()
        self.is_private = False
        self._lifetime = Lifetime(store, settings)
        self._catalog: Catalog | None = None
        self._by_name: dict[str, Repository[Object]] = {}

    def __repr__(self) -> str:
        return f"Database({self.store!r})"

    # Lifetime

    async def open(self) -> Self:
        """Open the store, and look whether its bucket is there (one request). Creates nothing."""
        await self._lifetime.open()
        return self

    async def close(self) -> None:
        """Close it and the store that it opened. Safe to call twice; it may be opened again."""
        await self._lifetime.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def check(self) -> Engine:
        """
        The engine of this open database.

        Raises:
            ClosedError: It is closed, or open in another event loop, or in the process that this one was forked from.
        """
        return self._lifetime.check()

    @property
    def schema(self) -> Schema:
        """The tables that were declared, or met so far."""
        return self._schema if self._catalog is None else self._schema.with_tables(self._catalog.known)

    @property
    def engine(self) -> Engine:
        """What all operations on the bucket share."""
        return self.check()

    @property
    def catalog(self) -> Catalog:
        """The tables of the bucket, as far as they are known."""
        engine = self.check()
        if self._catalog is None or self._catalog.engine is not engine:
            self._catalog = Catalog(engine, self._schema)
        return self._catalog

    def stats(self) -> dict[str, int]:
        """Requests sent by kind, every attempt counted; empty for a store that does not count."""
        stats: Callable[[], dict[str, int]] = getattr(self.store, "stats", dict[str, int])
        return stats()

    # Tables

    async def create_tables(self, schema: Schema | None = None) -> Schema:
        """
        Create the tables of a schema (default: the database's own) as far as they are missing. Safe to repeat.

        Raises:
            SchemaError: A declaration clashes with what is stored.
        """
        from .tables import create_tables  # the probe and builders are for starts, not for every import

        wanted = self.schema if schema is None else schema
        if not isinstance(wanted, Schema):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SchemaError(f"{wanted!r} is not a schema.", hint="Write create_tables(ddao.Schema.of(User, ...)).")
        created = await create_tables(self.catalog, wanted)
        self._learn(created)
        return self.schema

    async def alter_table(
        self, table: str, *columns: Column, indexes: Sequence[Sequence[str]] = (), exclusive: bool | None = None
    ) -> Table:
        """
        Add columns, or indexes on columns, to a table; an index is built over what is there before this returns.

        Args:
            indexes: Indexes over several columns: `[("country", "city")]`.
            exclusive: Nobody else writes to the table now or did so in the last minutes: the wait for other writers
                (17 minutes on S3) is skipped. Default: only where nobody else can, in memory.

        Raises:
            SchemaError: It clashes with what is stored; documents share a value that shall be unique.
        """
        from .tables import alter_table

        alone = self.is_private if exclusive is None else exclusive
        altered = await alter_table(self.catalog, table, columns, indexes, exclusive=alone)
        self._learn([altered])
        return altered

    async def drop_index(self, table: str, index: str, *, exclusive: bool | None = None) -> Table:
        """
        Remove an index, or the uniqueness of a column, beside running readers and writers; the column stays.

        Args:
            index: Name of its column; of several columns: their names with `~` between them.
            exclusive: As in `alter_table`.
        """
        from .tables import drop_index

        alone = self.is_private if exclusive is None else exclusive
        altered = await drop_index(self.catalog, table, index, exclusive=alone)
        self._learn([altered])
        return altered

    async def reindex(
        self, table: str, *, exclusive: bool | None = None, on_document: Callable[[str], object] | None = None
    ) -> Checked:
        """
        Build the declared indexes of a table that are not complete; check the others, and write what is missing.

        Args:
            exclusive: As in `alter_table`.
            on_document: Called with each id that is done.
        """
        from .catalog import layout_of
        from .maintenance import reindex

        layout = layout_of(await self.catalog.table(table))
        alone = self.is_private if exclusive is None else exclusive
        _, checked = await reindex(self.check(), layout, exclusive=alone, on_document=on_document)
        return checked

    async def vacuum(self, *, dry_run: bool = False) -> Vacuumed:
        """Remove what crashes, lost answers and deletes left, each thing a day after it was written."""
        from .maintenance import vacuum

        return await vacuum(self.check(), dry_run=dry_run)

    def _learn(self, tables: Sequence[Table]) -> None:
        """These tables are as given now: repositories look again."""
        self._schema = self._schema.with_tables(tables)
        self._lifetime.token = object()

    async def tables(self) -> list[str]:
        """Names of all tables in the bucket."""
        return await self.catalog.names()

    async def table(self, name: str) -> Table:
        """A table as the bucket holds it; SchemaError if it was never created."""
        return await self.catalog.table(name)

    # Documents

    @overload
    def repository(self, kind: type[R]) -> Repository[R]: ...
    @overload
    def repository(self, kind: str) -> Repository[Object]: ...
    def repository(self, kind: type[Any] | str) -> Repository[Any]:
        """The documents of a record class, or of a table by name. Keep it: making one costs more than using it."""
        return Repository(self, kind)

    def token(self) -> object:
        """For repositories: what is open now, and which tables it knows."""
        self._lifetime.check()
        return self._lifetime.token

    async def source(self, kind: type[Record] | str) -> tuple[Documents, Table]:
        """For repositories: the documents of a table, and what it holds."""
        table = await known_table(self.catalog, kind)
        return self.catalog.documents(table), table

    def written(self, table: str) -> frozenset[str]:  # noqa: ARG002
        """For repositories: nothing is written before it is stored."""
        return frozenset()

    async def insert(self, obj: Object) -> Object:
        """`Repository.insert` of an object."""
        return await self._objects(check_object(obj).table_name).insert(obj)

    async def update(self, obj: Object) -> Object:
        """`Repository.update` of an object."""
        return await self._objects(check_object(obj).table_name).update(obj)

    async def upsert(self, obj: Object) -> bool:
        """`Repository.upsert` of an object."""
        return await self._objects(check_object(obj).table_name).upsert(obj)

    async def find_by_id(self, table: str, id: str) -> Object | None:
        """`Repository.find_by_id` of a table."""
        return await self._objects(table).find_by_id(id)

    async def find_by_key(self, table: str, key: str, value: object) -> Object | None:
        """`Repository.find_by_key` of a table."""
        return await self._objects(table).find_by_key(key, value)

    async def delete_by_id(self, table: str, id: str) -> bool:
        """`Repository.delete` of a table."""
        return await self._objects(table).delete(id)

    def _objects(self, table: str) -> Repository[Object]:
        found = self._by_name.get(table)
        if found is None:
            found = self._by_name[table] = self.repository(table)
        return found

    # Many documents from elsewhere

    async def import_records(
        self, kind: type[Record] | str, source: object, **options: Unpack[ImportOptions]
    ) -> ImportReport:
        """
        Write every row of a source as a document, in memory that does not grow with it.

        Args:
            kind: A record class, or the name of a table; one that is not there is created, as the rows need it.
            source: A path, a glob pattern or a list of them (JSON lines, JSON, CSV, Parquet; .gz, .zst), or a sync or
                async iterable of dicts, records or objects.
            options: `key`, `format`, `on_conflict`, `concurrency`, `resume`, `name`, `on_reject`, `on_progress`: see
                `transfer.options.ImportOptions`.

        Returns:
            The counts. Rejected rows are no error here: `on_reject` is told of each, with its line and the reason.

        Raises:
            ConfigurationError: An option or the source's name cannot be; it is resumed with other files.
            ValidationError: A source is not of its format at all, or no row has the key.
            ConflictError: Another process has taken this import over.
            StoreError: The store failed, or did not recover within two minutes.
        """
        from .transfer.imports import import_records  # readers and anyio are for those who import

        return await import_records(self, kind, source, **options)

    async def preview_import(
        self, kind: type[Record] | str, source: object, **options: Unpack[ImportOptions]
    ) -> ImportPreview:
        """Read what `import_records` would write: what it would do, and how many requests that takes."""
        from .transfer.preview import preview_import

        return await preview_import(self, kind, source, **options)

    # Transactions, leases

    def transaction(self) -> Transaction:
        """A transaction: `async with db.transaction() as tx`. Commits on exit, rolls back on an exception."""
        return Transaction(self)

    @overload
    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T: ...
    @overload
    async def run(self, work: Callable[[Transaction], T]) -> T: ...
    async def run(self, work: Callable[[Transaction], T | Awaitable[T]]) -> T:
        """
        Run `work(tx)` in a transaction, and all of it again after a conflict, until 30 s have passed.

        Raises:
            TransactionConflictError: The last one.
        """

        async def attempt() -> T:
            async with self.transaction() as tx:
                answer = work(tx)
                return cast(T, await answer if inspect.isawaitable(answer) else answer)

        return await again(self.check(), attempt, on=TransactionConflictError)

    def lease(self, name: str, *, ttl: float = 30.0, timeout: float | None = None) -> Lease:
        """A lease: `async with db.lease("nightly", ttl=30) as lease`. One holder at a time; its token only grows."""
        return Lease(self.check(), name, ttl=ttl, timeout=timeout)
