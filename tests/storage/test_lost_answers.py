"""
What S3Adapter makes of broken networks and odd answers, on both lanes, through a real proxy in front of a real server:
what is repeated, what is not, and what the caller is told (storage.protocol, "Outcomes of a write").
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fix_proxy import Fault, FaultProxy, http_answer, s3_error
from fix_server import Server
from fix_storage import LANES, s3_store, shared_session

from ddao_async.errors import (
    AlreadyExistsError,
    ConflictError,
    ConnectionTimeoutError,
    NotFoundError,
    StoreUnavailableError,
    ThrottledError,
    UnknownOutcomeError,
)
from ddao_async.storage.protocol import StoredObject

LOST = [Fault("drop_response"), Fault("answer_after", answer=s3_error(500, "InternalError"))]
LOST_IDS = ["dropped", "500"]


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return request.param


def behind(proxy: FaultProxy, server: Server, lane: str, **options: Any) -> Any:
    options = {"max_attempts": 4, "deadline": 8.0, "prefix": f"lost-{time.time_ns()}", **options}
    if lane == "aiobotocore":
        options |= {"session": shared_session(server), "credentials": None}
    return s3_store(server, endpoint=proxy.url, transport=lane, **options)


@pytest.fixture
async def store(moto_proxy: FaultProxy, moto_server: Server, lane: str) -> AsyncIterator[Any]:
    """An adapter behind the proxy, warmed up, so that faults hit what the test sends."""
    async with behind(moto_proxy, moto_server, lane) as opened:
        await opened.put("k", b"zero")
        await opened.put("warm", b"", if_none_match=True)
        moto_proxy.requests.clear()
        moto_proxy.forwarded.clear()
        yield opened


def sent(proxy: FaultProxy, method: str) -> int:
    return sum(name == method for name, _ in proxy.requests)


# ---- writes without an answer


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
async def test_a_create_is_never_repeated(moto_proxy: FaultProxy, store: Any, lost: Fault) -> None:
    moto_proxy.faults.append(lost)

    with pytest.raises(UnknownOutcomeError) as raised:
        await store.put("new", b"1", if_none_match=True)

    assert raised.value.status is None
    assert sent(moto_proxy, "PUT") == 1
    assert (await store.get("new")).data == b"1"


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
async def test_a_plain_put_is_repeated(moto_proxy: FaultProxy, store: Any, lost: Fault) -> None:
    moto_proxy.faults.append(lost)

    await store.put("k", b"1")

    assert sent(moto_proxy, "PUT") == 2
    assert (await store.get("k")).data == b"1"


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
async def test_a_replacing_put_that_landed_is_told_as_refused_and_unknown(
    moto_proxy: FaultProxy, store: Any, lost: Fault
) -> None:
    info = await store.head("k")
    moto_proxy.faults.append(lost)

    with pytest.raises(UnknownOutcomeError) as raised:
        await store.put("k", b"1", if_match=info.etag)

    assert raised.value.status == 412
    assert sent(moto_proxy, "PUT") == 2
    assert (await store.get("k")).data == b"1"


async def test_a_replacing_put_that_never_arrived_is_repeated(moto_proxy: FaultProxy, store: Any) -> None:
    info = await store.head("k")
    moto_proxy.faults.append(Fault("reset"))

    await store.put("k", b"1", if_match=info.etag)

    assert sent(moto_proxy, "PUT") == 2
    assert (await store.get("k")).data == b"1"


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
async def test_a_conditional_delete_that_landed_is_told_as_missing(
    moto_proxy: FaultProxy, store: Any, lost: Fault
) -> None:
    info = await store.head("k")
    await store.put("other", b"")
    await store.delete("other", if_match=(await store.head("other")).etag)  # the probe of the server is over
    moto_proxy.faults.append(lost)

    with pytest.raises(UnknownOutcomeError) as raised:
        await store.delete("k", if_match=info.etag)

    assert raised.value.status in (404, 412)
    with pytest.raises(NotFoundError):
        await store.head("k")


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
async def test_a_delete_without_a_condition_is_sent_once(moto_proxy: FaultProxy, store: Any, lost: Fault) -> None:
    moto_proxy.faults.append(lost)

    with pytest.raises(UnknownOutcomeError) as raised:
        await store.delete("k")

    assert raised.value.status is None
    assert sent(moto_proxy, "DELETE") == 1


async def test_a_write_that_nobody_ever_answers_is_unknown(moto_proxy: FaultProxy, store: Any) -> None:
    moto_proxy.choose = lambda method, _: Fault("drop_response") if method == "PUT" else None

    with pytest.raises(UnknownOutcomeError) as raised:
        await store.put("k", b"1")

    assert raised.value.status is None
    assert sent(moto_proxy, "PUT") == 4
    assert raised.value.operation == "put"
    assert raised.value.key.endswith("/k")
    assert raised.value.hint


async def test_a_write_refused_for_good_after_a_lost_answer_stays_unknown(moto_proxy: FaultProxy, store: Any) -> None:
    moto_proxy.faults += [Fault("drop_response"), Fault("answer", answer=s3_error(403, "AccessDenied"))]

    with pytest.raises(UnknownOutcomeError) as raised:
        await store.put("k", b"1")

    assert raised.value.status is None


async def test_doubt_outlives_answers_that_were_not_applied(moto_proxy: FaultProxy, store: Any) -> None:
    """Lost, then 503, then 412: the 412 may be the work of the first attempt."""
    info = await store.head("k")
    moto_proxy.faults += [Fault("drop_response"), Fault("answer", answer=s3_error(503, "SlowDown"))]

    with pytest.raises(UnknownOutcomeError) as raised:
        await store.put("k", b"1", if_match=info.etag)

    assert raised.value.status == 412


async def test_a_refusal_without_a_lost_answer_is_a_refusal(moto_proxy: FaultProxy, store: Any) -> None:
    """503 and 409 ConditionalRequestConflict are answers: nothing was applied, so the 412 after them is certain."""
    busy = Fault("answer", answer=s3_error(503, "SlowDown"))
    conflict = Fault("answer", answer=s3_error(409, "ConditionalRequestConflict"))
    moto_proxy.faults += [busy, conflict]
    with pytest.raises(AlreadyExistsError):
        await store.put("k", b"1", if_none_match=True)
    moto_proxy.faults += [conflict, busy]
    with pytest.raises(ConflictError):
        await store.put("k", b"1", if_match="0" * 32)

    assert (await store.get("k")).data == b"zero"


# ---- repeated until they work, or given up


@pytest.mark.parametrize(
    "fault",
    [
        Fault("refuse"),
        Fault("reset"),
        Fault("drop_response"),
        Fault("cut_response", at=10),
        Fault("cut_response", at=400),
        *(Fault("answer", answer=s3_error(status, "X")) for status in (408, 429, 500, 502, 503, 504)),
        Fault("answer", answer=s3_error(400, "RequestTimeout")),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.at or fault.answer[9:12].decode()}",
)
async def test_reads_are_repeated(moto_proxy: FaultProxy, store: Any, fault: Fault) -> None:
    moto_proxy.faults.append(fault)
    await store.get("k")
    if b"RequestTimeout" not in fault.answer:  # an answer to HEAD has no body that could name the reason
        moto_proxy.faults.append(fault)
        await store.head("k")

    assert [info.key async for info in store.list("k")] == ["k"]
    assert (await store.get("k")).data == b"zero"


async def test_a_conflict_that_says_try_again_is_tried_again(moto_proxy: FaultProxy, store: Any) -> None:
    again = Fault("answer", answer=s3_error(409, "ConditionalRequestConflict"))
    moto_proxy.faults += [again, again]

    await store.put("new", b"1", if_none_match=True)

    assert sent(moto_proxy, "PUT") == 3


async def test_a_conflict_that_never_ends_is_no_exists(moto_proxy: FaultProxy, store: Any) -> None:
    moto_proxy.choose = lambda *_: Fault("answer", answer=s3_error(409, "ConditionalRequestConflict"))

    with pytest.raises(StoreUnavailableError) as raised:
        await store.put("new", b"1", if_none_match=True)

    assert raised.value.status == 409
    assert raised.value.retryable


async def test_throttling_ends_as_throttled(moto_proxy: FaultProxy, store: Any) -> None:
    moto_proxy.choose = lambda *_: Fault("answer", answer=s3_error(503, "SlowDown", x_amz_request_id="R1"))

    with pytest.raises(ThrottledError) as raised:
        await store.put("k", b"1")

    assert sent(moto_proxy, "PUT") == 4
    assert (raised.value.status, raised.value.code, raised.value.request_id) == (503, "SlowDown", "R1")
    assert raised.value.retryable


async def test_retry_after_is_honoured(moto_proxy: FaultProxy, store: Any) -> None:
    moto_proxy.faults.append(Fault("answer", answer=s3_error(503, "SlowDown", Retry_After="1")))
    started = time.monotonic()

    await store.get("k")

    assert 1.0 <= time.monotonic() - started < 3.0


async def test_other_refusals_are_not_repeated(moto_proxy: FaultProxy, store: Any) -> None:
    moto_proxy.choose = lambda *_: Fault("answer", answer=s3_error(400, "InvalidArgument"))

    with pytest.raises(Exception, match="InvalidArgument"):
        await store.get("k")

    assert sent(moto_proxy, "GET") == 1


async def test_an_error_in_a_200_is_an_error(moto_proxy: FaultProxy, store: Any) -> None:
    """S3 begins to answer a copy before it knows how it ends."""
    body = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>x</Message></Error>"
    moto_proxy.faults.append(Fault("answer", answer=http_answer(200, body, Content_Type="application/xml")))

    info = await store.copy("k", "copied")

    assert info.size == 4
    assert sum(name == "PUT" for name, _ in moto_proxy.requests) == 2


# ---- time


async def test_a_silent_server_is_a_timeout_within_the_deadline(
    moto_proxy: FaultProxy, moto_server: Server, lane: str
) -> None:
    async with behind(moto_proxy, moto_server, lane, deadline=1.0, read_timeout=0.4) as store:
        await store.put("k", b"1")
        moto_proxy.choose = lambda *_: Fault("hang")
        started = time.monotonic()
        with pytest.raises(ConnectionTimeoutError) as raised:
            await store.get("k")
        with pytest.raises(UnknownOutcomeError):
            await store.put("k", b"2")

        assert time.monotonic() - started < 3.5
        assert "connect_timeout" in raised.value.hint or "deadline" in raised.value.hint


async def test_waiting_for_a_connection_counts_against_the_deadline(
    moto_proxy: FaultProxy, moto_server: Server, lane: str
) -> None:
    async with behind(moto_proxy, moto_server, lane, deadline=0.8, max_connections=1, max_attempts=1) as store:
        await store.put("k", b"1")
        moto_proxy.faults.append(Fault("delay", seconds=0.6))
        results = await asyncio.gather(*(store.get("k") for _ in range(2)), return_exceptions=True)
        moto_proxy.faults.append(Fault("hang"))
        started = time.monotonic()
        late = await asyncio.gather(*(store.get("k") for _ in range(4)), return_exceptions=True)

        assert not isinstance(results[0], BaseException)
        assert time.monotonic() - started < 2.5
        assert isinstance(late[0], ConnectionTimeoutError)
        assert all(isinstance(item, ConnectionTimeoutError | StoredObject) for item in late)


async def test_a_cancelled_call_leaves_the_store_usable(moto_proxy: FaultProxy, store: Any) -> None:
    moto_proxy.faults += [Fault("hang"), Fault("hang_after"), Fault("delay", seconds=5)]
    for call in (store.get("k"), store.put("k", b"x"), store.get("k")):
        task = asyncio.create_task(call)
        await asyncio.sleep(0.15)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert (await store.get("k")).data == b"x"
    results = await asyncio.gather(*(store.get("k") for _ in range(20)))
    assert all(item.data == b"x" for item in results)


# ---- streams


async def test_a_broken_stream_is_resumed_where_it_broke(moto_proxy: FaultProxy, store: Any) -> None:
    data = bytes(range(256)) * 8000
    await store.put("large", data)
    moto_proxy.faults += [Fault("cut_response", at=300_000), Fault("cut_response", at=500_000)]

    async with store.open("large") as stream:
        pieces = [piece async for piece in stream]

    assert b"".join(pieces) == data
    assert sent(moto_proxy, "GET") == 3


async def test_a_stream_never_mixes_two_versions(moto_proxy: FaultProxy, store: Any) -> None:
    await store.put("large", b"1" * 2_000_000)
    moto_proxy.faults.append(Fault("cut_response", at=300_000))
    seen = b""

    async with store.open("large") as stream:
        chunks = aiter(stream)
        seen += await anext(chunks)
        await store.put("large", b"2" * 2_000_000)
        with pytest.raises(ConflictError):
            seen += b"".join([piece async for piece in chunks])

    assert set(seen) == {ord("1")}


async def test_an_upload_that_fails_leaves_nothing_behind(moto_proxy: FaultProxy, store: Any) -> None:
    part = bytes(5 << 20)

    async def breaks() -> AsyncIterator[bytes]:
        yield part
        yield part
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        await store.upload("large", breaks(), part_size=5 << 20)
    task = asyncio.create_task(store.upload("large", iter([part] * 50), part_size=5 << 20))
    while sent(moto_proxy, "PUT") < 4:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    begun = [path for method, path in moto_proxy.requests if method == "POST" and "uploads" in path]
    aborted = [path for method, path in moto_proxy.requests if method == "DELETE" and "uploadId" in path]
    assert len(begun) == len(aborted) == 2
    assert [info.key async for info in store.list("large")] == []


async def test_an_upload_survives_lost_parts_and_a_lost_completion(moto_proxy: FaultProxy, store: Any) -> None:
    """The upload is gone once its completion took effect: the object's etag tells that it is ours."""
    parts = [bytes([n]) * (5 << 20) for n in range(3)]
    faults = {
        "part": deque([Fault("drop_response")]),
        "complete": deque([Fault("drop_response"), Fault("answer", answer=s3_error(404, "NoSuchUpload"))]),
    }

    def choose(method: str, path: str) -> Fault | None:
        kind = "part" if "partNumber=2" in path else "complete" if method == "POST" and "uploadId" in path else ""
        return faults[kind].popleft() if faults.get(kind) else None

    moto_proxy.choose = choose
    info = await store.upload("large", iter(parts), part_size=5 << 20)

    head = await store.head("large")
    assert not any(faults.values())
    assert (info.size, info.etag) == (head.size, head.etag)
    assert (await store.get("large")).data == b"".join(parts)


async def test_a_completion_that_cannot_be_found_out_is_unknown(moto_proxy: FaultProxy, store: Any) -> None:
    """Lost before it arrived, and the upload gone: what is there is not ours, and nothing is aborted."""
    answers = deque([Fault("reset"), Fault("answer", answer=s3_error(404, "NoSuchUpload"))])
    moto_proxy.choose = lambda method, path: (
        answers.popleft() if method == "POST" and "uploadId" in path and answers else None
    )

    with pytest.raises(UnknownOutcomeError):
        await store.upload("large", iter([bytes(5 << 20)] * 2), part_size=5 << 20)

    assert not [path for method, path in moto_proxy.requests if method == "DELETE"]


async def test_an_upload_reads_no_more_than_it_holds(moto_proxy: FaultProxy, store: Any) -> None:
    """`concurrency` parts in memory, however slow the server is."""
    taken = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(8):
            taken += 1
            yield bytes(5 << 20)

    moto_proxy.choose = lambda method, path: Fault("hang") if "partNumber" in path else None
    task = asyncio.create_task(store.upload("large", parts(), part_size=5 << 20, concurrency=2))
    async with asyncio.timeout(20):
        while sent(moto_proxy, "PUT") < 2:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert taken == 2
