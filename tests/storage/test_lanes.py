"""
S3Adapter's life and habits, on both lanes: loops, forks, sessions, connections, what a server taught, what is sent.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from aiobotocore.session import AioSession
from fix_proxy import Fault, FaultProxy, fault_proxy, http_answer, s3_error
from fix_server import Server, new_bucket_name
from fix_storage import LANES, s3_store

from ddao_async.config import Credentials
from ddao_async.errors import (
    ClosedError,
    ConfigurationError,
    ConflictError,
    StoreUnavailableError,
    ValidationError,
)
from ddao_async.storage.protocol import Capabilities
from ddao_async.storage.s3 import S3Adapter


@pytest.fixture(params=LANES)
def lane(request: pytest.FixtureRequest) -> str:
    return request.param


def behind(proxy: FaultProxy, server: Server, lane: str, **options: Any) -> S3Adapter:
    options.setdefault("prefix", new_bucket_name())
    return s3_store(server, endpoint=proxy.url, transport=lane, **options)


@pytest.fixture
async def store(moto_proxy: FaultProxy, moto_server: Server, lane: str) -> AsyncIterator[S3Adapter]:
    async with behind(moto_proxy, moto_server, lane) as opened:
        yield opened


def header(head: bytes, name: str) -> str | None:
    for line in head.decode("latin-1").split("\r\n"):
        if line.lower().startswith(name + ":"):
            return line.partition(":")[2].strip()
    return None


# ---- loops, processes, sessions


def test_opened_again_in_loop_after_loop(moto_server: Server, lane: str) -> None:
    store = s3_store(moto_server, prefix=new_bucket_name(), transport=lane)

    async def use(n: int) -> int:
        async with store:
            await store.put(f"k{n}", b"1")
            return len([info async for info in store.list()])

    assert [asyncio.run(use(n)) for n in range(3)] == [1, 2, 3]


def test_another_loop_is_told_clearly(moto_server: Server, lane: str) -> None:
    store = s3_store(moto_server, transport=lane)

    async def elsewhere() -> list[str]:
        said: list[str] = []
        for call in (store.get("k"), store.put("k", b""), store.head("k"), store.delete("k"), store.check()):
            try:
                await call
            except ClosedError as exc:
                said.append(str(exc))
        return said

    async def main() -> list[str]:
        async with store:
            return await asyncio.to_thread(asyncio.run, elsewhere())

    said = asyncio.run(main())

    assert len(said) == 5
    assert all("another event loop" in line for line in said)


async def test_entering_twice_closes_at_the_last_exit(moto_server: Server, lane: str) -> None:
    store = s3_store(moto_server, prefix=new_bucket_name(), transport=lane)
    async with store:
        async with store:
            await store.put("k", b"1")
        await store.get("k")
    with pytest.raises(ClosedError):
        await store.get("k")


def test_a_forked_child_is_refused_and_the_parent_goes_on(moto_server: Server, lane: str) -> None:
    code = f"""
import asyncio, os, sys
from ddao_async.config import Credentials
from ddao_async.errors import ClosedError
from ddao_async.storage.s3 import S3Adapter
store = S3Adapter(bucket="shared", prefix={new_bucket_name()!r}, endpoint={moto_server.url!r}, transport={lane!r},
                  credentials=Credentials("labaccess", "labsecret"))
async def child():
    for call in (store.get("k"), store.put("k", b"2"), store.head("k"), store.delete("k"), store.check()):
        try:
            await call
        except ClosedError as exc:
            assert "parent process" in str(exc)
            continue
        os._exit(3)
    await store.close()
async def main():
    async with store:
        await store.put("k", b"1")
        pid = os.fork()
        if pid == 0:
            coroutine = store.get("k")
            try:
                coroutine.send(None)
            except ClosedError:
                asyncio._set_running_loop(None)
                asyncio.run(child())
                os._exit(0)
            os._exit(4)
        assert os.waitpid(pid, 0)[1] == 0, "the child"
        assert (await store.get("k")).data == b"1"
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=30, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


async def test_a_session_is_accepted_for_its_credentials(moto_server: Server, lane: str) -> None:
    """An aiobotocore session, and what holds one as aioboto3's does."""

    class HoldsOne:
        def __init__(self, session: AioSession) -> None:
            self._session = session

    session = AioSession()
    session.set_credentials(moto_server.access_key, moto_server.secret_key)
    sessions: list[Any] = [session, HoldsOne(session)]
    if find_spec("aioboto3") is not None:  # an extra: it pins an old aiobotocore
        aioboto3: Any = import_module("aioboto3")
        sessions.append(aioboto3.Session(moto_server.access_key, moto_server.secret_key))
    for given in sessions:
        async with s3_store(moto_server, prefix="session", transport=lane, session=given, credentials=None) as store:
            await store.put("k", b"1")
    with pytest.raises(ConfigurationError):
        S3Adapter(bucket="bucket", session=session, credentials=Credentials("a", "b"))


