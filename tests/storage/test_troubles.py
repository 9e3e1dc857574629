"""
The four of "Troubleshooting", each by a real server or socket and on both lanes: access denied, invalid credentials,
bucket not found, connection timeout; with a hint to act on, and no secret anywhere.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from fix_server import Server, free_port, new_bucket_name
from fix_storage import LANES, s3_store

from ddao_async.config import Credentials
from ddao_async.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConnectionTimeoutError,
    InvalidCredentialsError,
    StoreError,
    StoreUnavailableError,
)

SECRET = "wJalrXUtnFEMI-this-is-wrong"


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return request.param


def is_told_well(error: StoreError, *words: str) -> bool:
    said = str(error)
    return bool(error.hint) and said.endswith(error.hint) and all(word in said for word in words)


async def test_writing_without_the_permission_is_access_denied(seaweedfs: Server, lane: str) -> None:
    reader = Credentials(seaweedfs.reader_access_key, seaweedfs.reader_secret_key)
    prefix = new_bucket_name()
    async with s3_store(seaweedfs, prefix=prefix, transport=lane) as owner:
        await owner.put("k", b"1")
    async with s3_store(seaweedfs, prefix=prefix, transport=lane, credentials=reader) as store:
        assert (await store.get("k")).data == b"1"
        for call in (store.put("k", b"2"), store.delete("k"), store.put("n", b"", if_none_match=True)):
            with pytest.raises(AccessDeniedError) as raised:
                await call

            assert raised.value.status == 403
            assert not raised.value.retryable
            assert is_told_well(raised.value, "AccessDenied", "s3:", "shared")
        report = await store.put_many([("a", b"1"), ("b", b"2")])
        assert report.succeeded == 0
        assert {type(error) for error in report.failed.values()} == {AccessDeniedError}


@pytest.mark.parametrize("which", ["key", "secret"])
async def test_wrong_credentials_are_told_from_missing_permissions(seaweedfs: Server, lane: str, which: str) -> None:
    wrong = Credentials("AKIAUNKNOWN" if which == "key" else seaweedfs.access_key, SECRET)
    async with s3_store(seaweedfs, transport=lane, credentials=wrong) as store:
        for call in (store.check(), store.get("k"), store.put("k", b"")):
            with pytest.raises(InvalidCredentialsError) as raised:
                await call

            assert raised.value.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch")
            assert is_told_well(raised.value, "AWS_ACCESS_KEY_ID" if which == "key" else "AWS_SECRET_ACCESS_KEY")
            assert SECRET not in str(raised.value)


async def test_no_credentials_at_all_say_where_to_put_them(
    moto_server: Server, lane: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    async with s3_store(moto_server, transport=lane, credentials=None) as store:
        with pytest.raises(InvalidCredentialsError) as raised:
            await store.get("k")

        assert is_told_well(raised.value, "AWS_ACCESS_KEY_ID", "profile")


@pytest.mark.parametrize("server", ["moto_server", "seaweedfs", "rclone_server"])
async def test_a_missing_bucket_is_named(request: pytest.FixtureRequest, server: str, lane: str) -> None:
    there: Server = request.getfixturevalue(server)
    async with s3_store(there, "no-such-bucket", transport=lane) as store:
        for call in (store.check(), store.put("k", b""), store.get("k")):
            with pytest.raises(BucketNotFoundError) as raised:
                await call

            assert is_told_well(raised.value, "no-such-bucket", there.url, "create_bucket")


async def test_a_missing_bucket_is_created_where_that_is_asked_for(moto_server: Server, lane: str) -> None:
    bucket = new_bucket_name()
    for _ in range(2):
        async with s3_store(moto_server, bucket, transport=lane, create_bucket=True, region="eu-west-1") as store:
            await store.put("k", b"1")


@pytest.fixture
def deaf() -> Iterator[str]:
    """A socket that takes connections and never says anything."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_server_that_never_answers_is_a_connection_timeout(moto_server: Server, lane: str, deaf: str) -> None:
    options: dict[str, Any] = {"deadline": 0.9, "read_timeout": 0.3, "max_attempts": 2}
    async with s3_store(moto_server, endpoint=deaf, transport=lane, **options) as store:
        for call in (store.check(), store.get("k")):
            with pytest.raises(ConnectionTimeoutError) as raised:
                await call

            assert raised.value.retryable
            assert is_told_well(raised.value, deaf, "endpoint=")


async def test_a_host_that_cannot_be_reached_is_a_connection_timeout(moto_server: Server, lane: str) -> None:
    """A listener whose queue is full drops new connections, as a firewall does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        async with s3_store(
            moto_server, endpoint=url, transport=lane, connect_timeout=0.3, deadline=3.0, max_attempts=2
        ) as store:
            with pytest.raises(ConnectionTimeoutError) as raised:
                await store.put("k", b"")

            assert is_told_well(raised.value, url)
        for each in waiting:
            each.close()


async def test_nobody_listening_is_unavailable(moto_server: Server, lane: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with s3_store(moto_server, endpoint=url, transport=lane, max_attempts=2) as store:
        for call in (store.check(), store.get("k"), store.put("k", b"")):
            with pytest.raises(StoreUnavailableError) as raised:
                await call

            assert is_told_well(raised.value, url, "endpoint=")


async def test_a_host_that_does_not_exist_is_unavailable(moto_server: Server, lane: str) -> None:
    async with s3_store(
        moto_server, endpoint="http://no-such-host.invalid:9000", transport=lane, max_attempts=2
    ) as store:
        with pytest.raises(StoreUnavailableError, match=r"no-such-host\.invalid"):
            await store.get("k")


async def test_verbose_shows_each_request_and_no_secret(
    seaweedfs: Server, lane: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = "session-token-that-nobody-may-see"
    with caplog.at_level(logging.DEBUG):
        async with s3_store(seaweedfs, prefix="verbose", transport=lane, verbose=True) as store:
            await store.put("k", b"body-that-is-private", metadata={"m": "private-metadata"})
            await store.get("k")
        odd = Credentials(seaweedfs.access_key, SECRET, token)
        async with s3_store(seaweedfs, transport=lane, verbose=True, credentials=odd) as store:
            with pytest.raises(StoreError):
                await store.get("k")

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("ddao_async")]
    assert any(all(word in line for word in (lane, "put", "verbose/k", "200", "attempt 1")) for line in ours)
    assert any("403" in line for line in ours)
    for line in [*ours, *(str(record.__dict__) for record in caplog.records if record.name.startswith("ddao_async"))]:
        for secret in (SECRET, token, seaweedfs.secret_key, "private", "Signature"):
            assert secret not in line


async def test_no_repr_of_a_store_shows_a_secret(seaweedfs: Server, lane: str) -> None:
    store = s3_store(seaweedfs, transport=lane)
    async with store:
        await store.put("k", b"")
        exchange = store.exchange
        for thing in (store, exchange, exchange.lanes, exchange.lanes.hot, store.settings):
            assert seaweedfs.secret_key not in repr(thing)
