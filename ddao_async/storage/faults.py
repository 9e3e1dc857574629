"""
Refusals and failures of S3 servers -> the errors of `errors.py`, each with what to do about it.

This is where the habits of servers end:

* a put or delete with If-Match on a missing key: 412 at most servers, 404 at AWS and moto -> ConflictError;
* HEAD answers have no body: 404 and 403 come without a code, and 403 also means "missing, and you may not list";
* a bucket in another region: 301 PermanentRedirect, 400 AuthorizationHeaderMalformed, each naming the right region;
* a 503 without a code counts as throttling; so do SlowDown, Throttling and RequestLimitExceeded with any status.
"""

from __future__ import annotations

import msgspec

from ..errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConfigurationError,
    ConflictError,
    ConnectionTimeoutError,
    DDAOError,
    InvalidCredentialsError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    ThrottledError,
    UnknownOutcomeError,
    UnsupportedError,
    ValidationError,
)
from ..wire.request import Request, Response, Unanswered, Unsent
from ..wire.retry import WRITES, is_throttled


class Place(msgspec.Struct, frozen=True):
    """What messages call the bucket and the server."""

    bucket: str
    url: str
    region: str


_PERMISSIONS = {
    "put": "s3:PutObject",
    "get": "s3:GetObject",
    "head": "s3:GetObject (and s3:ListBucket, without which a missing key also answers 403)",
    "delete": "s3:DeleteObject",
    "delete_objects": "s3:DeleteObject",
    "list": "s3:ListBucket",
    "head_bucket": "s3:ListBucket",
    "create_bucket": "s3:CreateBucket",
    "copy": "s3:GetObject and s3:PutObject",
    "abort_upload": "s3:AbortMultipartUpload",
}

_CREDENTIALS = {
    "InvalidAccessKeyId": "The server does not know this access key: check AWS_ACCESS_KEY_ID, profile, endpoint=.",
    "SignatureDoesNotMatch": "The secret is not the access key's: check AWS_SECRET_ACCESS_KEY or the profile.",
    "ExpiredToken": "The session token has expired: get new credentials (`aws sso login`, or a role that refreshes).",
    "ExpiredTokenException": "The session token has expired: get new credentials.",
    "TokenRefreshRequired": "The session token must be refreshed: get new credentials.",
    "InvalidToken": "The session token is not valid: check AWS_SESSION_TOKEN, or unset it for long-term keys.",
    "InvalidSecurity": "The server does not accept these credentials: check them and endpoint=.",
    "InvalidClientTokenId": "The server does not know this access key: check AWS_ACCESS_KEY_ID.",
    "MissingSecurityHeader": "The request was not signed: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    "MissingAuthenticationToken": "The request was not signed: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    "CredentialsNotSupported": "This kind of credentials is not supported here.",
    "RequestTimeTooSkewed": "This machine's clock is more than 15 minutes off: set it (NTP), then try again.",
    "RequestExpired": "This machine's clock is off, or the request waited too long: check the clock.",
    "AccessDeniedByBadCredentials": "Check the access key and the secret.",
}

