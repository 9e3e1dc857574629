"""
A transaction as its users hold it: repositories inside see its own writes, and nothing takes effect before the commit.

    async with db.transaction() as tx:
        accounts = tx.repository(Account)
        ...
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar, overload

from . import transaction
from .catalog import Catalog, known_table, layout_of
from .engine import Engine
from .model.record import Object, Record
from .model.schema import Table
from .repository import Repository

R = TypeVar("R", bound=Record)


class Opened(Protocol):
    """The database that a transaction belongs to."""

    @property
    def catalog(self) -> Catalog: ...

    def check(self) -> Engine: ...

    def token(self) -> object: ...


class Transaction:
    """
    One transaction of a database, for `async with`: repositories inside see its own writes.

    Attributes:
        status: `open`, then `committed`, `aborted`, or `undecided` when that cannot be found out.
    """

    def __init__(self, database: Opened) -> None:
        self._database = database
        self._tx = transaction.Transaction(database.check())

    @property
    def status(self) -> Literal["open", "committed", "aborted", "undecided"]:
        return self._tx.status

    async def __aenter__(self) -> Self:
        await self._tx.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tx.__aexit__(kind, error, traceback)

    @overload
    def repository(self, kind: type[R]) -> Repository[R]: ...
    @overload
    def repository(self, kind: str) -> Repository[Object]: ...
    def repository(self, kind: type[Any] | str) -> Repository[Any]:
        """The documents of a record class, or of a table by name, as this transaction sees them."""
        return Repository(self, kind)

    async def commit(self) -> None:
        """Let everything take effect now."""
        await self._tx.commit()

    async def rollback(self) -> None:
        """Give up; nothing was written."""
        await self._tx.rollback()

    def token(self) -> object:
        """For repositories: the open database's."""
        return self._database.token()

    async def source(self, kind: type[Record] | str) -> tuple[transaction.TransactionDocuments, Table]:
        """For repositories: the documents of a table as this transaction sees them."""
        table = await known_table(self._database.catalog, kind)
        return self._tx.documents(layout_of(table)), table

    def written(self, table: str) -> frozenset[str]:
        """For repositories: ids of a table that this transaction writes."""
        return self._tx.written_ids(table)
