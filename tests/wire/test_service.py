"""What goes to the other lane, and where credentials are read."""

from __future__ import annotations

import pytest

from ddao_async.config import Credentials, S3Settings
from ddao_async.wire.endpoint import endpoint_for
from ddao_async.wire.service import environment_credentials, unserved

LOCAL = S3Settings(bucket="bucket", endpoint="http://127.0.0.1:9000")
AWS = S3Settings(bucket="bucket", region="eu-west-1")


@pytest.mark.parametrize(
    ("settings", "environ", "reason"),
    [
        (LOCAL, {}, None),
        (AWS, {}, None),
        (LOCAL, {"http_proxy": "http://proxy:3128"}, "http_proxy"),
        (LOCAL, {"HTTP_PROXY": "http://proxy:3128"}, "http_proxy"),
        (LOCAL, {"HTTPS_PROXY": "http://proxy:3128"}, None),
        (AWS, {"HTTPS_PROXY": "http://proxy:3128"}, "https_proxy"),
        (AWS, {"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "*"}, None),
        (AWS, {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.org, .amazonaws.com"}, None),
        (AWS, {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "aws.com"}, "https_proxy"),
        (LOCAL, {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "127.0.0.1"}, None),
        (LOCAL, {"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "127.0.0.1:9000"}, None),
        (AWS, {"AWS_USE_FIPS_ENDPOINT": "true"}, "FIPS"),
        (AWS, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "DUALSTACK"),
        (S3Settings(bucket="data--use1-az4--x-s3"), {}, "Express"),
    ],
)
def test_what_is_unusual_goes_to_the_other_lane(
    settings: S3Settings, environ: dict[str, str], reason: str | None
) -> None:
    found = unserved(settings, endpoint_for(settings), environ)

    assert (found is None) == (reason is None)
    assert reason is None or reason in (found or "")


KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("environ", "profile", "expected"),
    [
        (KEYS, None, Credentials("AKID", "secret")),
        (KEYS | {"AWS_SESSION_TOKEN": "token"}, None, Credentials("AKID", "secret", "token")),
        (KEYS | {"AWS_PROFILE": "other"}, None, Credentials("AKID", "secret")),
        (KEYS, "other", None),
        (KEYS | {"AWS_CREDENTIAL_EXPIRATION": "2026-01-01T00:00:00Z"}, None, None),
        ({"AWS_ACCESS_KEY_ID": "AKID"}, None, None),
        ({}, None, None),
    ],
)
def test_the_environment_is_read_where_the_chain_would_read_it(
    environ: dict[str, str], profile: str | None, expected: Credentials | None
) -> None:
    assert environment_credentials(S3Settings(bucket="bucket", profile=profile), environ) == expected