_DENIED = frozenset(
    ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "UnauthorizedAccess", "NotSignedUp")
)
_REDIRECTS = frozenset(
    ("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
)
_UNSUPPORTED = frozenset(("NotImplemented", "MethodNotAllowed", "UnsupportedOperation", "UnsupportedArgument"))
_HINTS = {
    "EntityTooLarge": "One put holds 5 GiB at most (less at some servers): use store.upload, which sends parts.",
    "EntityTooSmall": "A part of an upload was under 5 MiB: use a larger part_size.",
    "InvalidObjectState": "The object is archived: restore it first.",
    "QuotaExceeded": "The storage quota is used up: delete something, or ask for more.",
    "XMinioStorageFull": "The server's disks are full.",
    "InsufficientStorage": "The server's disks are full.",
    "MissingContentLength": "A proxy in between re-encodes requests: connect to the server directly.",
    "InvalidRange": "The range begins after the end of the object.",
    "BucketAlreadyExists": "Bucket names are shared by all accounts: choose another name.",
    "NoSuchUpload": "The upload was aborted or completed by somebody else, or by a lifecycle rule: start it again.",
    "InvalidRequest": "The server refuses the request as such; checksum=when_required helps with older servers.",
    "InvalidArgument": "The server refuses a header; checksum=when_required helps with older servers.",
}


def error_of(request: Request, response: Response, place: Place) -> DDAOError:
    """The error that a refusal means. Nothing was written (`UnknownOutcomeError` is `unknown_outcome`'s)."""
    status, code = response.status, response.code or ""
    conditional = request.if_match is not None or request.if_none_match is not None
    if code == "NoSuchBucket" or (status == 404 and request.operation in ("head_bucket", "create_bucket", "list")):
        return _store_error(
            BucketNotFoundError,
            request,
            response,
            f"There is no bucket {place.bucket!r} at {place.url}.",
            "Check the bucket's name, endpoint= and region=, or create it (create_bucket=true).",
        )
    if status == 412 or (status == 404 and conditional and request.operation in ("put", "delete")):
        return _precondition(request)
    if code == "InvalidObjectName" or code == "KeyTooLongError":
        return ValidationError(
            f"The server does not take the key {request.key!r}.", hint="Choose a shorter, plain key."
        )
    if status == 404 and code in ("", "NoSuchKey", "NotFound", "NoSuchVersion"):
        key = request.source or request.key
        return NotFoundError(f"There is no object {key!r}.", hint="Check the key, or list its prefix.")
    return _refused(request, response, place)


def _precondition(request: Request) -> DDAOError:
    if request.operation in ("put", "complete_upload") and request.if_none_match is not None:
        return AlreadyExistsError(f"{request.key!r} exists.", hint="Read it, or put without if_none_match.")
    return ConflictError(f"{request.key!r} changed or is missing.", hint="Read it again, then decide again.")


def _refused(request: Request, response: Response, place: Place) -> DDAOError:
    status, code = response.status, response.code or ""
    what = f"{_named(request, place)} was refused: {_said(response)}"
    if code in _REDIRECTS or status in (301, 307):
        region = response.region
        hint = f"The bucket is in another region: use region={region}." if region else "Check region= and endpoint=."
        return _store_error(StoreError, request, response, what, hint)
    if code in _CREDENTIALS or status == 401:
        return _store_error(
            InvalidCredentialsError, request, response, what, _CREDENTIALS.get(code, "Check the credentials.")
        )
    if is_throttled(response):
        hint = "Send less at a time (concurrency=, max_connections=), or try again later."
        return _store_error(ThrottledError, request, response, what, hint)
    if code in _DENIED or status == 403 or code.startswith("KMS."):
        permission = _PERMISSIONS.get(request.operation, "s3:PutObject")
        hint = f"Allow {permission} on {place.bucket!r} to this identity, in its policy and the bucket's."
        return _store_error(AccessDeniedError, request, response, what, hint)
    if code in _UNSUPPORTED or status in (405, 501):
        return UnsupportedError(what, hint="This server lacks the feature: run `ddao-async doctor` to see what it has.")
    if code == "InvalidBucketName":
        return ConfigurationError(
            f"{place.bucket!r} is not a bucket name.", hint="Use 3 to 63 of a-z, 0-9, - and dots."
        )
    if status >= 500 or status in (408, 409):
        hint = "Try again later; if it stays, look at the server's log for the request id."
        return _store_error(StoreUnavailableError, request, response, what, hint)
    return _store_error(
        StoreError, request, response, what, _HINTS.get(code, "Look the code up in the server's documentation.")
    )


def failure_of(request: Request, failure: Unsent | Unanswered, place: Place) -> DDAOError:
    """The error of a call that got no answer and changed nothing: it was never sent, or it was no write."""
    kind = ConnectionTimeoutError if failure.timed_out else StoreUnavailableError
    what = f"{_named(request, place)} got no answer from {place.url}: {failure}."
    if failure.timed_out:
        hint = (
            "Check endpoint= and the network, then the server; raise connect_timeout= or deadline= if it is just slow."
        )
    else:
        hint = "Check that the server runs and that endpoint= names its host and port."
    return kind(what, operation=request.operation, key=request.key or None, hint=hint)


def unknown_outcome(request: Request, place: Place, refusal: Response | None, last: str) -> UnknownOutcomeError:
    """
    The error of a write that may have taken effect.

    Args:
        refusal: The answer 412 or 404 to a repetition of a conditional write, if that is how it ended.
        last: What the latest attempt came to.
    """
    return UnknownOutcomeError(
        f"It is not known whether {_named(request, place)} took effect: {last}.",
        operation=request.operation,
        key=request.key or None,
        status=None if refusal is None else refusal.status,
        code=None if refusal is None else refusal.code,
        request_id=None if refusal is None else refusal.request_id,
        hint="It happened once or not at all, and may still happen: read the key before you decide what to do.",
    )


def is_refused_condition(request: Request, response: Response) -> bool:
    """Did a conditional write fail by its condition?"""
    if request.operation not in WRITES or (request.if_match is None and request.if_none_match is None):
        return False
    return response.status == 412 or (response.status == 404 and response.code != "NoSuchBucket")


def _store_error(kind: type[StoreError], request: Request, response: Response, message: str, hint: str) -> StoreError:
    return kind(
        message,
        operation=request.operation,
        key=request.key or None,
        status=response.status,
        code=response.code,
        request_id=response.request_id,
        hint=hint,
    )


def _named(request: Request, place: Place) -> str:
    """`put of 'a/b' in bucket 'x'`"""
    about = f" of {request.key!r}" if request.key else ""
    return f"{request.operation}{about} in bucket {place.bucket!r}"


def _said(response: Response) -> str:
    """Status, code and message of the server, cut short."""
    message = " ".join(response.message.split())[:200].rstrip(".")
    parts = [str(response.status), response.code or "", f"({message})" if message else ""]
    return " ".join(part for part in parts if part) + "."
