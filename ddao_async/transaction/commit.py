"""
Carrying out a commit: prewrite, validate, decide, roll (protocol.md, section 4).

    1  PUT entries, claims; PUT each document with its old state and an intent, in key order
    2  GET what was read and not written: nothing changed?
    3  PUT _transactions/<txid>.json If-None-Match {"state": "committed"}      the commit point
    4  PUT each document without its intent; DELETE old entries and claims
    5  DELETE the decision, once no intent is left

What fails before 3 aborts. What fails after it does not: whoever meets an intent that is left finishes the work.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec

from ..claims import Placed, place
from ..conditional import JSON, Attempt, Outcome, all_of, begin, create_once, put_document
from ..engine import Engine
from ..errors import (
    AlreadyExistsError,
    DDAOError,
    StoreError,
    TransactionConflictError,
    UniqueViolationError,
    UnknownOutcomeError,
)
from ..model.body import Versioned, committed_of, locked, successor
from ..model.document import Intent
from ..model.keys import decision_key, object_key
from ..settle import Decision, abort, decision_of, fetch, roll, withdraw
from ..state import TableLayout
from .plan import Key, Plan, Put, Write, claimed_twice, is_unchanged

_log = logging.getLogger("ddao_async.transaction")


class Lock(msgspec.Struct):
    """One key on its way through a commit. `placed`: entries and claims; `prewritten`: its body with the intent."""

    key: Key
    write: Write
    held: Versioned | None
    placed: Placed | None = None
    prewritten: Versioned | None = None


class Aborted(Exception):
    """The commit cannot go on. Stays inside: it becomes the error that it carries."""

    def __init__(self, error: DDAOError) -> None:
        super().__init__(error)
        self.error = error


class Commit:
    """
    One commit of several keys under way.

    Args:
        tables: Layouts by name, of all keys.
        seen: What each key held when it was read.
        began: Monotonic time at which the transaction began.
    """

    def __init__(
        self,
        engine: Engine,
        tables: Mapping[str, TableLayout],
        seen: Mapping[Key, Versioned | None],
        plan: Plan,
        began: float,
    ) -> None:
        self._engine = engine
        self._tables = tables
        self._seen = seen
        self._checks = plan.checks
        self._locks = [Lock(key, write, seen[key]) for key, write in plan.locks]
        self._began = began
        self._tx = engine.nonce()
        self._attempts: dict[str, Attempt] = {}
        self._is_sent = False  # a prewrite went out: somebody may meet an intent
        self._has_lost = False  # an answer was lost: a twin of this transaction may still land

    async def run(self) -> None:
        """
        Commit, or roll back and raise.

        Raises:
            TransactionConflictError: Somebody else wrote first, or aborted this transaction.
            UniqueViolationError: A unique value is taken.
            UnknownOutcomeError: Whether it was decided cannot be found out.
        """
        try:
            await self._place()
            await self._prewrite()
            await self._validate()
            if not self._locks:
                return
            is_committed = await self._decide()
        except Aborted as stop:
            await self._roll_back(is_decided=False)
            raise stop.error from stop.error.__cause__
        except UnknownOutcomeError:
            raise
        except DDAOError:
            await self._roll_back(is_decided=False)
            raise
        if not is_committed:
            await self._roll_back(is_decided=True)
            raise self._conflict("another client waited for it too long")
        await self._roll_forward()

    # 1 Prewrite

    async def _place(self) -> None:
        """Entries and claims of all documents, before any of them is locked."""
        for name in {lock.key[0]: None for lock in self._locks}:
            attempt = await begin(self._engine, self._tables[name])
            attempt.began = self._began
            self._attempts[name] = attempt
        puts = [(lock, lock.write) for lock in self._locks if isinstance(lock.write, Put)]
        now = self._engine.timestamp()
        for lock, write in puts:
            table, document_id = lock.key
            document = successor(
                lock.held,
                table=table,
                id=document_id,
                fields=write.fields,
                revision=self._engine.nonce(),
                now=now,
                renew=write.renew,
            )
            lock.placed = Placed(document, lock.held, [])
        self._refuse_twins()
        for lock, _ in puts:
            attempt = self._attempts[lock.key[0]]
            if lock.placed is None or not attempt.copy.indexes:
                continue
            lock.placed = await place(self._engine, attempt, lock.placed.document, lock.held, {})
            if not lock.placed.is_current:
                raise Aborted(self._changed(lock.key))

    def _refuse_twins(self) -> None:
        copies = {name: attempt.copy for name, attempt in self._attempts.items()}
        unique = {name: {i for i, is_unique in copy.indexes.items() if is_unique} for name, copy in copies.items()}
        if not any(unique.values()):
            return
        values = [
            (lock.key, copies[lock.key[0]].values(lock.placed.document.fields)) for lock in self._locks if lock.placed
        ]
        index = claimed_twice(values, unique)
        if index is not None:
            raise Aborted(
                UniqueViolationError(
                    f"Two documents of one transaction have the same value of unique {index!r}.",
                    hint="Give each document its own value.",
                )
            )

    async def _prewrite(self) -> None:
        for lock in self._locks:
            table, document_id = lock.key
            attempt = self._attempts[table]
            over = lock.placed.held if lock.placed else lock.held
            if lock.placed:
                intent = Intent(self._tx, "put", committed_of(lock.placed.document))
            else:
                intent = Intent(self._tx, "delete")
            body = locked(over, intent, table=table, id=document_id, revision=self._engine.nonce())
            self._is_sent = True
            if over is None:
                outcome = await create_once(self._engine, body, attempt)
            else:
                outcome = await put_document(self._engine, table, body, over.version, attempt)
            self._has_lost |= outcome.lost
            etag = outcome.etag
            if etag is None and over is not None and outcome.lost and not outcome.may_land:
                etag = await self._own_prewrite(lock.key)
            if etag is None:
                raise Aborted(self._changed(lock.key))
            lock.prewritten = Versioned(body, etag)

    async def _own_prewrite(self, key: Key) -> str | None:
        """After a lost answer and a refusal: the etag of this key's prewrite if it is there."""
        now = await fetch(self._engine, self._tables[key[0]], key[1])
        if now is not None and now.document.intent is not None and now.document.intent.tx == self._tx:
            return now.version
        return None

    # 2 Validate

    async def _validate(self) -> None:
        """A missing key first and alone: at that instant all the others, found unchanged later, were as read."""
        missing = [key for key in self._checks if self._seen[key] is None]
        await all_of([self._check(key) for key in missing])
        await all_of([self._check(key) for key in self._checks if key not in missing])

    async def _check(self, key: Key) -> None:
        now = await fetch(self._engine, self._tables[key[0]], key[1])
        if not is_unchanged(self._seen[key], now):
            raise Aborted(self._changed(key))

    # 3 Decide

    async def _decide(self) -> bool:
        """
        Create the decision `committed`; False: somebody else has created `aborted`.

        Once it has been sent, this transaction never creates `aborted`: its twin may be on its way.
        """
        engine, key, is_sent, number = self._engine, decision_key(self._tx), False, 0
        keys = tuple(object_key(*lock.key) for lock in self._locks)
        data = msgspec.json.encode(Decision("committed", keys))
        until = 0.0
        while engine.monotonic() - self._began + engine.deadline <= engine.settings.hour:
            try:
                await engine.store.put(key, data, if_none_match=True, content_type=JSON)
            except AlreadyExistsError:
                break
            except UnknownOutcomeError:
                until = until if is_sent else engine.monotonic() + engine.settings.repeat_for
                is_sent = self._has_lost = True
            except StoreError:
                if not is_sent:
                    raise
            else:
                return True
            if engine.monotonic() >= until:
                break
            number += 1
            await engine.pause(number)
        else:
            if not is_sent:
                raise Aborted(self._conflict("it took longer than an hour"))
        return await self._decided()

    async def _decided(self) -> bool:
        try:
            decision = await decision_of(self._engine, self._tx)
        except DDAOError as exc:
            raise self._unknown() from exc
        if decision is None:
            raise self._unknown()
        return decision == "committed"

    # 4 and 5 Roll

    async def _roll_forward(self) -> None:
        """Nothing that goes wrong here undoes the commit: who meets an intent that is left rolls it forward."""
        if await self._roll(is_committed=True):
            await self._drop_decision()

    async def _roll_back(self, *, is_decided: bool) -> None:
        """Undo what was prewritten and placed, as far as the store answers; what is left, others roll back."""
        if self._is_sent and not is_decided:
            try:
                self._has_lost |= (await abort(self._engine, self._tx)).lost
            except DDAOError as exc:
                _log.warning("Transaction %s is left to be rolled back by others: %s", self._tx, exc)
                return
        is_gone = await self._roll(is_committed=False)
        for lock in self._locks:
            if lock.prewritten is None and lock.placed is not None:
                await withdraw(self._engine, self._tables[lock.key[0]], lock.key[1], lock.placed.places)
        if self._is_sent and is_gone and not self._has_lost:
            await self._drop_decision()

    async def _roll(self, *, is_committed: bool) -> bool:
        """Roll every prewrite; True if no intent of this transaction can be left of them."""
        locks = [(lock, lock.prewritten) for lock in self._locks if lock.prewritten is not None]
        return all(await all_of([self._rolled(lock.key[0], held, is_committed) for lock, held in locks]))

    async def _rolled(self, table: str, held: Versioned, is_committed: bool) -> bool:
        try:
            outcome: Outcome = await roll(self._engine, self._tables[table], held, forward=is_committed, is_owner=True)
        except DDAOError as exc:
            _log.info("An intent of transaction %s is left to whoever meets it: %s", self._tx, exc)
            return False
        return not outcome.may_land

    async def _drop_decision(self) -> None:
        try:
            await self._engine.store.delete(decision_key(self._tx))
        except DDAOError as exc:
            _log.info("The decision of transaction %s is left to vacuum: %s", self._tx, exc)

    # Errors

    def _changed(self, key: Key) -> TransactionConflictError:
        return self._conflict(f"document {key[1]!r} of table {key[0]!r} was written by somebody else")

    def _conflict(self, reason: str) -> TransactionConflictError:
        return TransactionConflictError(
            f"The transaction was rolled back: {reason}.",
            hint="Run the whole block again; `db.run` does.",
            reason=reason,
        )

    def _unknown(self) -> UnknownOutcomeError:
        return UnknownOutcomeError(
            "Whether the transaction was committed cannot be found out.",
            operation="put",
            key=decision_key(self._tx),
            hint="It happened as a whole or not at all: read its documents, then decide again.",
        )
