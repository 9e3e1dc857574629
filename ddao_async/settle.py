"""
What a document's key holds, and what its intent, if it has one, comes to (protocol.md, section 4, "Meeting an intent").

A plain reader only looks: `resolved`. A writer leaves no intent behind: `settled` rolls the transaction in the way
forward or back, and aborts it when it stays undecided for too long. Both look at the document again before they believe
that a decision is missing or `aborted`: a decision goes only after its intents, so a body that is still the same proves
that no finished commit hides behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from datetime import datetime
from typing import Literal

import msgspec

from .conditional import JSON, Outcome, all_of, delete, put, put_document, unanswered
from .engine import Engine
from .errors import CorruptDocumentError, DDAOError, NotFoundError
from .model.body import Versioned, decode, gone, intended, rolled_back, visible
from .model.document import Document
from .model.index import encode_id
from .model.keys import claim_key, decision_key, entry_key, object_key
from .model.placement import Claim, Place, encode_claim, left_behind
from .state import TableLayout

_log = logging.getLogger("ddao_async.engine")


class Decision(msgspec.Struct, frozen=True):
    """What became of a transaction: the content of `_transactions/<txid>.json`. `keys` are those that it wrote."""

    state: Literal["committed", "aborted"]
    keys: tuple[str, ...] = ()


_decision = msgspec.json.Decoder(Decision)
ABORTED = msgspec.json.encode(Decision("aborted"))


async def fetch(engine: Engine, table: TableLayout, id: str) -> Versioned | None:
    """What the key of a document holds: one GET; None: nothing."""
    try:
        found = await engine.store.get(object_key(table.name, id))
    except NotFoundError:
        return None
    if found is None:  # only a get with if_none_match answers None
        return None
    return Versioned(decode(found.data, table.name, id), found.info.etag, found.info.last_modified)


async def decision_of(engine: Engine, tx: str) -> Literal["committed", "aborted"] | None:
    """What was decided about a transaction: one GET; None: nothing (yet, or not any more)."""
    key = decision_key(tx)
    try:
        found = await engine.store.get(key)
    except NotFoundError:
        return None
    if found is None:  # only a get with if_none_match answers None
        return None
    try:
        return _decision.decode(found.data).state
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CorruptDocumentError(f"{key!r} does not hold a decision: {exc}.", hint="Restore the object.") from exc


async def resolved(engine: Engine, table: TableLayout, id: str, held: Versioned | None) -> Document | None:
    """The committed document beside what was read of its key; waits for nobody and changes nothing."""
    while True:
        if held is None:
            return None
        document = held.document
        if document.intent is None:
            return visible(document)
        decision = await decision_of(engine, document.intent.tx)
        if decision == "committed":
            return intended(document)
        again = await fetch(engine, table, id)
        if again is not None and again.version == held.version:
            return visible(document)
        held = again


async def settled(engine: Engine, table: TableLayout, id: str, held: Versioned | None = None) -> Versioned | None:
    """
    What a document's key holds once no intent is left on it: a version to write over. It may be `absent`.

    Waits for an undecided transaction up to `intent_lease` seconds, then aborts it; waits while an unconditional
    delete may be on its way to the key.

    Args:
        held: What was read of the key before, if anything; None: read it.
    """
    waited_for, since, number = "", 0.0, 0
    while True:
        held = held or await fetch(engine, table, id)
        if held is None:
            return None
        if held.document.dying is not None and await is_dying(engine, object_key(table.name, id), held.modified):
            number += 1
            await engine.pause(number, longest=5.0)
            held = None
            continue
        if held.document.intent is None:
            return held
        tx = held.document.intent.tx
        decision = await decision_of(engine, tx)
        if decision != "committed":
            again = await fetch(engine, table, id)
            if again is None or again.version != held.version:
                held = again
                if again is None:
                    return None
                continue
        if decision is not None:
            await roll(engine, table, held, forward=decision == "committed")
            held = None
            continue
        if tx != waited_for:
            waited_for, since, number = tx, engine.monotonic(), 0
        if engine.monotonic() - since >= engine.settings.intent_lease:
            await abort(engine, tx)
        else:
            number += 1
            await engine.pause(number)
        held = None


async def abort(engine: Engine, tx: str) -> Outcome:
    """Decide that a transaction is aborted, unless it is decided already."""
    outcome = await put(engine, decision_key(tx), ABORTED, None)
    if outcome.may_land:
        raise unanswered("The decision of a transaction in the way", decision_key(tx))
    return outcome


async def is_dying(engine: Engine, key: str, modified: datetime | None) -> bool:
    """A body marked `dying` is so young that a delete without condition may still be on its way to its key."""
    if modified is None:
        try:
            modified = (await engine.store.head(key)).last_modified
        except NotFoundError:
            return False
    return modified is None or engine.clock() - modified.timestamp() <= engine.quiet_time


async def roll(
    engine: Engine, table: TableLayout, held: Versioned, *, forward: bool, is_owner: bool = False
) -> Outcome:
    """
    Make what was decided about this body's intent so, and delete the entries and claims that only the loser needs.

    Args:
        forward: The transaction is committed; otherwise aborted.
        is_owner: It is the caller's own transaction and this prewrite was answered: the key of an insert may go.
    """
    document, new, old = held.document, intended(held.document), visible(held.document)
    if forward and new is not None:
        outcome = await put_document(engine, table.name, new, held.version)
    elif forward:
        tx = document.intent.tx if document.intent else ""
        outcome = await remove(engine, table, held, revision=tx)
    elif is_owner and document.absent and document.fence is None and engine.conditional_delete:
        outcome = await delete(engine, object_key(table.name, document.id), held.version)
    else:
        outcome = await put_document(engine, table.name, rolled_back(document, fence=engine.nonce()), held.version)
    if outcome.done:
        await clean(engine, table, *((old, new) if forward else (new, old)))
    return outcome


async def remove(engine: Engine, table: TableLayout, held: Versioned, *, revision: str) -> Outcome:
    """
    Delete the document that `held` shows: its key by DELETE If-Match, or `absent` where that must not become missing.

    Args:
        revision: That of the `absent` body, if one is written.
    """
    document = held.document
    if document.fence is None and engine.conditional_delete:
        return await delete(engine, object_key(table.name, document.id), held.version)
    body = gone(held, revision=revision, fence=engine.nonce())
    return await put_document(engine, table.name, body, held.version)


async def clean(engine: Engine, table: TableLayout, dead: Document | None, live: Document | None) -> None:
    """
    Delete the entries and claims that only a dead body needs. What it does not reach is left to `vacuum`.

    Args:
        live: The document in place, whose tags stay.
    """
    if dead is None or not dead.tags:
        return
    try:
        copy = await engine.states.any(table)
        values = copy.values(dead.fields)
    except DDAOError as exc:  # what this belongs to has been done
        _log.info("Entries of %r in table %r are left to vacuum: %s", dead.id, table.name, exc)
        return
    places = left_behind(copy.indexes, values, dead.tags, live.tags if live else {})
    await withdraw(engine, table, dead.id, places)


async def withdraw(engine: Engine, table: TableLayout, id: str, places: list[Place]) -> None:
    """Delete entries and release claims by their tags. What fails is left to `vacuum`, and said in the log."""
    if not places:
        return
    await all_of([_withdrawn(engine, table, id, place) for place in places])


async def _withdrawn(engine: Engine, table: TableLayout, id: str, place: Place) -> None:
    try:
        await _withdrawal(engine, table, id, place)
    except DDAOError as exc:
        _log.info("An entry of %r in table %r, index %r, is left to vacuum: %s", id, table.name, place.index, exc)


def _withdrawal(engine: Engine, table: TableLayout, id: str, place: Place) -> Awaitable[object]:
    if not place.unique:
        return engine.store.delete(entry_key(table.name, place.index, place.value, encode_id(id), place.tag))
    key = claim_key(table.name, place.index, place.value)
    if engine.conditional_delete:
        return engine.store.delete(key, if_match=place.tag)
    return engine.store.put(key, encode_claim(Claim(None, engine.nonce())), if_match=place.tag, content_type=JSON)
