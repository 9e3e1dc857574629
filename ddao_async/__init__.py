"""ddao_async: an async document database in any S3-compatible bucket."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# fmt: off
# isort: off
from .database import Database, connect
from .errors import (
    AccessDeniedError, AlreadyExistsError, BucketNotFoundError, ClosedError, ConfigurationError, ConflictError,
    ConnectionTimeoutError, CorruptDocumentError, DDAOError, InvalidCredentialsError, LeaseLostError, NotFoundError,
    SchemaError, StoreError, StoreUnavailableError, ThrottledError, TransactionConflictError, UniqueViolationError,
    UnknownOutcomeError, UnsupportedError, ValidationError,
)
# fmt: on
# isort: on
from .lease import Lease
from .many import InsertReport
from .model.predicate import field
from .model.record import Index, Object, Record, Unique
from .model.schema import Column, Schema, Table
from .query import Explanation, Page, Query
from .repository import Repository, Snapshot
from .storage.memory import MemoryAdapter
from .storage.protocol import BatchResult, Capabilities, ListPage, ObjectInfo, ObjectStore, StoredObject
from .transacted import DatabaseTransaction as Transaction

if TYPE_CHECKING:
    from .storage.s3 import S3Adapter
    from .storage.sqlite import SQLiteAdapter

_LAZY = {"S3Adapter": ".storage.s3", "SQLiteAdapter": ".storage.sqlite"}  # what they import is not for everybody

# fmt: off
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
# fmt: on


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
