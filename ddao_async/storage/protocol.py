"""
The one seam of the library: bytes by key.

An `ObjectStore` is a sorted map from key to bytes with etags, written conditionally. Everything above (documents,
indexes, transactions) is written once against these six primitives, so the code that runs on S3 is the code that is
tested on memory and SQLite. Keys are relative to the store's prefix; etags carry no quotes and are opaque.

Outcomes of a write, on every store:

* returned: it took effect, exactly as asked;
* `AlreadyExistsError` (put, `if_none_match=True`) or `ConflictError` (put or delete with `if_match`): refused for
  certain, nothing changed;
* `UnknownOutcomeError`: sent and not answered. `status` is 412 or 404 if a repetition was then refused, and None if no
  answer ever came. A put with `if_none_match=True` and a delete without `if_match` are never repeated after a lost
  answer (the first may have landed, and others have written since: the second would undo that); every other write is,
  until the store's deadline;
* any other error: it did not take effect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

import msgspec


class ObjectInfo(msgspec.Struct, frozen=True, gc=False):
    """
    What a store tells of one object, without its bytes. (Not tracked by the garbage collector: names and values cannot
    form a cycle, and a list of 100,000 keys would set it off again and again.)

    `etag` is without quotes and opaque; `last_modified` is the server's, in UTC (None where the answer carries none: a
    put). `metadata` names are lower case, without `x-amz-meta-`.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime | None = None
    metadata: dict[str, str] = {}  # msgspec makes a new one each time (0.2 µs sooner than a factory)
    content_type: str | None = None


class StoredObject(msgspec.Struct, frozen=True):
    """One object: its bytes, and what the store tells of it. `error` is set (and data empty) only by `get_many`."""

    data: bytes
    info: ObjectInfo
    error: Exception | None = None


class ListPage(msgspec.Struct, frozen=True):
    """One page of a list: objects, and with a delimiter the common prefixes, both sorted as the server sorts."""

    objects: list[ObjectInfo]
    prefixes: list[str] = msgspec.field(default_factory=list[str])


class BatchResult(msgspec.Struct, frozen=True):
    """How many items of a batch succeeded, and why each of the others failed, by key."""

    succeeded: int = 0
    failed: dict[str, Exception] = msgspec.field(default_factory=dict[str, Exception])


class Capabilities(msgspec.Struct, frozen=True):
    """
    What a store enforces. None: not known (never probed), to be treated as False by whoever relies on it.

    Attributes:
        conditional_put: `if_none_match=True` and `if_match` on put are enforced.
        conditional_delete: `if_match` on delete is enforced.
        sorted_list: `list` is in UTF-8 byte order of the keys (a server may use its own order of directories).
    """

    conditional_put: bool | None = None
    conditional_delete: bool | None = None
    sorted_list: bool | None = None


class ObjectStore(Protocol):
    """
    Six primitives. Anything that has them is a store; there is nothing to inherit from.

    A store may also have, and the library uses where present: `capabilities` (a `Capabilities`), `clock()` (the
    server's time, epoch seconds), `deadline` (the most seconds one write may take, repetitions included), `grace`
    (the most seconds after which a signed request can still land; 0 where there is no network), `check()` (is the
    bucket there), `open`/`close` through `async with`.
    """

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
        metadata: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo: ...

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None: ...

    async def head(self, key: str) -> ObjectInfo: ...

    async def delete(self, key: str, *, if_match: str | None = None) -> None: ...

    def list(
        self, prefix: str = "", *, start_after: str | None = None, limit: int | None = None
    ) -> AsyncIterator[ObjectInfo]: ...

    def list_pages(
        self, prefix: str = "", *, page_size: int = 1000, delimiter: str | None = None, start_after: str | None = None
    ) -> AsyncIterator[ListPage]: ...
