"""
All documents of one table: each read, written and deleted by itself (protocol.md, sections 2 and 3).

    insert   PUT If-None-Match                      1 request
    get      GET                                    1
    update   GET, PUT If-Match                      2; 1 over a body that was read before
    delete   GET, DELETE If-Match                   2; 1 likewise

and one more for each entry and claim that is written or deleted. A single document is linearizable; what an operation
raises tells what happened: `UnknownOutcomeError` that it happened once or not at all, anything else that it did not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import msgspec

from . import lookup
from .claims import Owned
from .conditional import JSON, headers
from .engine import Engine
from .errors import AlreadyExistsError, ConflictError, NotFoundError, UnknownOutcomeError
from .lookup import Entry
from .model.body import Versioned, decode, encode
from .model.document import Document
from .model.keys import objects_prefix
from .settle import resolved, settled
from .state import TableLayout
from .writing import Deleted, Refused, Stored, erase, settle_create, unknown_outcome, write

Change = Callable[[Document], "bytes | None"]
"""From the committed document to its new fields; None: leave it as it is. May be called several times."""


class Documents:
    """
    The documents of one table. Ids must have been checked (`model.keys.check_id`).

    Args:
        table: Name and declared indexes.
        engine: The store, and the context shared by all tables of one database.
    """

    def __init__(self, table: TableLayout, *, engine: Engine) -> None:
        self.table = table
        self.engine = engine
        self._prefix = objects_prefix(table.name)

    async def get(self, id: str) -> Document | None:
        """
        The committed document; None if there is none. One GET; an intent in the way costs one or two more.

        Raises:
            CorruptDocumentError: The object is not a document of this id.
        """
        try:
            found = await self.engine.store.get(f"{self._prefix}{id}.json")
        except NotFoundError:
            return None
        if found is None:  # only a get with if_none_match answers None
            return None
        document = decode(found.data, self.table.name, id)
        if document.intent is None:
            return None if document.absent else document
        held = Versioned(document, found.info.etag, found.info.last_modified)
        return await resolved(self.engine, self.table, id, held)

    async def read(self, id: str) -> Versioned | None:
        """The committed document and the version to write over; None if there is none. Settles an intent in the way."""
        held = await settled(self.engine, self.table, id)
        return None if held is None or held.document.absent else held

    async def insert(self, id: str, fields: bytes, *, mark: str = "") -> Document:
        """
        Write a new document: one PUT, and one for each entry and claim.

        Args:
            mark: What its revision begins with: who has given a mark can tell this write by it later, in the document's
                revision or its past. Digits, letters and `_`.

        Raises:
            AlreadyExistsError: There is one of this id; UniqueViolationError: one with a unique value of it.
            UnknownOutcomeError: It may have been written. Inserting again is safe.
        """
        inserted = await self._insert(id, fields, mark)
        if isinstance(inserted, Document):
            return inserted
        raise AlreadyExistsError(
            f"Document {id!r} of table {self.table.name!r} exists.", hint="Update or upsert it, or choose another id."
        )

    async def _insert(self, id: str, fields: bytes, mark: str) -> Document | Versioned:
        """Insert, or say what exists."""
        held, owned = None, Owned()
        copy = self.engine.states.young(self.table.name)
        if copy is not None and not copy.indexes:
            # The shortest way: nothing to place, and the copy is young enough for a whole call.
            document = await self._create(id, fields, mark)
            if document is not None:
                return document
            held = await settled(self.engine, self.table, id)
        while held is None or held.document.absent:
            match await write(self.engine, self.table, id, held, fields, owned, mark=mark):
                case Stored(document):
                    return document
                case Refused(now):
                    held = now
        return held

    async def _create(self, id: str, fields: bytes, mark: str) -> Document | None:
        """The one PUT of an insert without indexes; None: refused."""
        engine, name = self.engine, self.table.name
        now = engine.timestamp()
        document = Document(id, name, msgspec.Raw(fields), now, now, mark + engine.nonce())
        try:
            await engine.store.put(
                f"{self._prefix}{id}.json",
                encode(document),
                if_none_match=True,
                metadata=headers(engine, name, id),
                content_type=JSON,
            )
        except AlreadyExistsError:
            return None
        except UnknownOutcomeError:
            return await settle_create(engine, self.table, document)
        return document

    async def update(
        self, id: str, change: Change, *, version: str | None = None, known: Versioned | None = None
    ) -> Document:
        """
        Write new fields over a document, again from a GET when somebody else was faster.

        Args:
            change: From the committed document to its new fields.
            version: Only over this version.
            known: What `read` returned before: saves the GET. With its version as `version`, a document whose bytes
                changed and whose revision did not (it was fenced, say) still counts as unchanged.

        Returns:
            The document written; the one in place where `change` wanted nothing.

        Raises:
            NotFoundError: There is none; with `version` that is a ConflictError, as is another version.
            UniqueViolationError: Another document has a unique value of it.
            UnknownOutcomeError: It may have been written.
        """
        owned = Owned()
        held = known or await settled(self.engine, self.table, id)
        while True:
            held = expected(self.table, id, held, version, known)
            fields = change(held.document)
            if fields is None:
                return held.document
            match await write(self.engine, self.table, id, held, fields, owned):
                case Stored(written):
                    return written
                case Refused(now):
                    held = now

    async def upsert(self, id: str, fields_for: Callable[[Document | None], bytes], *, mark: str = "") -> bool:
        """
        Insert, or update what is there.

        Args:
            fields_for: From the document in place (None: there is none) to the fields. May be called several times.
                What it raises ends the upsert; nothing is written then.
            mark: As in `insert`.

        Returns:
            True if it is new.
        """
        while True:
            held, owned = await self._insert(id, fields_for(None), mark), Owned()
            if isinstance(held, Document):
                return True
            while held is not None and not held.document.absent:
                match await write(self.engine, self.table, id, held, fields_for(held.document), owned, mark=mark):
                    case Stored():
                        return False
                    case Refused(now):
                        held = now

    async def delete(self, id: str, *, version: str | None = None, known: Versioned | None = None) -> bool:
        """
        Delete a document; its entries and claims follow.

        Args:
            version: Only this version.
            known: What `read` returned before: saves the GET.

        Returns:
            False if there was none.

        Raises:
            ConflictError: With `version`: it is another one, or missing.
            UnknownOutcomeError: It may have been deleted. Without `version`, one that is gone counts as deleted.
        """
        is_plain = version is None and await self._deletes_plainly()
        held = known or await settled(self.engine, self.table, id)
        while True:
            if version is None and (held is None or held.document.absent):
                return False
            held = expected(self.table, id, held, version, known)
            match await erase(self.engine, self.table, held, is_plain=is_plain):
                case Deleted(is_certain):
                    if not is_certain and version is not None:
                        raise unknown_outcome("delete", self.table, id)
                    return True
                case Refused(now):
                    held = now

    async def is_usable(self, index: str) -> bool:
        """Readers may use this index now."""
        return await lookup.is_usable(self.engine, self.table, index)

    def entries(
        self,
        index: str,
        *,
        start: str = "",
        stop: str | None = None,
        after: Entry | None = None,
        page_size: int = 1000,
    ) -> AsyncGenerator[Entry, None]:
        """Entries of an index, as `lookup.entries` says; close it where it is left early."""
        return lookup.entries(self.engine, self.table, index, start=start, stop=stop, after=after, page_size=page_size)

    async def claimed(self, index: str, value: str) -> str | None:
        """The id whose claim holds this value of a unique index, as `lookup.claimed` says."""
        return await lookup.claimed(self.engine, self.table, index, value)

    async def _deletes_plainly(self) -> bool:
        """Whether this table deletes without conditions: protocol.md, section 8."""
        copy = await self.engine.states.any(self.table)
        if self.engine.conditional_delete or copy.state is None:
            return False
        return not copy.state.transactions and True not in copy.indexes.values()


def expected(
    table: TableLayout, id: str, held: Versioned | None, version: str | None, known: Versioned | None
) -> Versioned:
    """
    What is held, if there is a document in it, and of the version asked for.

    Args:
        version: Only this one; None: any.
        known: What was read as that version, if anything: a document of the same revision is the same.

    Raises:
        NotFoundError: There is none; with `version` that is a ConflictError, as is another version.
    """
    if held is None or held.document.absent:
        if version is None:
            raise NotFoundError(
                f"There is no document {id!r} in table {table.name!r}.", hint="Check the id, or insert it."
            )
        raise ConflictError(f"Document {id!r} of table {table.name!r} is gone.", hint="Read again, then decide again.")
    if version is None or held.version == version:
        return held
    revision = held.document.revision
    if known is not None and known.version == version and revision and known.document.revision == revision:
        return held
    raise ConflictError(f"Document {id!r} of table {table.name!r} changed.", hint="Read it again, then decide again.")
