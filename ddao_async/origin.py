"""
Where a repository gets its documents from: an open database or a transaction of one. Both have the same methods.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, TypeVar

import msgspec

from .engine import Engine
from .lookup import Entry
from .model.body import Versioned
from .model.document import Document
from .model.record import Record
from .model.schema import Table
from .state import TableLayout

T = TypeVar("T")


class Source(Protocol):
    """What a repository needs of `Documents`, or of a transaction's view of them."""

    table: TableLayout
    engine: Engine

    async def get(self, id: str) -> Document | None: ...

    async def read(self, id: str) -> Versioned | None: ...

    async def insert(self, id: str, fields: bytes) -> Document: ...

    async def update(
        self,
        id: str,
        change: Callable[[Document], bytes | None],
        *,
        version: str | None = None,
        known: Versioned | None = None,
    ) -> Document: ...

    async def upsert(self, id: str, fields_for: Callable[[Document | None], bytes]) -> bool: ...

    async def delete(self, id: str, *, version: str | None = None, known: Versioned | None = None) -> bool: ...

    def entries(
        self, index: str, *, start: str = "", stop: str | None = None, after: Entry | None = None, page_size: int = 1000
    ) -> AsyncGenerator[Entry, None]: ...

    async def claimed(self, index: str, value: str) -> str | None: ...


class Codec(Protocol[T]):
    """Between records and raw fields: `RecordCodec`, `ObjectCodec`."""

    @property
    def table(self) -> Table: ...

    def column(self, name: str) -> str: ...

    def id_of(self, record: T) -> str | None: ...

    def with_id(self, record: T, id: str) -> T: ...

    def encode(self, record: T) -> bytes: ...

    def decode(self, id: str, fields: bytes | msgspec.Raw) -> T: ...

    def merge(self, id: str, stored: bytes | msgspec.Raw, new: bytes) -> bytes: ...


class Origin(Protocol):
    """Where a repository comes from: an open database, or a transaction of one."""

    def token(self) -> object:
        """Stands for what is open now: another object once it was opened again or a table was altered. ClosedError."""
        ...

    async def source(self, kind: type[Record] | str) -> tuple[Source, Any]:
        """The documents of a table, and its `Table`; SchemaError if it was never created."""
        ...

    def written(self, table: str) -> frozenset[str]:
        """Ids that are to be written, which no index shows yet."""
        ...
