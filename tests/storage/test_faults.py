"""Each refusal becomes the error that its caller can act on, with a hint."""

from __future__ import annotations

from typing import Any

import pytest

from ddao_async.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConfigurationError,
    ConflictError,
    ConnectionTimeoutError,
    InvalidCredentialsError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    ThrottledError,
    UnknownOutcomeError,
    UnsupportedError,
    ValidationError,
)
from ddao_async.storage.faults import Place, error_of, failure_of, is_refused_condition, unknown_outcome
from ddao_async.wire.request import Request, Response, Unanswered, Unsent

PLACE = Place("bucket", "http://127.0.0.1:9000", "us-east-1")
GET = Request(operation="get", key="k")
HEAD = Request(operation="head", key="k")
PUT = Request(operation="put", key="k")
CREATE = Request(operation="put", key="k", if_none_match="*", is_create=True)
REPLACE = Request(operation="put", key="k", if_match="e")
DELETE_IF = Request(operation="delete", key="k", if_match="e")
LIST = Request(operation="list", prefix="p")
HEAD_BUCKET = Request(operation="head_bucket")


@pytest.mark.parametrize(
    ("request_", "status", "code", "kind", "word"),
    [
        (GET, 404, "NoSuchKey", NotFoundError, "'k'"),
        (HEAD, 404, None, NotFoundError, "'k'"),
        (GET, 404, "NoSuchBucket", BucketNotFoundError, "'bucket'"),
        (LIST, 404, None, BucketNotFoundError, "create_bucket"),
        (HEAD_BUCKET, 404, None, BucketNotFoundError, "127.0.0.1:9000"),
        (CREATE, 412, "PreconditionFailed", AlreadyExistsError, "exists"),
        (REPLACE, 412, "PreconditionFailed", ConflictError, "changed"),
        (REPLACE, 404, "NoSuchKey", ConflictError, "missing"),
        (REPLACE, 404, "NoSuchBucket", BucketNotFoundError, "'bucket'"),
        (DELETE_IF, 412, None, ConflictError, "changed"),
        (DELETE_IF, 404, None, ConflictError, "missing"),
        (GET, 403, "AccessDenied", AccessDeniedError, "s3:GetObject"),
        (PUT, 403, "AccessDenied", AccessDeniedError, "s3:PutObject"),
        (LIST, 403, "AccessDenied", AccessDeniedError, "s3:ListBucket"),
        (HEAD, 403, None, AccessDeniedError, "missing key also answers 403"),
        (PUT, 400, "KMS.DisabledException", AccessDeniedError, "KMS"),
        (GET, 403, "InvalidAccessKeyId", InvalidCredentialsError, "AWS_ACCESS_KEY_ID"),
        (GET, 403, "SignatureDoesNotMatch", InvalidCredentialsError, "AWS_SECRET_ACCESS_KEY"),
        (GET, 400, "ExpiredToken", InvalidCredentialsError, "expired"),
        (GET, 403, "RequestTimeTooSkewed", InvalidCredentialsError, "clock"),
        (GET, 401, None, InvalidCredentialsError, "credentials"),
        (PUT, 503, "SlowDown", ThrottledError, "concurrency"),
        (PUT, 429, None, ThrottledError, "concurrency"),
        (GET, 500, "InternalError", StoreUnavailableError, "log"),
        (PUT, 409, "ConditionalRequestConflict", StoreUnavailableError, "again"),
        (PUT, 501, "NotImplemented", UnsupportedError, "doctor"),
        (PUT, 405, "MethodNotAllowed", UnsupportedError, "doctor"),
        (PUT, 400, "EntityTooLarge", StoreError, "upload"),
        (PUT, 400, "KeyTooLongError", ValidationError, "'k'"),
        (HEAD_BUCKET, 400, "InvalidBucketName", ConfigurationError, "'bucket'"),
        (PUT, 507, "XMinioStorageFull", StoreUnavailableError, "507"),
        (GET, 400, "Unheard", StoreError, "Unheard"),
    ],
)
def test_each_refusal_has_its_error(request_: Request, status: int, code: str | None, kind: Any, word: str) -> None:
    error = error_of(request_, Response(status=status, code=code, message="said", request_id="R1"), PLACE)

    assert type(error) is kind
    assert word in str(error)
    assert error.hint
    assert str(error).endswith(error.hint)
    if isinstance(error, StoreError):
        assert (error.status, error.code, error.request_id) == (status, code, "R1")
        assert error.operation == request_.operation
        assert error.key == (request_.key or None)


@pytest.mark.parametrize(
    ("status", "code"), [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed"), (307, None)]
)
def test_another_region_is_named(status: int, code: str | None) -> None:
    error = error_of(GET, Response(status=status, code=code, region="eu-west-1"), PLACE)

    assert "region=eu-west-1" in str(error)


def test_failures_without_an_answer() -> None:
    assert type(failure_of(GET, Unsent("refused"), PLACE)) is StoreUnavailableError
    assert type(failure_of(GET, Unsent("slow", timed_out=True), PLACE)) is ConnectionTimeoutError
    assert type(failure_of(GET, Unanswered("cut"), PLACE)) is StoreUnavailableError
    assert type(failure_of(GET, Unanswered("slow", timed_out=True), PLACE)) is ConnectionTimeoutError
    for timed_out in (True, False):
        error = failure_of(GET, Unsent("refused", timed_out=timed_out), PLACE)
        assert "http://127.0.0.1:9000" in str(error)
        assert error.retryable


def test_an_unknown_outcome_keeps_the_refusal_that_ended_it() -> None:
    refused = unknown_outcome(REPLACE, PLACE, Response(status=412, code="PreconditionFailed"), "412")
    silent = unknown_outcome(REPLACE, PLACE, None, "cut")

    assert isinstance(refused, UnknownOutcomeError)
    assert (refused.status, silent.status) == (412, None)
    assert not refused.retryable


@pytest.mark.parametrize(
    ("request_", "status", "code", "expected"),
    [
        (REPLACE, 412, None, True),
        (REPLACE, 404, "NoSuchKey", True),
        (REPLACE, 404, "NoSuchBucket", False),
        (CREATE, 412, None, True),
        (DELETE_IF, 404, None, True),
        (PUT, 404, None, False),
        (GET, 412, None, False),
        (REPLACE, 403, None, False),
    ],
)
def test_what_counts_as_a_refused_condition(request_: Request, status: int, code: str | None, expected: bool) -> None:
    assert is_refused_condition(request_, Response(status=status, code=code)) is expected


def test_what_servers_say_is_cut_short() -> None:
    error = error_of(GET, Response(status=400, code="X", message="a\n" * 5000), PLACE)

    assert len(str(error)) < 600
    assert "\n" not in str(error)
