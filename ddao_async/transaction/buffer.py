"""
Transaction: what was read and what shall be written, until it is committed or not.

    tx = Transaction(engine)
    accounts = tx.documents(TableLayout("accounts"))
    await accounts.update("ann", lambda document: ...)      # read now, written at the commit
    await tx.commit()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

from ..claims import Owned
from ..documents import Change, Documents, expected
from ..engine import Engine
from ..errors import (
    AlreadyExistsError,
    ClosedError,
    DDAOError,
    NotFoundError,
    TransactionConflictError,
    UnknownOutcomeError,
    UnsupportedError,
    ValidationError,
)
from ..model.body import Versioned, successor, visible
from ..model.document import Document
from ..settle import settled
from ..state import TableLayout
from ..writing import Deleted, Refused, Stored, erase, unknown_outcome, write
from .commit import Commit
from .plan import ERASE, Erase, Key, Put, Write, is_unchanged, plan


class Transaction:
    """
    Reads and writes of several documents that take effect as a whole, or not at all.

    Everything read by id is protected: the commit fails if any of it has changed. Use once, from `async with` (commits
    on exit, rolls back on an exception) or with `commit` and `rollback`. Starts with the first read.

    Attributes:
        status: `open`, then `committed`, `aborted`, or `undecided` when that cannot be found out.
    """

    def __init__(self, engine: Engine) -> None:
        self.status: Literal["open", "committed", "aborted", "undecided"] = "open"
        self._engine = engine
        self._tables: dict[str, TableLayout] = {}
        self._seen: dict[Key, Versioned | None] = {}
        self._writes: dict[Key, Write] = {}
        self._began: float | None = None
        self._is_entered = False

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise UnsupportedError(
                "Transactions cannot be nested.",
                hint="Use the one that is open, or open another with db.transaction().",
            )
        self._is_entered = True
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            await self.rollback()
        elif self.status == "open":
            await self.commit()

    def documents(self, table: TableLayout) -> TransactionDocuments:
        """The documents of a table, as this transaction sees them."""
        return TransactionDocuments(self, self._engine, self._tables.setdefault(table.name, table))

    async def rollback(self) -> None:
        """Give up; nothing was written. Does nothing to a transaction that has ended."""
        if self.status == "open":
            self.status = "aborted"

    async def commit(self) -> None:
        """
        Write everything, if nothing that was read has changed.

        Raises:
            TransactionConflictError: Nothing was written: run the whole block again.
            UniqueViolationError: Nothing was written: another document has a unique value.
            UnknownOutcomeError: It was committed as a whole, or not at all.
        """
        self._check_open()
        self.status = "undecided"  # and stays so if this task is cancelled on the way
        try:
            await self._commit()
        except UnknownOutcomeError:
            raise
        except DDAOError:
            self.status = "aborted"
            raise
        self.status = "committed"

    async def _commit(self) -> None:
        todo = plan(self._seen, self._writes)
        if todo.single is not None:
            await self._commit_single(*todo.single)
        elif not todo.is_empty:
            began = self._began if self._began is not None else self._engine.monotonic()
            await Commit(self._engine, self._tables, self._seen, todo, began).run()

    async def _commit_single(self, key: Key, wanted: Write) -> None:
        """One document and nothing else: a conditional write of it, again where it was only fenced meanwhile."""
        table, seen, owned = self._tables[key[0]], self._seen[key], Owned()
        held = seen
        while True:
            match wanted:
                case Put(fields, renew):
                    done = await write(self._engine, table, key[1], held, fields, owned, renew=renew)
                case Erase():
                    if held is None:
                        return
                    done = await erase(self._engine, table, held)
            match done:
                case Stored() | Deleted(True):
                    return
                case Deleted():
                    raise unknown_outcome("delete", table, key[1])
                case Refused(now):
                    if not is_unchanged(seen, now):
                        reason = f"document {key[1]!r} of table {key[0]!r} was written by somebody else"
                        raise TransactionConflictError(
                            f"The transaction was rolled back: {reason}.",
                            hint="Run the whole block again; `db.run` does.",
                            reason=reason,
                        )
                    held = now

    # For TransactionDocuments

    def _check_open(self) -> None:
        if self.status != "open":
            raise ClosedError("This transaction has ended.", hint="Start another with `db.transaction()`.")

    async def see(self, table: TableLayout, id: str, known: Versioned | None = None) -> Versioned | None:
        """What a key held when this transaction first looked."""
        self._check_open()
        key = (table.name, id)
        if key in self._seen:
            return self._seen[key]
        if len(self._seen) >= self._engine.settings.max_transaction_keys:
            raise ValidationError(
                f"A transaction may read and write {self._engine.settings.max_transaction_keys} documents, not more.",
                hint="Split it, or read documents that need no protection outside of it.",
            )
        if self._began is None:
            self._began = self._engine.monotonic()
        await self._check_supported(table)
        held = known or await settled(self._engine, table, id)
        self._check_open()
        return self._seen.setdefault(key, held)

    async def _check_supported(self, table: TableLayout) -> None:
        copy = await self._engine.states.any(table, create=False)
        self._engine.require_conditional_put("A transaction")
        allowed = copy.state.transactions if copy.state is not None else table.transactions
        if not allowed:
            raise UnsupportedError(
                f"Table {table.name!r} was created with transactions=False.",
                hint="Use its documents outside of transactions, or create another table.",
            )

    def written(self, table: TableLayout, id: str) -> Write | None:
        """What this transaction will write to a key."""
        return self._writes.get((table.name, id))

    def written_ids(self, table: str) -> frozenset[str]:
        """Ids of a table that this transaction puts or deletes."""
        return frozenset(key[1] for key in self._writes if key[0] == table)

    def put(self, table: TableLayout, id: str, fields: bytes) -> Document:
        """Keep new fields for a key that has been seen; the document as it will look."""
        key = (table.name, id)
        before = self._writes.get(key)
        renew = isinstance(before, Erase) or (isinstance(before, Put) and before.renew)
        self._writes[key] = Put(fields, renew)
        return self.preview(table, id, Put(fields, renew))

    def erase(self, table: TableLayout, id: str) -> None:
        """Keep that a key that has been seen shall have no document."""
        self._writes[table.name, id] = ERASE

    def preview(self, table: TableLayout, id: str, wanted: Put) -> Document:
        """A document before it is written: without revision, its times as of now."""
        held, now = self._seen[table.name, id], self._engine.timestamp()
        return successor(
            held, table=table.name, id=id, fields=wanted.fields, revision=None, now=now, renew=wanted.renew
        )


class TransactionDocuments:
    """
    The documents of one table as one transaction sees them: `Documents`' methods, its own writes included.

    Attributes:
        is_usable, entries, claimed: As of `Documents`: what indexes say is neither changed nor protected by a
            transaction.
    """

    def __init__(self, tx: Transaction, engine: Engine, table: TableLayout) -> None:
        self.table = table
        self.engine = engine
        self._tx = tx
        stored = Documents(table, engine=engine)
        self.is_usable = stored.is_usable
        self.entries = stored.entries
        self.claimed = stored.claimed

    async def get(self, id: str) -> Document | None:
        """The document, as this transaction left it or as it was read first; None if there is none."""
        held = await self.read(id)
        return None if held is None else held.document

    async def read(self, id: str, known: Versioned | None = None) -> Versioned | None:
        """The document, and the version that it had when it was read; empty for one that was missing."""
        held = await self._tx.see(self.table, id, known)
        version = held.version if held else ""
        match self._tx.written(self.table, id):
            case Put() as wanted:
                return Versioned(self._tx.preview(self.table, id, wanted), version)
            case Erase():
                return None
            case None:
                document = visible(held.document) if held else None
                return None if document is None else Versioned(document, version)

    async def insert(self, id: str, fields: bytes) -> Document:
        """
        Write a new document at the commit.

        Raises:
            AlreadyExistsError: There is one of this id.
        """
        if await self.read(id) is not None:
            raise AlreadyExistsError(
                f"Document {id!r} of table {self.table.name!r} exists.", hint="Update or upsert it."
            )
        return self._tx.put(self.table, id, fields)

    async def update(
        self, id: str, change: Change, *, version: str | None = None, known: Versioned | None = None
    ) -> Document:
        """
        Write new fields at the commit; `change` is called once.

        Raises:
            NotFoundError: There is none; with `version` that is a ConflictError, as is another version.
        """
        held = expected(self.table, id, await self.read(id, known), version, known)
        fields = change(held.document)
        return held.document if fields is None else self._tx.put(self.table, id, fields)

    async def upsert(self, id: str, fields_for: Callable[[Document | None], bytes]) -> bool:
        """Insert or update at the commit; True if it is new."""
        held = await self.read(id)
        self._tx.put(self.table, id, fields_for(held.document if held else None))
        return held is None

    async def delete(self, id: str, *, version: str | None = None, known: Versioned | None = None) -> bool:
        """
        Delete at the commit; False if there is none.

        Raises:
            ConflictError: With `version`: it is another one, or missing.
        """
        try:
            expected(self.table, id, await self.read(id, known), version, known)
        except NotFoundError:
            return False
        self._tx.erase(self.table, id)
        return True
