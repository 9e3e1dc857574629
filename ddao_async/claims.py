"""
Entries and claims of a document about to be written, and the taking of a dead owner's claim (protocol.md, 3).

A writer (1) knows what its document's key holds, (2) writes its claim, (3) writes the document conditionally on 1. Who
meets a claim whose document does not have the value has found an owner between 2 and 3, or its remains. To take that
claim it first *fences* the owner's document: gives the key other bytes (or an `absent` body), so that 3 must fail.
"""

from __future__ import annotations

import msgspec

from .conditional import Attempt, all_of, put, put_document, unanswered
from .engine import Engine
from .errors import CorruptDocumentError, NotFoundError, UniqueViolationError, UnknownOutcomeError
from .model.body import Versioned, fenced, replace, visible
from .model.document import Document
from .model.index import encode_id, is_shortened
from .model.keys import claim_key, entry_key, object_key
from .model.placement import Claim, Place, decode_claim, encode_claim, needed
from .settle import is_dying, settled, withdraw
from .state import Copy, TableLayout

Owned = dict[tuple[str, str], str]
"""Claims that this operation took in an earlier attempt: (index, value) to etag. They need no fence."""


class Placed(msgspec.Struct, frozen=True):
    """
    What a write has placed before its document.

    Attributes:
        document: With the tags of what was placed.
        held: What the document must be written over now: as before, or fenced by the taking of a claim.
        places: What to withdraw if the document is not written.
        is_current: False: the key holds something else by now; start over.
    """

    document: Document
    held: Versioned | None
    places: list[Place]
    is_current: bool = True


class Taken(msgspec.Struct, frozen=True):
    """A claim of one's own: its etag, and what the document must be written over now."""

    etag: str
    held: Versioned | None


class Duplicate(msgspec.Struct, frozen=True):
    """A live document of another id has the value of this unique index."""

    id: str
    index: str


class Changed(msgspec.Struct, frozen=True):
    """One's own document is not what it was: start over."""


async def place(engine: Engine, attempt: Attempt, document: Document, held: Versioned | None, owned: Owned) -> Placed:
    """
    Write the entries and claims that this document needs and the one in place does not have.

    Raises:
        UniqueViolationError: Another document has one of its unique values. What was placed is withdrawn.
    """
    table, copy = attempt.table, attempt.copy
    old = visible(held.document) if held else None
    values = copy.values(document.fields)
    before = copy.values(old.fields) if old else {}
    tags, places = needed(copy.indexes, copy.complete, values, before, old.tags if old else {})
    entries = [replace(one, tag=document.revision or "") for one in places if not one.unique]
    claims = _Claims(held)
    calls = [put_entry(engine, table, document.id, entry) for entry in entries]
    wanted = [one for one in places if one.unique]
    if wanted:
        calls.append(_take_all(engine, attempt, wanted, document.id, claims, owned))
    await all_of(calls)
    made = entries + claims.made
    # The claim of a value that the document in place has too (another tool dropped its tag) stays, written or not.
    undone = [one for one in made if not one.unique or before.get(one.index) != one.value]
    if isinstance(claims.stopped_by, Duplicate):
        await withdraw(engine, table, document.id, undone)
        other, index = claims.stopped_by.id, claims.stopped_by.index
        raise UniqueViolationError(
            f"Document {other!r} of table {table.name!r} has this value of unique {index!r} already.",
            hint="Choose another value, or change that document first.",
        )
    tags |= {one.index: one.tag for one in made}
    fence = claims.held.document.fence if claims.held else None
    return Placed(replace(document, tags=tags, fence=fence), claims.held, undone, claims.stopped_by is None)


class _Claims(msgspec.Struct):
    """Claims being taken: what the document must be written over so far, those taken, and what ended it early."""

    held: Versioned | None
    made: list[Place] = []
    stopped_by: Duplicate | Changed | None = None


async def _take_all(
    engine: Engine, attempt: Attempt, wanted: list[Place], id: str, claims: _Claims, owned: Owned
) -> None:
    """One after the other, by name: two writers that want the same values meet at the first of them."""
    for one in wanted:
        own = owned.get((one.index, one.value))
        taken = await take(engine, attempt.table, attempt.copy, one, id, claims.held, own)
        if not isinstance(taken, Taken):
            claims.stopped_by = taken
            return
        claims.held = taken.held
        owned[one.index, one.value] = taken.etag
        claims.made.append(replace(one, tag=taken.etag))


