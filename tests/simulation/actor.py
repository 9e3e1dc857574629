"""
What a client does in a scenario: the real engine's operations, each logged with what it was shown and how it ended.

An `Actor` has an engine of its own, as a process has; two actors share nothing but the bucket.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from .client import Client
from .history import FOREIGN, Operation
from .world import TABLE, World

Fields = dict[str, Any]
COLUMNS = {"x": False, "u": True}
"""The indexed column and the unique column of every scenario."""


class Actor:
    """
    One client at work.

    Args:
        client: Its process.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.world: World = client.world
        build = self.world.build
        self._errors = build.errors
        engine, state = build.module("engine"), build.module("state")
        self.engine = engine.Engine(
            client.store,
            settings=self.world.settings,
            monotonic=self.world.loop.time,
            nonce=client.nonce,
            jitter=self.world.rng.random,
        )
        index = build.module("model.index")
        self.indexes = {
            name: index.IndexLayout(name, (name,), ("text",), unique)
            for name, unique in COLUMNS.items()
            if name in self.world.columns
        }
        self.layout = state.TableLayout(TABLE, tuple(self.indexes.values()))
        self.documents = build.module("documents").Documents(self.layout, engine=self.engine)

    # The log

    @asynccontextmanager
    async def _operation(self, kind: str, intended: dict[str, Fields | None] | None = None) -> AsyncIterator[Operation]:
        """One operation: its time, its outcome by the error that ends it. No error of the library passes."""
        errors = self._errors
        operation = Operation(kind, self.client.name, self.world.step, intended=intended or {})
        self.world.history.operations.append(operation)
        self.client.operation = operation
        self.world.say(self.client, "begins", str(operation))
        try:
            yield operation
        except errors.UniqueViolationError:
            operation.outcome = "duplicate"
        except errors.AlreadyExistsError:
            operation.outcome = "exists"
        except errors.TransactionConflictError:
            operation.outcome = "aborted"
        except errors.ConflictError:
            operation.outcome = "conflict"
        except errors.NotFoundError:
            operation.outcome = "missing"
        except errors.UnknownOutcomeError:
            operation.outcome = "unknown"
        except (errors.StoreError, errors.SchemaError) as error:
            operation.outcome = "failed"
            self.world.say(self.client, "fails", repr(error))
        else:
            if operation.outcome == "crashed":
                operation.outcome = "ok"
        operation.end = self.world.step
        self.world.say(self.client, "ends", str(operation))
        self.client.operation = None

    # Single documents

    async def find(self, doc: str) -> None:
        async with self._operation("find") as operation:
            operation.seen = {doc: revision(await self.documents.get(doc))}

    async def insert(self, doc: str, **fields: Any) -> None:
        async with self._operation("insert", {doc: fields}) as operation:
            operation.reads = {doc: None}
            await self.documents.insert(doc, encoded(fields))

    async def update(self, doc: str, change: Callable[[Fields], Fields], *, known: Any = None) -> None:
        """`change` gives the fields to change. `known`: write over this version only, as `Documents.read` gave it."""
        async with self._operation("update", {doc: {}}) as operation:

            def changed(document: Any) -> bytes:
                before = decoded(document)
                operation.reads = {doc: revision(document)}
                operation.intended = {doc: before | change(before)}
                return encoded(operation.intended[doc] or {})

            options = {"version": known.version, "known": known} if known is not None else {}
            await self.documents.update(doc, changed, **options)

    async def upsert(self, doc: str, **fields: Any) -> None:
        async with self._operation("upsert", {doc: fields}) as operation:

            def fields_for(document: Any) -> bytes:
                operation.reads = {doc: revision(document)}
                return encoded(fields)

            await self.documents.upsert(doc, fields_for)

    async def delete(self, doc: str, *, known: Any = None) -> None:
        async with self._operation("delete", {doc: None}) as operation:
            options = {"version": known.version} if known is not None else {}
            if not await self.documents.delete(doc, **options):
                operation.outcome = "missing"

    async def read(self, doc: str) -> Any:
        """A version to write over later; None if there is none, or the read failed."""
        found = None
        async with self._operation("read") as operation:
            found = await self.documents.read(doc)
            operation.seen = {doc: revision(found and found.document)}
        return found

    # Searches

    async def find_by(self, column: str, value: str) -> None:
        """By a query of the repository, or by hand through the index: either falls back to looking at everything."""
        async with self._operation(f"find by {column}") as operation:
            if self.world.rng.random() < 0.5:
                found = self._repository().find(**{column: value})
                hits = [each.id async for each in found]
            else:
                hits = []
                for doc in await self._candidates(column, value):
                    document = await self.documents.get(doc)
                    if document is not None and decoded(document).get(column) == value:
                        hits.append(doc)
            operation.hits = (column, value, hits)

    def _repository(self) -> Any:
        schema = self.world.build.module("model.schema")
        columns = [schema.Column("n", "integer", nullable=True)]
        columns += [
            schema.Column(name, "text", nullable=True, unique=unique, index=not unique)
            for name, unique in COLUMNS.items()
            if name in self.world.columns
        ]
        table = schema.Table(TABLE, columns=columns)
        return self.world.build.module("repository").Repository(Origin(self.documents, table), TABLE)

    async def _candidates(self, column: str, value: str) -> list[str]:
        index = self.world.build.module("model.index")
        lookup = self.world.build.module("lookup")
        found = []
        try:
            if COLUMNS[column]:
                doc = await self.documents.claimed(column, index.encode_value("text", value))
                return [] if doc is None else [doc]
            span = index.equal_range(("text",), (value,))
            async for entry in self.documents.entries(column, start=span.start, stop=span.stop):
                if entry.id not in found:
                    found.append(entry.id)
        except lookup.IndexUnusableError:
            prefix = f"tables/{TABLE}/objects/"
            return [info.key[len(prefix) : -5] async for info in self.client.store.list(prefix)]
        return found

    # Transactions

    async def transaction(
        self, reads: list[str], body: Callable[[dict[str, Fields | None]], dict[str, Fields | None] | None]
    ) -> None:
        """
        Read, then write what `body` makes of it: for each id the fields to change, or None to delete it.

        A `body` that returns None rolls back.
        """
        async with self._operation("transaction") as operation:
            tx = self.world.build.module("transaction").Transaction(self.engine)
            try:
                writes = await self._work(tx, operation, reads, body)
            except BaseException:
                await tx.rollback()
                raise
            if writes is None:
                await tx.rollback()
                operation.outcome = "aborted"
            else:
                await tx.commit()

    async def _work(self, tx: Any, operation: Operation, reads: list[str], body: Any) -> Any:
        documents = tx.documents(self.layout)
        states: dict[str, Fields | None] = {}
        for doc in reads:
            document = await documents.get(doc)
            operation.reads[doc] = revision(document)
            states[doc] = None if document is None else decoded(document)
        writes = body(states)
        for doc, changes in (writes or {}).items():
            before = states[doc]
            if changes is None:
                if before is not None:
                    operation.intended[doc] = None
                await documents.delete(doc)
                continue
            fields = (before or {}) | changes
            operation.intended[doc] = fields
            if before is None:
                await documents.insert(doc, encoded(fields))
            else:
                await documents.update(doc, lambda _, fields=fields: encoded(fields))
        return writes

    # Leases

    async def hold(self, name: str, *, ttl: float, seconds: float, timeout: float) -> None:
        """Take a lease, keep it while something takes its time, and give it back."""
        async with self._operation("lease"):
            lease = self.world.build.module("lease").Lease(self.engine, name, ttl=ttl, timeout=timeout)
            async with lease:
                self.world.leases.taken(lease)
                try:
                    await self.engine.sleep(seconds)
                    lease.check()
                finally:
                    self.world.leases.left(lease)

    # Maintenance

    async def build(self, column: str) -> None:
        async with self._operation(f"build {column}"):
            await self.world.maintenance.build(self, column)

    async def drop(self, column: str) -> None:
        async with self._operation(f"drop {column}"):
            await self.world.maintenance.drop(self, column)

    async def vacuum(self) -> None:
        async with self._operation("vacuum"):
            await self.world.maintenance.vacuum(self)

    async def sleep(self, seconds: float) -> None:
        await self.engine.sleep(seconds)


class Origin:
    """What a repository needs of a database, over an engine on virtual time."""

    def __init__(self, documents: Any, table: Any) -> None:
        self._documents = documents
        self._table = table

    def token(self) -> object:
        return self

    async def source(self, kind: Any) -> tuple[Any, Any]:
        return self._documents, self._table

    def written(self, table: str) -> frozenset[str]:
        return frozenset()


def revision(document: Any) -> str | None:
    return None if document is None else document.revision or FOREIGN


def encoded(fields: Fields) -> bytes:
    return json.dumps(fields).encode()


def decoded(document: Any) -> Fields:
    return json.loads(bytes(document.fields))
