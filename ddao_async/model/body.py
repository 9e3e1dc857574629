"""
From one stored body of a document to the next: what a write, a fence, a transaction makes of it (protocol.md, 2 and 4).

    body held             what is done to it                        next body
    {revision: r1}        successor: a write                        {revision: r2, past: [r1]}
    {revision: r1}        fenced: other bytes, the same document    {revision: r1, fence: f}
    {revision: r1}        locked: a transaction's prewrite          {revision: r1, intent: {...r2}}
    {.., intent: {..r2}}  intended: the transaction is committed    {revision: r2, past: [r1]}
    {.., intent: {..r2}}  rolled_back: it is aborted                {revision: r1, fence: f}
    {revision: r1}        gone: a delete that keeps the key         {absent: true, revision: r2, past: [r1], fence: g}

A document without `revision` was written by another tool: its etag stands for one in `past`, so that a lost write over
it can still be told from a conflict.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from ..errors import CorruptDocumentError
from .document import EMPTY_FIELDS, MAX_PAST, Committed, Document, Intent
from .keys import object_key

replace = msgspec.structs.replace


class Versioned(msgspec.Struct, frozen=True):
    """
    What a document's key holds: a body, the version (etag) to write over, and when it was written, where told.

    `document` is the raw body: it may be `absent`, or carry an intent, unless whoever hands it out says otherwise.
    """

    document: Document
    version: str
    modified: datetime | None = None


_decoder = msgspec.json.Decoder(Document)
encode = msgspec.json.Encoder().encode
"""A document as it is stored."""


def decode(data: bytes, table: str, id: str) -> Document:
    """
    The document in these bytes.

    Raises:
        CorruptDocumentError: They are not a document, or that of another id.
    """
    try:
        document = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise CorruptDocumentError(
            f"{object_key(table, id)!r} does not hold a document: {exc}.",
            hint="Delete or replace the object; `ddao-async get` shows what it holds.",
        ) from exc
    if document.id != id:
        raise CorruptDocumentError(
            f"{object_key(table, id)!r} holds a document whose id is {document.id!r}.",
            hint="Move the object to the key of its id, or correct the id in it.",
        )
    if document.table_name != table:  # the key says which table it is in; another tool may have left it out
        return replace(document, table_name=table)
    return document


def chain(held: Versioned | None) -> tuple[str, ...]:
    """The revisions that led to this body, latest first."""
    if held is None:
        return ()
    return (held.document.revision or held.version, *held.document.past)


def visible(document: Document | None) -> Document | None:
    """The committed state beside an undecided or aborted intent; None: no document."""
    if document is None or document.absent:
        return None
    return document if document.intent is None else replace(document, intent=None)


def intended(document: Document) -> Document | None:
    """The document that this body's intent puts in place; None: it is deleted."""
    intent = document.intent
    if intent is None or intent.document is None or intent.op == "delete":
        return None
    content = intent.document
    return Document(
        id=document.id,
        table_name=document.table_name,
        fields=content.fields,
        created_at=content.created_at,
        updated_at=content.updated_at,
        revision=content.revision,
        past=content.past,
        tags=content.tags,
        fence=document.fence,
    )


def successor(
    held: Versioned | None, *, table: str, id: str, fields: bytes, revision: str | None, now: str, renew: bool = False
) -> Document:
    """
    The document that a write puts over `held` (None: the key is missing), without tags: they come with its entries.

    Args:
        renew: It is a new document even if `held` shows one: a transaction deleted that before.
    """
    old = None if held is None or renew else visible(held.document)
    return Document(
        id=id,
        table_name=table,
        fields=msgspec.Raw(fields),
        created_at=old.created_at if old else now,
        updated_at=now,
        revision=revision,
        past=chain(held)[:MAX_PAST],
        fence=held.document.fence if held is not None else None,
    )


def missing(table: str, id: str, *, revision: str, fence: str | None) -> Document:
    """The body that says "no document" where there was no key."""
    return Document(id=id, table_name=table, fields=EMPTY_FIELDS, revision=revision, fence=fence, absent=True)


def gone(held: Versioned, *, revision: str, fence: str) -> Document:
    """The body that a delete leaves where the key must not become missing."""
    return Document(
        id=held.document.id,
        table_name=held.document.table_name,
        fields=EMPTY_FIELDS,
        revision=revision,
        past=chain(held)[:MAX_PAST],
        fence=fence,
        absent=True,
    )


def fenced(held: Versioned | None, *, table: str, id: str, revision: str, fence: str) -> Document:
    """The same committed state in other bytes: whoever writes over `held`, or creates the key, fails from now on."""
    if held is None:
        return missing(table, id, revision=revision, fence=fence)
    return replace(held.document, fence=fence, dying=None)


def locked(held: Versioned | None, intent: Intent, *, table: str, id: str, revision: str) -> Document:
    """A transaction's prewrite over `held`: its committed state, and what shall become of it."""
    if held is None:
        return replace(missing(table, id, revision=revision, fence=None), intent=intent)
    return replace(held.document, intent=intent, dying=None)


def rolled_back(document: Document, *, fence: str) -> Document:
    """The old state, in bytes that never were: a refused write of before must not find its etag again."""
    return replace(document, intent=None, fence=fence)


def committed_of(document: Document) -> Committed:
    """What an intent carries of a document."""
    return Committed(
        fields=document.fields,
        created_at=document.created_at,
        updated_at=document.updated_at,
        revision=document.revision or "",
        past=document.past,
        tags=document.tags,
    )


def lost_write(
    revision: str, replaced: str | None, now: tuple[str, ...], *, may_land: bool
) -> Literal["mine", "conflict", "unknown"]:
    """
    What became of a write without an answer.

    Args:
        revision: The one it carried.
        replaced: The one it was to be written over; None: the key was missing.
        now: The chain of what the key holds now.
        may_land: It was never refused either, so it may still take effect.
    """
    if revision in now:
        return "mine"
    if not may_land and replaced is not None and replaced in now:
        return "conflict"
    return "unknown"
