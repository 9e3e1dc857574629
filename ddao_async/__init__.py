"""ddao_async: an async document database in any S3-compatible bucket."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    AccessDeniedError, AlreadyExistsError, BucketNotFoundError, ClosedError, ConfigurationError, ConflictError,
    ConnectionTimeoutError, CorruptDocumentError, DDAOError, InvalidCredentialsError, LeaseLostError, NotFoundError,
    SchemaError, StoreError, StoreUnavailableError, ThrottledError, TransactionConflictError, UniqueViolationError,
    UnknownOutcomeError, UnsupportedError, ValidationError,
)

if TYPE_CHECKING:
    from .database import Database
    from .lease import Lease
    from .many import InsertReport
    from .model.predicate import field
    from .model.record import Index, Object, Record, Unique
    from .model.schema import Column, Schema, Table
    from .opening import connect
    from .query import Explanation, Page, Query
    from .repository import Repository
    from .storage.memory import MemoryAdapter
    from .storage.protocol import BatchResult, Capabilities, ListPage, ObjectInfo, ObjectStore, StoredObject
    from .storage.s3 import S3Adapter
    from .storage.sqlite import SQLiteAdapter
    from .transacted import Transaction
    from .version import Snapshot

# The rest is imported when it is first named: all of it takes 80 ms, a store alone half of that.
_HOMES = {
    ".database": "Database", ".lease": "Lease", ".many": "InsertReport", ".model.predicate": "field",
    ".model.record": "Index Object Record Unique", ".model.schema": "Column Schema Table", ".opening": "connect",
    ".query": "Explanation Page Query", ".repository": "Repository", ".storage.memory": "MemoryAdapter",
    ".storage.protocol": "BatchResult Capabilities ListPage ObjectInfo ObjectStore StoredObject",
    ".storage.s3": "S3Adapter", ".storage.sqlite": "SQLiteAdapter", ".transacted": "Transaction", ".version": "Snapshot"
}
_LAZY = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = [
    "AccessDeniedError", "AlreadyExistsError", "BatchResult", "BucketNotFoundError", "Capabilities", "ClosedError",
    "Column", "ConfigurationError", "ConflictError", "ConnectionTimeoutError", "CorruptDocumentError", "DDAOError",
    "Database", "Explanation", "Index", "InsertReport", "InvalidCredentialsError", "Lease", "LeaseLostError",
    "ListPage", "MemoryAdapter", "NotFoundError", "Object", "ObjectInfo", "ObjectStore", "Page", "Query", "Record",
    "Repository", "S3Adapter", "SQLiteAdapter", "Schema", "SchemaError", "Snapshot", "StoreError",
    "StoreUnavailableError", "StoredObject", "Table", "ThrottledError", "Transaction", "TransactionConflictError",
    "Unique", "UniqueViolationError", "UnknownOutcomeError", "UnsupportedError", "ValidationError", "connect",
    "field",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, getattr(import_module(_LAZY[name], __name__), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
