"""
Every exception of the library, as one tree, classed by what the caller can do.

A message says what happened, names the thing it happened to, and ends with what to do (the hint). `retryable` tells
whether running the same call again, unchanged, can succeed. No message ever holds a secret.
"""

from __future__ import annotations


class DDAOError(Exception):
    """
    Base of everything this library raises on purpose.

    Args:
        message: What happened, with the name of the thing it happened to.
        hint: What the reader can do about it; appended to the message.
    """

    retryable = False

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class ConfigurationError(DDAOError, ValueError):
    """A connection string or an option is wrong; the message names it and lists what is valid."""


class SchemaError(DDAOError):
    """A table is unknown, or a declaration clashes with what the bucket holds."""


class ValidationError(DDAOError, ValueError):
    """A value does not fit its column, key or parameter; the message names the path. Nothing was written."""


class ClosedError(DDAOError):
    """Used after `close`, in another event loop than the one it was opened in, or in a forked child."""


class UnsupportedError(DDAOError):
    """The store cannot do this safely (a server without conditional requests, say). Nothing was written."""


class CorruptDocumentError(DDAOError):
    """Stored bytes are not a document of this table; the message says where."""


class NotFoundError(DDAOError, LookupError):
    """There is no such document or object."""


class ConflictError(DDAOError):
    """Somebody else wrote first: read again, decide again. Nothing was written by this call."""


class AlreadyExistsError(ConflictError):
    """An insert met a document, or a put with `if_none_match=True` an object, that exists."""


class UniqueViolationError(AlreadyExistsError):
    """Another document holds this value of a unique column."""


class TransactionConflictError(ConflictError):
    """
    A transaction met another writer and was rolled back: run the whole block again.

    Args:
        status: State of the transaction, `aborted` or `undecided`.
        reason: What it met, e.g. the key that changed.
    """

    retryable = True

    def __init__(self, message: str = "", *, hint: str = "", status: str = "aborted", reason: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason


class LeaseLostError(ConflictError):
    """A lease expired or was taken over; whatever it guarded may have another holder now."""


class StoreError(DDAOError):
    """
    The object store refused or failed.

    Args:
        operation: The primitive that failed: `put`, `get`, `head`, `delete`, `list`, ...
        key: The key it was about, as the server knows it; None for the bucket.
        status: HTTP status of the answer; None when there was none.
        code: S3 error code of the answer, e.g. `SlowDown`.
        request_id: The server's name for the request, for its support.
        hint: What to do.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str = "",
        key: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.operation = operation
        self.key = key
        self.status = status
        self.code = code
        self.request_id = request_id


class AccessDeniedError(StoreError):
    """The credentials are known but may not do this."""


class InvalidCredentialsError(StoreError):
    """No credentials were found, or the server does not know them, or the signature does not match."""


class BucketNotFoundError(StoreError):
    """The bucket does not exist at this endpoint."""


class ConnectionTimeoutError(StoreError):
    """No answer in time; the request did not take effect (it was a read, or was never sent)."""

    retryable = True


class StoreUnavailableError(StoreError):
    """No connection, a broken one, or a server error; the request did not take effect."""

    retryable = True


class ThrottledError(StoreError):
    """The server asked to slow down, until attempts or time ran out."""

    retryable = True


class UnknownOutcomeError(StoreError):
    """
    A write was sent and not answered, and cannot be found out: it happened once or not at all.

    `status` is 412 or 404 where a repeated conditional write was finally refused (the first attempt or another
    writer made the condition fail), None where no answer ever came (the request may still be on its way).
    """
