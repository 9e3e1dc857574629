"""One attempt by the wire lane, at a peer that answers as a hostile or broken server would."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

import pytest
from fix_lane import fixed, lane_to, send
from peer import Answer, Peer, http, peer_at, s3_error

from ddao_async.config import Credentials, S3Settings
from ddao_async.errors import ClosedError, ValidationError
from ddao_async.wire.client import LARGE_PUT_BYTES, WireLane
from ddao_async.wire.connection import LARGE_BYTES
from ddao_async.wire.endpoint import endpoint_for
from ddao_async.wire.request import Request, Unanswered, Unsent

STEPS = [0, 1]
OK = b"HTTP/1.1 200 OK\r\n"


async def collect(lane: WireLane, **fields: Any) -> tuple[Any, list[bytes]]:
    """The answer and the pieces of a streamed get."""
    deadline = asyncio.get_running_loop().time() + 5
    body = await lane.open(Request(operation="get", **({"key": "k"} | fields)), deadline)
    pieces: list[bytes] = []
    while piece := await body.read():
        pieces.append(piece)
    await body.close()
    return body.response, pieces


async def test_what_is_sent(peer: Peer, lane: WireLane) -> None:
    await send(lane, "put", key="a b", body=b"hello", metadata={"name": "value"}, content_type="text/plain")

    [request] = peer.requests
    assert request.line == "PUT /bucket/a%20b HTTP/1.1"
    assert request.body == b"hello"
    assert request.headers["host"] == f"127.0.0.1:{peer.port}"
    assert request.headers["content-length"] == "5"
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert request.headers["x-amz-meta-name"] == "value"
    assert "expect" not in request.headers
    assert "transfer-encoding" not in request.headers


@pytest.mark.parametrize("operation", ["get", "head", "delete", "list"])
async def test_a_length_is_always_sent(peer: Peer, lane: WireLane, operation: str) -> None:
    peer.say(http(200, b"<ListBucketResult/>" if operation == "list" else b""))

    await send(lane, operation)

    assert peer.requests[0].headers["content-length"] == "0"


async def test_the_token_of_a_session_is_sent_and_signed(peer: Peer) -> None:
    async def source() -> Credentials:
        return Credentials("AKIDEXAMPLE", "secret", "token==")

    lane = lane_to(peer.url, source=source)
    await send(lane)
    await lane.close()

    assert peer.requests[0].headers["x-amz-security-token"] == "token=="
    assert "x-amz-security-token" in peer.requests[0].headers["authorization"]


async def test_what_cannot_stand_in_a_header_is_never_sent(peer: Peer, lane: WireLane) -> None:
    with pytest.raises(ValidationError):
        await send(lane, "put", metadata={"name": "a\r\nx-evil: 1"})

    assert peer.connections == 0


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("operation", "answer", "status", "body"),
    [
        ("get", http(200, b"hello"), 200, b"hello"),
        ("get", OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 200, b"hello"),
        ("get", http(200, b""), 200, b""),
        ("get", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, b""),
        ("get", b"HTTP/1.1 100 Continue\r\n\r\n" + http(200, b"hello"), 200, b"hello"),
        ("head", http(200, length=500), 200, b""),
        ("head", b"HTTP/1.1 404 Not Found\r\n\r\n", 404, b""),
        ("delete", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        ("put", http(200, ETag='"x"'), 200, b""),
        ("put", s3_error(412, "PreconditionFailed"), 412, b""),
    ],
)
async def test_the_connection_is_used_again(
    peer: Peer, lane: WireLane, operation: str, answer: bytes, status: int, body: bytes, step: int
) -> None:
    peer.say(Answer(answer, step))

    for _ in range(3):
        found = await send(lane, operation)
        assert (found.status, found.body) == (status, body)

    assert peer.connections == 1


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"hello", Connection="close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        http(200, b"hello") + b"X",
        http(200, b"hello") + http(200, b"forged"),
    ],
)
async def test_the_connection_is_not_used_again(peer: Peer, lane: WireLane, answer: bytes, step: int) -> None:
    """The second request must not get what came behind the first answer."""
    peer.say(Answer(answer, step), http(200, b"second"))

    first = await send(lane)
    await asyncio.sleep(0.02)
    second = await send(lane)

    assert (first.body, second.body) == (b"hello", b"second")
    assert peer.connections == 2


async def test_a_head_with_a_body_does_not_give_it_to_the_next(peer: Peer, lane: WireLane) -> None:
    peer.say(http(200, http(200, b"forged")), http(200, b"mine"))

    await send(lane, "head")
    await asyncio.sleep(0.02)
    found = await send(lane)

    assert found.body == b"mine"


async def test_bytes_on_an_idle_connection_close_it(peer: Peer, lane: WireLane) -> None:
    peer.say(http(200, b"mine"))
    await send(lane)

    await peer.push(http(200, b"forged"))
    await asyncio.sleep(0.02)
    found = await send(lane)

    assert found.body == b"mine"
    assert peer.connections == 2


CUTS = {
    "before": b"",
    "in the head": http(200, b"hello")[:20],
    "before the body": http(200, b"hello")[:-5],
    "in the body": http(200, b"hello")[:-1],
    "in a chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "before the last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "without a length": OK + b"\r\nhello",
    "in a large body": http(200, b"x" * LARGE_BYTES)[:-1],
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("name", CUTS)
async def test_a_cut_is_never_a_short_read(peer: Peer, lane: WireLane, name: str, then: str) -> None:
    peer.say(Answer(CUTS[name], then=then))

    with pytest.raises(Unanswered) as caught:
        await send(lane)

    assert not caught.value.stale_connection
    assert not caught.value.timed_out


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"x-a: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 2000000\r\n\r\n",
        OK + b"Content-Length: 99999999999999\r\n\r\n",
    ],
)
async def test_a_hostile_answer_ends_the_connection(peer: Peer, lane: WireLane, answer: bytes) -> None:
    peer.say(answer, http(200, b"mine"))

    with pytest.raises(Unanswered):
        await send(lane)
    found = await send(lane)

    assert found.body == b"mine"
    assert peer.connections == 2


async def test_a_200_whose_body_is_an_error_is_an_error(peer: Peer, lane: WireLane) -> None:
    peer.say(http(200, b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"))

    found = await send(lane, "put")

    assert (found.status, found.code) == (500, "InternalError")


async def test_another_range_than_asked_for_is_no_answer(peer: Peer, lane: WireLane) -> None:
    peer.say(http(206, b"hello", Content_Range="bytes 1-5/10"))

    with pytest.raises(Unanswered, match="unusable"):
        await send(lane, range=(0, 5))


async def test_a_list_that_is_none_is_no_answer(peer: Peer, lane: WireLane) -> None:
    peer.say(http(200, b"<html>a portal</html>"))

    with pytest.raises(Unanswered, match="unusable"):
        await send(lane, "list")


# ---- long bodies


@pytest.mark.parametrize("step", [0, 100_000])
@pytest.mark.parametrize("size", [LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 3_000_000])
async def test_a_long_body_comes_whole(peer: Peer, lane: WireLane, size: int, step: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    peer.say(Answer(http(200, body), step), Answer(http(200, b"small")), Answer(http(200, body), step))

    assert (await send(lane)).body == body
    assert (await send(lane)).body == b"small"
    assert (await send(lane)).body == body
    assert peer.connections == 1


async def test_a_long_body_of_a_server_that_closes(peer: Peer, lane: WireLane) -> None:
    body = b"x" * 1_000_000
    peer.say(Answer(http(200, body, Connection="close"), then="close"))

    for _ in range(2):
        assert (await send(lane)).body == body

    assert peer.connections == 2


async def test_bytes_behind_a_long_body_close_the_connection(peer: Peer, lane: WireLane) -> None:
    body = b"x" * 1_000_000
    peer.say(http(200, body) + http(200, b"forged"), http(200, b"mine"))

    assert (await send(lane)).body == body
    await asyncio.sleep(0.05)
    assert (await send(lane)).body == b"mine"


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"x" * 3_000_000),
        http(200, b"x" * 10),
        http(200, b""),
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 65536 + b"\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [0, 5_000])
async def test_a_stream_gives_the_same_bytes(peer: Peer, lane: WireLane, answer: bytes, step: int) -> None:
    peer.say(Answer(answer, step))
    whole = await send(lane)

    response, pieces = await collect(lane)

    assert b"".join(pieces) == whole.body
    assert response.status == 200
    assert (await send(lane)).body == whole.body
    assert peer.connections == 1


async def test_a_stream_that_is_refused_tells_why(peer: Peer, lane: WireLane) -> None:
    peer.say(s3_error(404, "NoSuchKey"))

    response, pieces = await collect(lane)

    assert (response.status, response.code, pieces) == (404, "NoSuchKey", [])
    assert (await send(lane)).status == 404
    assert peer.connections == 1


@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_a_stream_that_is_cut_says_so_behind_what_came(peer: Peer, lane: WireLane, size: int) -> None:
    peer.say(Answer(http(200, b"x" * size)[:-1], then="close"))

    with pytest.raises(Unanswered):
        await collect(lane)


async def test_a_slow_reader_holds_the_server_up(peer: Peer, lane: WireLane) -> None:
    """Memory stays bounded: what is not read stays with the server."""
    peer.say(http(200, b"x" * 40_000_000))
    body = await lane.open(Request(operation="get", key="k"), asyncio.get_running_loop().time() + 5)
    await asyncio.sleep(0.3)

    waiting = body._waiting_bytes
    size = 0
    while piece := await body.read():
        size += len(piece)

    assert waiting < 3_000_000
    assert size == 40_000_000


async def test_a_stream_that_is_left_drops_its_connection(peer: Peer, lane: WireLane) -> None:
    peer.say(http(200, b"x" * 4_000_000), http(200, b"mine"))
    body = await lane.open(Request(operation="get", key="k"), asyncio.get_running_loop().time() + 5)
    await body.read()

    await body.close()
    await body.close()

    assert (await send(lane)).body == b"mine"
    assert peer.connections == 2
    with pytest.raises(Unanswered):
        await body.read()


@pytest.mark.parametrize("size", [LARGE_PUT_BYTES - 1, LARGE_PUT_BYTES, 5_000_000])
async def test_a_long_put_arrives_whole(peer: Peer, lane: WireLane, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    for _ in range(2):
        await send(lane, "put", body=body)

    assert [request.body == body for request in peer.requests] == [True, True]
    assert peer.requests[0].headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    assert peer.connections == 1


@pytest.mark.parametrize("then", ["keep", "close", "hang"])
async def test_an_early_answer_to_a_long_put_is_delivered(peer: Peer, lane: WireLane, then: str) -> None:
    """The server refuses by the head alone; the connection, half a request in it, is not used again."""
    peer.say(
        Answer(s3_error(403, "AccessDenied"), early=True, then="hang" if then == "keep" else then), http(200, b"x")
    )

    found = await send(lane, "put", body=b"x" * 30_000_000)

    assert (found.status, found.code) == (403, "AccessDenied")
    assert (await send(lane)).body == b"x"
    assert peer.connections == 2


async def test_a_long_put_that_is_cut_is_unanswered(peer: Peer, lane: WireLane) -> None:
    peer.say(Answer(b"", early=True, then="reset"))

    with pytest.raises(Unanswered):
        await send(lane, "put", body=b"x" * 30_000_000)


# ---- time


async def test_silence_ends_at_the_deadline(peer: Peer, lane: WireLane) -> None:
    peer.say(Answer(b"", then="hang"))
    started = time.monotonic()

    with pytest.raises(Unanswered) as caught:
        await send(lane, seconds=0.2)

    assert caught.value.timed_out
    assert 0.15 < time.monotonic() - started < 2


@pytest.mark.parametrize("answer", [b"", http(200, b"hello")[:-1], http(200, b"x" * 500_000)[:-1]])
async def test_silence_ends_at_the_read_timeout(peer: Peer, answer: bytes) -> None:
    peer.say(Answer(answer, then="hang"))
    lane = lane_to(peer.url, read_timeout=0.2)

    with pytest.raises(Unanswered) as caught:
        await send(lane, seconds=60)
    await lane.close()

    assert caught.value.timed_out


async def test_a_silent_stream_ends_at_the_read_timeout(peer: Peer) -> None:
    peer.say(Answer(http(200, b"x" * 500_000)[:-1], then="hang"))
    lane = lane_to(peer.url, read_timeout=0.2)

    with pytest.raises(Unanswered) as caught:
        await collect(lane)
    await lane.close()

    assert caught.value.timed_out


async def test_a_slow_answer_that_goes_on_is_no_silence(peer: Peer) -> None:
    peer.say(Answer(http(200, b"x" * 400), step=20))
    lane = lane_to(peer.url, read_timeout=0.3)

    found = await send(lane)
    await lane.close()

    assert len(found.body) == 400


# ---- credentials, clock, region


async def test_credentials_that_do_not_expire_are_asked_for_once(peer: Peer) -> None:
    asked = 0

    async def source() -> Credentials:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return Credentials("AKIDEXAMPLE", "secret")

    lane = lane_to(peer.url, source=source)
    await asyncio.gather(*(send(lane) for _ in range(20)))
    await lane.close()

    assert asked == 1


async def test_credentials_that_expire_are_asked_for_again(peer: Peer) -> None:
    asked = 0

    async def source() -> Credentials:
        nonlocal asked
        asked += 1
        return Credentials(f"AKID{asked}", "secret", "token", time.time() + 5)

    lane = lane_to(peer.url, source=source)
    await send(lane)
    await send(lane)
    await lane.close()

    assert "Credential=AKID2/" in peer.requests[1].headers["authorization"]


async def test_credentials_that_do_not_come_in_time(peer: Peer) -> None:
    async def source() -> Credentials:
        await asyncio.sleep(60)
        raise AssertionError

    lane = lane_to(peer.url, source=source)

    with pytest.raises(Unsent) as caught:
        await send(lane, seconds=0.1)
    await lane.close()

    assert caught.value.timed_out
    assert peer.connections == 0


async def test_an_expired_token_is_worth_one_more_attempt_if_there_is_another(peer: Peer) -> None:
    class Source:
        keys = iter(["AKID1", "AKID2", "AKID2"])
        refreshed = 0

        async def __call__(self) -> Credentials:
            return Credentials(next(self.keys), "secret", "token", time.time() + 3600)

        async def refresh(self) -> None:
            self.refreshed += 1

    source = Source()
    lane = lane_to(peer.url, source=source)
    peer.say(s3_error(400, "ExpiredToken"))

    refusal = await send(lane)
    first = await lane.learn(refusal)
    refusal = await send(lane)
    second = await lane.learn(refusal)
    await lane.close()

    assert (first, second) == (True, False)
    assert source.refreshed == 2
    assert "Credential=AKID2/" in peer.requests[1].headers["authorization"]


async def test_a_region_that_the_server_names_is_signed_for(peer: Peer, lane: WireLane) -> None:
    peer.say(s3_error(400, "AuthorizationHeaderMalformed", x_amz_bucket_region="eu-west-1"))

    refusal = await send(lane)
    learned = await lane.learn(refusal)
    await send(lane)

    assert learned
    assert "/eu-west-1/s3/aws4_request" in peer.requests[1].headers["authorization"]
    assert not await lane.learn(refusal)


async def test_a_redirect_is_never_followed_to_where_it_points(peer: Peer, lane: WireLane) -> None:
    """What is signed would go to a host that the server chose."""
    async with peer_at() as thief:
        peer.say(http(307, b"", Location=f"{thief.url}/bucket/k"))

        found = await send(lane)

        assert found.status == 307
        assert not await lane.learn(found)
        assert thief.connections == 0


async def test_a_clock_that_was_set_is_signed_with(peer: Peer) -> None:

    now = 1_700_000_000.0
    settings = S3Settings(bucket="bucket", endpoint=peer.url, region="us-east-1")
    lane = WireLane(settings, endpoint_for(settings), fixed, lambda: now)
    peer.say(s3_error(403, "RequestTimeTooSkewed", Date="Sun, 22 Nov 2026 10:00:00 GMT"))

    refusal = await send(lane)
    learned = await lane.learn(refusal)
    now = refusal.date or 0.0
    await send(lane)
    await lane.close()

    assert learned
    assert peer.requests[0].headers["x-amz-date"] == "20231114T221320Z"
    assert peer.requests[1].headers["x-amz-date"] == "20261122T100000Z"


async def test_a_date_is_told_once_a_second(peer: Peer, lane: WireLane) -> None:
    peer.say(http(200, b"", Date="Sun, 22 Nov 2026 10:00:00 GMT"))

    assert [(await send(lane)).date is not None for _ in range(3)] == [True, False, False]


# ---- another event loop


def test_a_lane_may_be_used_in_one_loop_after_another() -> None:
    async def once(lane: WireLane | None) -> WireLane:
        async with peer_at() as peer:
            lane = lane_to(peer.url)
            assert (await send(lane)).status == 200
            await lane.close()
            return lane

    asyncio.run(once(None))
    asyncio.run(once(None))


def test_a_lane_that_is_open_in_another_loop_says_so() -> None:
    loop = asyncio.new_event_loop()

    async def begin() -> tuple[WireLane, Peer]:
        peer = Peer()
        await peer.start()
        lane = lane_to(peer.url)
        await send(lane)
        return lane, peer

    lane, peer = loop.run_until_complete(begin())

    async def elsewhere() -> None:
        with pytest.raises(ClosedError, match="another event loop"):
            await send(lane)

    asyncio.run(elsewhere())
    loop.run_until_complete(lane.close())
    loop.run_until_complete(peer.close())
    loop.close()
