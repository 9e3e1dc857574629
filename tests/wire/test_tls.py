"""TLS: whom the lane trusts, what it signs there, and long bodies through it on both event loops."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from fix_lane import lane_to, send
from peer import Answer, Peer, http, peer_at

from ddao_async.config import Credentials
from ddao_async.storage.s3 import S3Adapter
from ddao_async.wire.request import Request, Unsent
from ddao_async.wire.tls import tls_context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, *names: str, **options: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",)), **options).configure_cert(context)
    return context


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = tls_context(None)
    authority.configure_trust(context)
    return context


def https(peer: Peer) -> str:
    return f"https://127.0.0.1:{peer.port}"


async def test_small_requests(authority: trustme.CA) -> None:
    async with peer_at(server_context(authority)) as peer:
        lane = lane_to(https(peer), ssl_context=client_context(authority))

        found = [await send(lane, operation) for operation in ("get", "put", "head", "delete")]
        await lane.close()

        assert [answer.status for answer in found] == [200] * 4
        assert peer.connections == 1


async def long_bodies(authority: trustme.CA) -> list[str]:
    """Put, get and stream a long body; the hashes that the server got."""
    body = bytes(range(256)) * 12_000
    async with peer_at(server_context(authority)) as peer:
        lane = lane_to(https(peer), ssl_context=client_context(authority), checksum="crc32")
        await send(lane, "put", body=body)
        peer.say(http(200, body))
        assert peer.requests[0].body == body
        for _ in range(2):
            assert (await send(lane)).body == body
            stream = await lane.open(Request(operation="get", key="k"), asyncio.get_running_loop().time() + 5)
            pieces: list[bytes] = []
            while piece := await stream.read():
                pieces.append(piece)
            await stream.close()
            assert b"".join(pieces) == body
        peer.say(http())
        await send(lane, "put", body=b"small")
        await lane.close()
        assert peer.connections == 1
        assert peer.requests[0].headers["x-amz-checksum-crc32"]
        return [request.headers["x-amz-content-sha256"] for request in peer.requests if request.line.startswith("PUT")]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_long_body_is_not_signed_over_tls_and_a_small_one_is(authority: trustme.CA, loop: str) -> None:
    if loop == "uvloop":
        hashes = pytest.importorskip("uvloop").run(long_bodies(authority))
    else:
        hashes = asyncio.run(long_bodies(authority))

    assert hashes == ["UNSIGNED-PAYLOAD", hashlib.sha256(b"small").hexdigest()]


async def refused(context: ssl.SSLContext, trusted: ssl.SSLContext | None) -> tuple[Unsent, Peer]:
    async with peer_at(context) as peer:
        lane = lane_to(https(peer), ssl_context=trusted)
        with pytest.raises(Unsent) as caught:
            await send(lane)
        await lane.close()
        assert peer.requests == []
        return caught.value, peer


async def test_an_authority_that_is_not_trusted_is_refused(authority: trustme.CA) -> None:
    error, _ = await refused(server_context(authority), None)

    assert "certificate verify failed" in str(error).lower()


async def test_a_certificate_of_another_host_is_refused(authority: trustme.CA) -> None:
    error, _ = await refused(server_context(authority, "elsewhere.example"), client_context(authority))

    assert "mismatch" in str(error).lower() or "not valid for" in str(error).lower()


async def test_a_certificate_that_has_expired_is_refused(authority: trustme.CA) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    context = server_context(authority, "127.0.0.1", not_before=past, not_after=past + datetime.timedelta(days=1))

    error, _ = await refused(context, client_context(authority))

    assert "expired" in str(error).lower()


async def test_what_speaks_no_tls_is_refused(authority: trustme.CA) -> None:
    async with peer_at() as peer:
        lane = lane_to(https(peer), ssl_context=client_context(authority), connect_timeout=1)
        with pytest.raises(Unsent):
            await send(lane, seconds=2)
        await lane.close()


def test_tls_is_1_2_at_least() -> None:
    context = tls_context(None)

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_authorities_may_come_from_the_environment(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    async with peer_at(server_context(authority)) as peer:
        peer.say(Answer(http(200, b"hello", ETag='"e"')))
        credentials = Credentials("AKIDEXAMPLE", "secret")
        async with S3Adapter("bucket", endpoint=https(peer), credentials=credentials, region="us-east-1") as store:
            found = await store.get("k")

    assert found is not None
    assert found.data == b"hello"


async def test_a_client_that_is_cut_in_the_handshake(authority: trustme.CA) -> None:
    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        lane = lane_to(f"https://127.0.0.1:{port}", ssl_context=client_context(authority))
        with pytest.raises(Unsent):
            await send(lane)
        await lane.close()