async def test_credentials_may_be_a_source_that_is_asked_again(seaweedfs: Server, lane: str) -> None:
    asked = 0

    async def source() -> Credentials:
        nonlocal asked
        asked += 1
        return Credentials(seaweedfs.access_key, seaweedfs.secret_key, None, 0.0)

    async with s3_store(seaweedfs, prefix="source", transport=lane, credentials=source) as store:
        await store.put("k", b"1")
        await store.get("k")

    assert asked >= 1


async def test_the_environment_and_profiles_count(
    seaweedfs: Server, lane: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    keys = f"aws_access_key_id={seaweedfs.access_key}\naws_secret_access_key={seaweedfs.secret_key}\n"
    (tmp_path / "credentials").write_text(f"[work]\n{keys}")
    (tmp_path / "config").write_text("[profile work]\nregion=eu-west-9\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with s3_store(seaweedfs, transport=lane, credentials=None, profile="work") as store:
        await store.check()
        assert store.exchange.place.region == "eu-west-9"
    with pytest.raises(ConfigurationError, match="nobody"):
        async with s3_store(seaweedfs, transport=lane, credentials=None, profile="nobody") as store:
            await store.check()
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    async with s3_store(seaweedfs, transport=lane, credentials=None) as store:
        await store.check()
        assert store.exchange.place.region == "us-east-1"


async def test_from_url_reads_everything(moto_server: Server, lane: str) -> None:
    url = moto_server.dsn("shared", "from/url", transport=lane, max_connections=3)
    store = S3Adapter.from_url(url, deadline=7, credentials=Credentials("a", "b"))

    assert (store.settings.max_connections, store.settings.deadline, store.deadline) == (3, 7.0, 7.0)
    assert store.prefix == "from/url/"
    assert store.address == f"{moto_server.url}/shared"
    async with store:
        await store.put("k", b"1")
    async with s3_store(moto_server, prefix="from/url", transport=lane) as other:
        assert (await other.get("k")).data == b"1"
    with pytest.raises(ConfigurationError):
        S3Adapter.from_url("memory://")


# ---- connections


async def test_never_more_requests_at_a_time_than_connections(rclone_server: Server, lane: str) -> None:
    async with (
        fault_proxy(rclone_server.url) as proxy,
        behind(proxy, rclone_server, lane, max_connections=5) as store,
    ):
        proxy.choose = lambda *_: Fault("delay", seconds=0.02)
        await asyncio.gather(*(store.put(f"k{n}", b"1") for n in range(60)))

        assert proxy.most_in_flight <= 5
        assert proxy.open_connections <= 5


async def test_more_clients_are_made_only_when_the_others_are_full(rclone_server: Server) -> None:
    async with (
        fault_proxy(rclone_server.url) as proxy,
        behind(proxy, rclone_server, "aiobotocore", max_connections=80) as store,
    ):
        await store.put("k", b"1")
        lane: Any = await store.exchange.lanes.full()
        few = len(lane._clients)
        proxy.choose = lambda *_: Fault("delay", seconds=0.3)
        await asyncio.gather(*(store.get("k") for _ in range(80)))

        assert (few, len(lane._clients)) == (1, 3)
        assert proxy.most_in_flight <= 80


async def test_closing_leaves_no_connection_and_no_warning(rclone_server: Server, lane: str) -> None:
    async with fault_proxy(rclone_server.url) as proxy:
        async with behind(proxy, rclone_server, lane) as store:
            await asyncio.gather(*(store.put(f"k{n}", b"1") for n in range(20)))
            async with store.open("k1") as stream:
                await anext(aiter(stream))
        for _ in range(50):
            if proxy.open_connections == 0:
                break
            await asyncio.sleep(0.02)
        gc.collect()

        assert proxy.open_connections == 0


async def test_no_layer_below_repeats_a_create_on_a_connection_that_was_closed(
    rclone_server: Server, lane: str
) -> None:
    """aiohttp repeats PUTs by itself on a kept connection; the create would then meet its own first attempt."""
    async with fault_proxy(rclone_server.url) as proxy, behind(proxy, rclone_server, lane) as store:
        for n in range(3):
            await store.put(f"k{n}", b"1", if_none_match=True)
            await store.put(f"p{n}", b"1")
        before = len(proxy.requests)
        proxy.faults.append(Fault("drop_response"))
        with pytest.raises(Exception, match="not known"):
            await store.put("new", b"1", if_none_match=True)

        assert len(proxy.requests) - before == 1


async def test_a_busy_server_slows_all_tasks_down_not_only_the_failing_one(rclone_server: Server, lane: str) -> None:
    """A server that takes 4 at a time and refuses the rest: everything gets done, the pace falls and recovers."""
    async with (
        fault_proxy(rclone_server.url) as proxy,
        behind(proxy, rclone_server, lane, max_connections=12, max_attempts=50) as store,
    ):

        def choose(*_: str) -> Fault | None:
            if proxy.in_flight < 4:
                return Fault("delay", seconds=0.01)
            return Fault("answer", answer=s3_error(503, "SlowDown"))

        proxy.choose = choose
        result = await store.put_many(((f"k{n}", b"1") for n in range(120)), concurrency=12)
        paced: Any = store.exchange.lanes.hot
        limit = paced.pace.limit
        proxy.choose = None
        await store.put_many(((f"k{n}", b"1") for n in range(350)), concurrency=12)

        assert (result.succeeded, result.failed) == (120, {})
        assert limit < 8
        assert store.exchange.lanes.hot is store.exchange.lanes.base


# ---- what is sent


async def test_checksums_are_sent_where_they_are_asked_for(
    moto_proxy: FaultProxy, moto_server: Server, lane: str
) -> None:
    for checksum, expected in (("auto", None), ("when_required", None), ("crc32", "y/Q5Jg==")):
        async with behind(moto_proxy, moto_server, lane, checksum=checksum) as store:
            await store.put("k", b"123456789")

        assert header(moto_proxy.heads[-1], "x-amz-checksum-crc32") == expected
        for name in ("x-amz-trailer", "expect", "transfer-encoding"):
            assert header(moto_proxy.heads[-1], name) is None
        assert header(moto_proxy.heads[-1], "content-length") == "9"


async def test_encryption_is_asked_for(moto_proxy: FaultProxy, moto_server: Server, lane: str) -> None:
    async with behind(moto_proxy, moto_server, lane, sse="aws:kms", kms_key_id="key-1") as store:
        await store.put("k", b"1")
        assert header(moto_proxy.heads[-1], "x-amz-server-side-encryption") == "aws:kms"
        assert header(moto_proxy.heads[-1], "x-amz-server-side-encryption-aws-kms-key-id") == "key-1"
        await store.get("k")
        assert header(moto_proxy.heads[-1], "x-amz-server-side-encryption") is None


async def test_delete_objects_carries_content_md5(moto_proxy: FaultProxy, store: S3Adapter) -> None:
    await store.put_many((f"k{n}", b"") for n in range(10))
    result = await store.delete_many(f"k{n}" for n in range(10))

    posts = [head for (method, _), head in zip(moto_proxy.requests, moto_proxy.heads, strict=True) if method == "POST"]
    assert result.succeeded == 10
    assert len(posts) == 1
    assert header(posts[0], "content-md5")
    assert header(posts[0], "x-amz-checksum-crc32") is None


async def test_a_refused_delete_objects_falls_back_once_and_is_remembered(
    moto_proxy: FaultProxy, store: S3Adapter
) -> None:
    await store.put_many((f"k{n}", b"") for n in range(10))
    moto_proxy.choose = lambda method, _: (
        Fault("answer", answer=s3_error(400, "MissingContentMD5")) if method == "POST" else None
    )
    first = await store.delete_many(f"k{n}" for n in range(5))
    second = await store.delete_many(f"k{n}" for n in range(5, 10))

    assert (first.succeeded, second.succeeded) == (5, 5)
    assert sum(method == "POST" for method, _ in moto_proxy.requests) == 1
    assert [info async for info in store.list()] == []


async def test_keys_that_fail_in_delete_objects_are_reported(moto_proxy: FaultProxy, store: S3Adapter) -> None:
    await store.put_many([("a", b""), ("b", b"")])
    answer = (
        f"<DeleteResult><Error><Key>{store.prefix}b</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
        "</DeleteResult>"
    ).encode()
    denied = Fault("answer", answer=s3_error(403, "AccessDenied"))
    moto_proxy.choose = lambda method, _: {
        "POST": Fault("answer", answer=http_answer(200, answer, Content_Type="application/xml")),
        "DELETE": denied,
    }.get(method)

    result = await store.delete_many(["a", "b"])

    assert result.succeeded == 1
    assert [(key, type(error).__name__) for key, error in result.failed.items()] == [("b", "AccessDeniedError")]


async def test_a_listing_that_repeats_its_token_ends(moto_proxy: FaultProxy, store: S3Adapter) -> None:
    page = (
        "<ListBucketResult><Name>shared</Name><IsTruncated>true</IsTruncated><MaxKeys>1000</MaxKeys>"
        "<KeyCount>1</KeyCount><EncodingType>url</EncodingType><NextContinuationToken>same</NextContinuationToken>"
        f"<Contents><Key>{store.prefix}a</Key><LastModified>2026-11-22T10:00:00.000Z</LastModified>"
        "<ETag>&quot;0123&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
        "</ListBucketResult>"
    ).encode()
    moto_proxy.choose = lambda *_: Fault("answer", answer=http_answer(200, page, Content_Type="application/xml"))

    with pytest.raises(StoreUnavailableError, match="continuation token"):
        async for _ in store.list():
            pass

    assert len(moto_proxy.requests) <= 4


async def test_a_list_asks_for_no_page_that_is_not_wanted(moto_proxy: FaultProxy, store: S3Adapter) -> None:
    await store.put_many((f"k{n:04}", b"") for n in range(30))
    moto_proxy.requests.clear()

    taken = 0
    async for _ in store.list(limit=10):
        taken += 1
        await asyncio.sleep(0.02)
    assert taken == 10
    assert len(moto_proxy.requests) == 1
    async for page in store.list_pages(page_size=10):
        assert len(page.objects) == 10
        await asyncio.sleep(0.1)
        break
    assert len(moto_proxy.requests) == 2


async def test_presigned_urls_work_without_credentials(seaweedfs: Server, lane: str) -> None:
    async with s3_store(seaweedfs, prefix=new_bucket_name(), transport=lane) as store:
        put = await store.presign("PUT", "a b/ü+.txt", expires_in=60)
        get = await store.presign("GET", "a b/ü+.txt")

        def use() -> bytes:
            request = urllib.request.Request(put, data=b"by url", method="PUT")
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 200
            with urllib.request.urlopen(get) as answer:
                return answer.read()

        assert await asyncio.to_thread(use) == b"by url"
        assert (await store.get("a b/ü+.txt")).data == b"by url"
        assert seaweedfs.secret_key not in put
        for method, seconds in (("POST", 60), ("GET", 0), ("GET", 604_801)):
            with pytest.raises(ValidationError):
                await store.presign(method, "k", expires_in=seconds)


# ---- what a server taught


async def test_etags_go_out_bare_where_quotes_are_compared(moto_proxy: FaultProxy, store: S3Adapter) -> None:
    """Ceph compares If-Match with its quotes: 412 for an etag that was just read. Found out once, then remembered."""
    first = await store.put("k", b"1")

    def choose(method: str, _: str) -> Fault | None:
        quoted = (header(moto_proxy.heads[-1], "if-match") or "").startswith('"')
        return Fault("answer", answer=s3_error(412, "PreconditionFailed")) if quoted and method == "PUT" else None

    moto_proxy.choose = choose
    second = await store.put("k", b"2", if_match=first.etag)
    before = len(moto_proxy.requests)
    await store.put("k", b"3", if_match=second.etag)

    assert len(moto_proxy.requests) - before == 1
    with pytest.raises(ConflictError):
        await store.put("k", b"4", if_match=first.etag)
    assert (await store.get("k")).data == b"3"


async def test_a_real_conflict_is_no_matter_of_quotes(moto_proxy: FaultProxy, store: S3Adapter) -> None:
    first = await store.put("k", b"1")
    await store.put("k", b"2")

    with pytest.raises(ConflictError):
        await store.put("k", b"3", if_match=first.etag)

    assert (await store.get("k")).data == b"2"
    assert all('"' in (header(head, "if-match") or '"') for head in moto_proxy.heads)


async def test_what_a_probe_learned_is_believed(rclone_server: Server, lane: str) -> None:
    async with s3_store(rclone_server, prefix=new_bucket_name(), transport=lane) as store:
        await store.put("k", b"1")
        store.learn(Capabilities(conditional_put=False, conditional_delete=False, sorted_list=True))
        before = store.stats()
        with pytest.raises(Exception, match="ignores If-Match"):
            await store.delete("k", if_match="0" * 32)

        assert store.stats() == before


@pytest.mark.parametrize("seconds", [-86_400, 3_600])
async def test_the_clock_is_the_servers(seaweedfs: Server, lane: str, seconds: float) -> None:
    """This machine's clock is wrong; the first refusal tells, and requests are signed with the server's time."""
    prefix = new_bucket_name()
    async with s3_store(seaweedfs, prefix=prefix, transport=lane, clock=lambda: time.time() + seconds) as store:
        assert abs(store.clock() - time.time() - seconds) < 5

        await store.put("k", b"1", if_none_match=True)

        assert abs(store.clock() - time.time()) < 5
        assert store.stats()["put"] == 2
        await store.get("k")
        assert store.stats()["get"] == 1
        url = await store.presign("GET", "k", expires_in=600)
        signed = datetime.strptime(url.partition("X-Amz-Date=")[2][:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(signed.timestamp() - time.time()) < 10
