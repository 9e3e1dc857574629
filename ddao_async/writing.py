"""
One attempt to write or to delete one document: entries and claims, the document, and what its outcome means.

    PUT entries, PUT claims If-None-Match       before the document shows the value
    PUT document If-Match | If-None-Match       the commit point
    DELETE old entries, release old claims      after it no longer shows theirs

Whoever loops around it (`documents`, `transaction`) starts over from `Refused.now`.
"""

from __future__ import annotations

import msgspec

from .claims import Owned, Placed, place
from .conditional import DONE, REFUSED, Attempt, Outcome, begin, create_once, put_document
from .engine import Engine
from .errors import DDAOError, UnknownOutcomeError
from .model.body import Versioned, chain, fenced, lost_write, successor, visible
from .model.document import Document
from .model.keys import object_key
from .settle import clean, remove, settled, withdraw
from .state import TableLayout


class Stored(msgspec.Struct, frozen=True):
    """The document is in place, or was and has been written over by now."""

    document: Document


class Refused(msgspec.Struct, frozen=True):
    """Nothing was written. `now` is what the key holds, without an intent."""

    now: Versioned | None


class Deleted(msgspec.Struct, frozen=True):
    """The document is gone. Not `is_certain`: an answer was lost, and it may have been somebody else who deleted it."""

    is_certain: bool = True


async def write(
    engine: Engine,
    table: TableLayout,
    id: str,
    held: Versioned | None,
    fields: bytes,
    owned: Owned,
    *,
    renew: bool = False,
    mark: str = "",
) -> Stored | Refused:
    """
    Make one attempt to put a document over what its key holds.

    Args:
        held: What the key holds, without an intent; None: it is missing. May be `absent`.
        fields: The new fields, as JSON.
        owned: Claims of earlier attempts of this operation; those of this one are added.
        renew: It is a new document, with new times, even where `held` shows one.
        mark: What the revision begins with, so that whoever wrote it can tell later; digits, letters and `_`.

    Raises:
        UniqueViolationError: Nothing was written.
        UnknownOutcomeError: It was written, or may yet be, or not.
    """
    attempt = await begin(engine, table)
    revision = mark + engine.nonce()
    document = successor(
        held, table=table.name, id=id, fields=fields, revision=revision, now=engine.timestamp(), renew=renew
    )
    placed = Placed(document, held, [])
    if attempt.copy.indexes:
        placed = await place(engine, attempt, document, held, owned)
    outcome = await _put(engine, attempt, placed) if placed.is_current else REFUSED
    before = visible(held.document) if held else None
    if outcome.etag is not None:
        await clean(engine, table, before, placed.document)
        return Stored(placed.document)
    return await _after_refusal(engine, table, placed, outcome, before)


async def _put(engine: Engine, attempt: Attempt, placed: Placed) -> Outcome:
    if placed.held is None:
        return await create_once(engine, placed.document, attempt)
    return await put_document(engine, attempt.table.name, placed.document, placed.held.version, attempt)


async def _after_refusal(
    engine: Engine, table: TableLayout, placed: Placed, outcome: Outcome, before: Document | None
) -> Stored | Refused:
    """Find out what a write that did not succeed came to. Everything it placed is withdrawn if it came to nothing."""
    document = placed.document
    if not outcome.lost:
        await withdraw(engine, table, document.id, placed.places)
        return Refused(await settled(engine, table, document.id))
    try:
        now = await settled(engine, table, document.id)
        found = lost_write(
            document.revision or "",
            chain(placed.held)[0] if placed.held else None,
            chain(now),
            may_land=outcome.may_land,
        )
        if found == "unknown" and now is None:
            # End the twin of a create: the key is not missing any more.
            body = fenced(None, table=table.name, id=document.id, revision=engine.nonce(), fence=engine.nonce())
            await put_document(engine, table.name, body, None)
    except DDAOError as exc:
        raise unknown_outcome("put", table, document.id) from exc
    if found == "unknown":
        raise unknown_outcome("put", table, document.id)
    if found == "conflict":
        await withdraw(engine, table, document.id, placed.places)
        return Refused(now)
    await clean(engine, table, before, document)
    return Stored(document)


async def erase(engine: Engine, table: TableLayout, held: Versioned, *, is_plain: bool = False) -> Deleted | Refused:
    """
    Make one attempt to delete the document that `held` shows.

    Args:
        is_plain: Without a condition, as tables without transactions and unique columns may where the server has no
            conditional delete. A key that must not become missing is not deleted that way either.

    Raises:
        UnknownOutcomeError: It was deleted, or may yet be, or not.
    """
    document, revision = held.document, engine.nonce()
    if is_plain and document.fence is None:
        await engine.store.delete(object_key(table.name, document.id))
        outcome = DONE
    else:
        outcome = await remove(engine, table, held, revision=revision)
    if outcome.done:
        await clean(engine, table, document, None)
        return Deleted()
    if not outcome.lost:
        return Refused(await settled(engine, table, document.id))
    try:
        now = await settled(engine, table, document.id)
    except DDAOError as exc:
        raise unknown_outcome("delete", table, document.id) from exc
    match lost_write(revision, chain(held)[0], chain(now), may_land=outcome.may_land):
        case "mine":
            await clean(engine, table, document, None)
            return Deleted()
        case "conflict":
            return Refused(now)
        case "unknown":
            if visible(now.document if now else None) is None:
                return Deleted(is_certain=False)
            raise unknown_outcome("delete", table, document.id)


async def settle_create(engine: Engine, table: TableLayout, document: Document) -> Document:
    """
    Find out what became of a document's create whose answer was lost, nothing having been placed for it.

    Raises:
        UnknownOutcomeError: It cannot be found out.
    """
    match await _after_refusal(engine, table, Placed(document, None, []), Outcome(None, lost=True), None):
        case Stored(stored):
            return stored
        case Refused():
            raise unknown_outcome("put", table, document.id)


def unknown_outcome(operation: str, table: TableLayout, id: str) -> UnknownOutcomeError:
    """The error of a write whose answer was lost, and that cannot be found out."""
    return UnknownOutcomeError(
        f"Whether the {operation} of document {id!r} in table {table.name!r} took effect cannot be found out.",
        operation=operation,
        key=object_key(table.name, id),
        hint="It happened once or not at all: read the document, then decide again.",
    )
