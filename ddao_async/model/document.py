"""
The body of a document as it lies in the bucket (layout.md, protocol.md section 2).

    {"id":"ann","table_name":"users","fields":{"age":7},"created_at":"2026-...Z","updated_at":"2026-...Z",
     "revision":"...","past":["..."],"tags":{"age":"..."}}

`fields` stays raw JSON bytes here: whoever only rewrites a document (fences, intents, tags) never decodes what the
user stored, so integers stay exact and unknown fields survive. Decoding is `model.codec`'s.
"""

from __future__ import annotations

from typing import Literal

import msgspec

EMPTY_FIELDS = msgspec.Raw(b"{}")
NEVER = "0001-01-01T00:00:00Z"
MAX_PAST = 8
"""Earlier revisions kept in a body, latest first."""


class Committed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document that an intent would put in place: all that a body has, less the envelope of its key."""

    fields: msgspec.Raw
    created_at: str
    updated_at: str
    revision: str
    past: tuple[str, ...] = ()
    tags: dict[str, str] = {}


class Intent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the transaction `tx` will make of this document once its decision says `committed`."""

    tx: str
    op: Literal["put", "delete"]
    document: Committed | None = None


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One stored body. `revision` is None in a document that another tool wrote.

    The first five members are the shared layout: where a body lacks one it reads as empty (`fields` may also be the
    raw bytes `null`), and it is always written, so their defaults are factories, which `omit_defaults` keeps.

    `fence`: this key must not become missing. `absent`: the committed state is "no document". `dying`: an
    unconditional delete may be on its way (servers without conditional delete).
    """

    id: str
    table_name: str = msgspec.field(default_factory=lambda: "")
    fields: msgspec.Raw = msgspec.field(default_factory=lambda: EMPTY_FIELDS)
    created_at: str = msgspec.field(default_factory=lambda: NEVER)
    updated_at: str = msgspec.field(default_factory=lambda: NEVER)
    revision: str | None = None
    past: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    fence: str | None = None
    absent: bool = False
    dying: str | None = None
    intent: Intent | None = None
