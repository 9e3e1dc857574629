"""
What HTTP says about documents: which status an error is, how a version becomes an ETag, when a request is conditional,
where the next page is. Shared by the FastAPI and the aiohttp integration, and free of both.

    error                                            status   the client may
    ValidationError                                  422      mend the request
    NotFoundError                                    404
    AlreadyExistsError, UniqueViolationError         409      choose another id or value
    ConflictError of a conditional request           412      read again, decide again
    ConflictError, LeaseLostError                    409      read again, decide again
    TransactionConflictError, retryable store errors 503      send the same again after Retry-After
    ClosedError (the service is going down)          503      the same
    UnknownOutcomeError                              504      look before sending again: it happened once or not at all
    everything else                                  500      tell whoever runs the service; the log says what

A body is `application/problem+json` (RFC 9457). Of a 5xx it says no more than its class: keys, buckets and hints are
for the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from ..errors import (
    AlreadyExistsError,
    ClosedError,
    ConflictError,
    DDAOError,
    NotFoundError,
    StoreError,
    ThrottledError,
    TransactionConflictError,
    UniqueViolationError,
    UnknownOutcomeError,
    ValidationError,
)
from ..model.record import LeftOut, Record
from ..repository import Repository

T = TypeVar("T", bound=Record)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER = 1
"""Seconds a client is asked to wait where the library does not know better."""

_ETAG = re.compile(r'\s*(W/)?"([^"]*)"\s*(?:,|$)')
_ANY = "*"


class PreconditionFailed(ConflictError):
    """The document is not the one that the request's `If-Match` or `If-None-Match` names (412)."""


class Problem(msgspec.Struct, frozen=True):
    """An error as an HTTP answer: `body` is problem+json."""

    status: int
    body: bytes
    headers: dict[str, str]


def problem(error: DDAOError) -> Problem:
    """The answer to a request that ended in this error."""
    status = status_of(error)
    body: dict[str, Any] = {"title": _TITLES[status], "status": status, "error": type(error).__name__}
    if status < 500:
        body["detail"] = str(error)
    headers = {"Content-Type": PROBLEM_TYPE}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER)
    return Problem(status, msgspec.json.encode(body), headers)


_TITLES = {
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def status_of(error: DDAOError) -> int:
    """The HTTP status of an error, as the table above."""
    match error:
        case ValidationError():
            return 422
        case NotFoundError():
            return 404
        case PreconditionFailed():
            return 412
        case TransactionConflictError() | ClosedError() | ThrottledError():
            return 503
        case AlreadyExistsError() | ConflictError():
            return 409
        case UnknownOutcomeError():
            return 504
        case StoreError() if error.retryable:
            return 503
        case _:
            return 500


def etag(version: str) -> str:
    """A document's version as the value of an ETag header."""
    return f'"{version}"'


def etags(header: str | None) -> tuple[str, ...] | None:
    """
    The versions that an `If-Match` or `If-None-Match` header names: strong and weak alike, `("*",)` for any.

    Returns:
        None where there is no header.

    Raises:
        ValidationError: The header is not a list of etags.
    """
    if header is None:
        return None
    text = header.strip()
    if text == _ANY:
        return (_ANY,)
    found: list[str] = []
    at = 0
    while at < len(text):
        match = _ETAG.match(text, at)
        if match is None:
            raise ValidationError(
                f"{header[:80]!r} is not a list of etags.", hint='Send one as it came, quotes included: "abc".'
            )
        found.append(match[2])
        at = match.end()
    return tuple(found)


def is_not_modified(if_none_match: str | None, version: str) -> bool:
    """A read may be answered 304: the client has this version."""
    names = etags(if_none_match)
    return names is not None and (_ANY in names or version in names)


def link(path: str, query: Mapping[str, str], cursor: str | None) -> str | None:
    """The `Link` header to the next page: this path and query with `cursor` in it (RFC 8288); None after the last."""
    if cursor is None:
        return None
    return f'<{path}?{urlencode({**query, "cursor": cursor})}>; rel="next"'


def named(record: T, id: str) -> T:
    """
    The record with the id of the path it was sent to.

    Raises:
        ValidationError: It has another one of its own.
    """
    if isinstance(record.id, LeftOut):
        return msgspec.structs.replace(record, id=id)
    if record.id != id:
        raise ValidationError(f"The body's id is {record.id!r}, the path's {id!r}.", hint="Leave it out of the body.")
    return record


async def store(repository: Repository[T], record: T, if_match: str | None, if_none_match: str | None) -> bool:
    """
    Write a record as a PUT asks for it: insert or replace, under the conditions of its headers.

    Args:
        if_match: Replace only one of these versions; `*`: replace only.
        if_none_match: `*`: insert only.

    Returns:
        True when the document is new.

    Raises:
        PreconditionFailed: A condition does not hold; nothing was written.
        ValidationError: `if_none_match` is something else than `*`, or both are given.
    """
    wanted, unwanted = etags(if_match), etags(if_none_match)
    if unwanted is not None and (unwanted != (_ANY,) or wanted is not None):
        raise ValidationError("A PUT takes If-Match, or If-None-Match: *.", hint="Send one of the two.")
    if unwanted is not None:
        try:
            await repository.insert(record)
        except UniqueViolationError:
            raise
        except AlreadyExistsError as error:
            raise PreconditionFailed(f"Document {record.id!r} exists.", hint="Read it, then replace it.") from error
        return True
    if wanted is None:
        return await repository.upsert(record)
    try:
        if _ANY in wanted:
            await repository.update(record)
        else:
            await repository.update(record, if_version=await _held(repository, record.id, wanted))
    except (AlreadyExistsError, TransactionConflictError, PreconditionFailed):
        raise
    except (ConflictError, NotFoundError) as error:
        raise PreconditionFailed(f"Document {record.id!r} has changed since, or is gone.", hint=_READ_AGAIN) from error
    return False


async def remove(repository: Repository[T], id: str, if_match: str | None) -> None:
    """
    Delete a document as a DELETE asks for it.

    Raises:
        NotFoundError: There is none, and no condition was given.
        PreconditionFailed: It is not one of the versions of `if_match`, or is gone.
    """
    wanted = etags(if_match)
    if wanted is None:
        if not await repository.delete(id):
            raise NotFoundError(f"There is no document {id!r}.", hint="Check the id.")
        return
    try:
        version = (await repository.read(id)).version if _ANY in wanted else await _held(repository, id, wanted)
        await repository.delete(id, if_version=version)
    except (TransactionConflictError, PreconditionFailed):
        raise
    except (ConflictError, NotFoundError) as error:
        raise PreconditionFailed(f"Document {id!r} has changed since, or is gone.", hint=_READ_AGAIN) from error


_READ_AGAIN = "Read it again, then decide again."


async def _held(repository: Repository[T], id: str, wanted: tuple[str, ...]) -> str:
    """The version among those wanted that the document has; a single one needs no look, its write is conditional."""
    if len(wanted) == 1 and wanted[0]:
        return wanted[0]
    held = await repository.read(id)
    if held.version not in wanted:
        raise PreconditionFailed(f"Document {id!r} has changed since it was read.", hint=_READ_AGAIN)
    return held.version
