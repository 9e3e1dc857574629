"""What the store and the wire lane do together: credentials of the chain, refusals that teach, which lane and why."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from peer import Answer, Peer, http, peer_at, s3_error

from ddao_async.config import Credentials
from ddao_async.errors import InvalidCredentialsError, StoreError
from ddao_async.storage.s3 import S3Adapter

FIXED = Credentials("AKIDFIXED", "secret")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, profiles or proxies but those of the test."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def signers(peer: Peer) -> list[str]:
    """Access key of each request that came."""
    return [request.headers["authorization"].partition("Credential=")[2].partition("/")[0] for request in peer.requests]


async def test_credentials_of_the_environment_need_no_aiobotocore(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with S3Adapter("bucket", endpoint=peer.url) as store:
        await store.put("k", b"x")
        assert store.exchange.lanes._full is None

    assert signers(peer) == ["AKIDENV"]


async def test_credentials_of_a_profile(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = AKIDFILE\naws_secret_access_key = secret\n")
    (tmp_path / "config").write_text("[profile other]\nregion = eu-north-1\n")
    async with S3Adapter("bucket", endpoint=peer.url, profile="other") as store:
        await store.put("k", b"x")

    assert signers(peer) == ["AKIDFILE"]
    assert "/eu-north-1/s3/" in peer.requests[0].headers["authorization"]


async def test_no_credentials_anywhere(peer: Peer) -> None:
    async with S3Adapter("bucket", endpoint=peer.url) as store:
        with pytest.raises(InvalidCredentialsError):
            await store.get("k")

    assert peer.connections == 0


def role(access_key: str, lives: timedelta) -> bytes:
    """What a container's endpoint says."""
    expires = (datetime.now(UTC) + lives).strftime("%Y-%m-%dT%H:%M:%SZ")
    values = {"AccessKeyId": access_key, "SecretAccessKey": "s", "Token": f"token-{access_key}", "Expiration": expires}
    return http(200, json.dumps(values).encode(), Content_Type="application/json")


async def test_credentials_of_a_container_are_refreshed_once_when_they_expired(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peer_at() as container:
        container.say(role("AKID1", timedelta(hours=6)), role("AKID2", timedelta(hours=6)))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/role")
        peer.say(http(200), s3_error(400, "ExpiredToken"), http(200))
        async with S3Adapter("bucket", endpoint=peer.url) as store:
            await store.put("k", b"x")
            await store.put("k", b"x")

    assert signers(peer) == ["AKID1", "AKID1", "AKID2"]
    assert peer.requests[2].headers["x-amz-security-token"] == "token-AKID2"


async def test_credentials_that_stay_expired_are_an_error_after_one_more_attempt(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peer_at() as container:
        container.say(role("AKID1", timedelta(hours=6)), role("AKID2", timedelta(hours=6)))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/role")
        peer.say(s3_error(400, "ExpiredToken"))
        async with S3Adapter("bucket", endpoint=peer.url) as store:
            with pytest.raises(InvalidCredentialsError):
                await store.put("k", b"x")

    assert signers(peer) == ["AKID1", "AKID2"]


async def test_a_skewed_clock_is_learned_once(peer: Peer) -> None:
    refusal = s3_error(403, "RequestTimeTooSkewed", Date="Sun, 22 Nov 2099 10:00:00 GMT")
    peer.say(refusal, http(200, Date="Sun, 22 Nov 2099 10:00:01 GMT"))
    async with S3Adapter("bucket", endpoint=peer.url, credentials=FIXED) as store:
        await store.put("k", b"x")
        assert store.clock() > datetime(2099, 1, 1, tzinfo=UTC).timestamp()

    assert peer.requests[1].headers["x-amz-date"].startswith("20991122T1000")


async def test_a_clock_that_stays_skewed_is_an_error(peer: Peer) -> None:
    peer.say(s3_error(403, "RequestTimeTooSkewed", Date="Sun, 22 Nov 2099 10:00:00 GMT"))
    async with S3Adapter("bucket", endpoint=peer.url, credentials=FIXED) as store:
        with pytest.raises(StoreError):
            await store.put("k", b"x")

    assert len(peer.requests) == 2


@pytest.mark.parametrize("operation", ["put", "head"])
async def test_another_region_is_one_hop(peer: Peer, operation: str) -> None:
    peer.say(
        http(400, b"", x_amz_bucket_region="eu-west-1")
        if operation == "head"
        else s3_error(400, "AuthorizationHeaderMalformed", x_amz_bucket_region="eu-west-1"),
        http(200),
    )
    async with S3Adapter("bucket", endpoint=peer.url, credentials=FIXED) as store:
        await (store.put("k", b"x") if operation == "put" else store.head("k"))

    assert ["/eu-west-1/" in request.headers["authorization"] for request in peer.requests] == [False, True]


async def test_a_stale_connection_is_no_failure(peer: Peer) -> None:
    """A read that met a connection which the server had closed is sent again at once."""
    async with S3Adapter("bucket", endpoint=peer.url, credentials=FIXED) as store:
        peer.say(Answer(http(200, b"x"), after=0.01))
        await asyncio.gather(*(store.get("k") for _ in range(4)))
        peer.say(Answer(b"", then="close"), http(200, b"x"))

        found = await store.get("k")

    assert found is not None
    assert found.data == b"x"


@pytest.mark.parametrize(
    ("options", "environ", "lane", "reason"),
    [
        ({}, {}, "wire", "nothing unusual"),
        ({"transport": "wire"}, {}, "wire", "transport=wire"),
        ({"transport": "aiobotocore"}, {}, "aiobotocore", "transport=aiobotocore"),
        ({}, {"HTTP_PROXY": "http://127.0.0.1:1"}, "aiobotocore", "http_proxy"),
        ({"transport": "wire"}, {"HTTP_PROXY": "http://127.0.0.1:1"}, "wire", "transport=wire"),
    ],
)
async def test_verbose_mode_says_which_lane_and_why(
    peer: Peer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, str],
    environ: dict[str, str],
    lane: str,
    reason: str,
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.INFO, logger="ddao_async"):
        async with S3Adapter("bucket", endpoint=peer.url, credentials=FIXED, verbose=True, **options):
            pass

    assert f"{lane} lane, because" in caplog.text
    assert reason in caplog.text