async def put_entry(engine: Engine, table: TableLayout, id: str, entry: Place) -> None:
    """
    Write one index entry: an empty body, or the id where the key holds only a hash of it.

    Raises:
        StoreUnavailableError: No answer; the document has not been written.
    """
    encoded = encode_id(id)
    key = entry_key(table.name, entry.index, entry.value, encoded, entry.tag)
    try:
        await engine.store.put(key, id.encode() if is_shortened(encoded) else b"")
    except UnknownOutcomeError as exc:
        raise unanswered("Index entry", key) from exc


async def take(
    engine: Engine,
    table: TableLayout,
    copy: Copy,
    wanted: Place,
    id: str,
    held: Versioned | None,
    own: str | None = None,
) -> Taken | Duplicate | Changed:
    """
    Take the claim of a value for a document.

    Args:
        copy: As the attempt goes by it: it knows the index.
        wanted: The unique index and the encoded value.
        id: The document's.
        held: What its key held before this call.
        own: Etag of the claim that an earlier attempt of the same operation wrote.
    """
    key = claim_key(table.name, wanted.index, wanted.value)
    mine, over, waits = encode_claim(Claim(id, engine.nonce())), None, 0
    while True:
        outcome = await put(engine, key, mine, over)
        if outcome.etag is not None:
            return Taken(outcome.etag, held)
        if outcome.may_land:
            raise unanswered("Claim", key)
        # Look at whose it is, and make sure that it is nobody's, until it can be written over.
        while True:
            found = await _read_claim(engine, key)
            if found is None:
                over = None
                break
            claim, etag, data = found
            if data == mine:
                return Taken(etag, held)
            if claim.dying is not None and await is_dying(engine, key, None):
                waits += 1
                await engine.pause(waits, longest=5.0)
                continue
            if claim.id is None or etag == own:
                over = etag
                break
            now = await settled(engine, table, claim.id)
            if claim.id == id and (now and now.version) != (held and held.version):
                return Changed()
            if claim.id != id and _is_live(copy, wanted, now):
                return Duplicate(claim.id, wanted.index)
            if waits < 2:
                waits += 1
                await engine.sleep(engine.settings.claim_wait / 2 * (0.5 + engine.jitter()))
                continue
            after = await fence(engine, table, claim.id, now)
            if after is None:
                continue
            if claim.id == id:
                held = after
            over = etag
            break


async def fence(engine: Engine, table: TableLayout, id: str, held: Versioned | None) -> Versioned | None:
    """
    Give a document's key other bytes with the same committed state, so that no write over `held` can succeed.

    Returns:
        What the key holds now; None: it was not `held` any more.
    """
    body = fenced(held, table=table.name, id=id, revision=engine.nonce(), fence=engine.nonce())
    outcome = await put_document(engine, table.name, body, held.version if held else None)
    if outcome.may_land:
        raise unanswered("The fence of", object_key(table.name, id))
    return None if outcome.etag is None else Versioned(body, outcome.etag)


def _is_live(copy: Copy, wanted: Place, held: Versioned | None) -> bool:
    document = visible(held.document) if held else None
    return document is not None and copy.values(document.fields).get(wanted.index) == wanted.value


async def _read_claim(engine: Engine, key: str) -> tuple[Claim, str, bytes] | None:
    try:
        found = await engine.store.get(key)
    except NotFoundError:
        return None
    if found is None:  # only a get with if_none_match answers None
        return None
    try:
        return decode_claim(found.data), found.info.etag, found.data
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CorruptDocumentError(
            f"{key!r} is not a claim of a unique value: {exc}.", hint="Delete the object and run `ddao-async reindex`."
        ) from exc


async def claimant(engine: Engine, table: TableLayout, index: str, value: str) -> str | None:
    """The id that claims a value: one GET. Whether the document has the value is for its reader to check."""
    found = await _read_claim(engine, claim_key(table.name, index, value))
    return found[0].id if found else None
