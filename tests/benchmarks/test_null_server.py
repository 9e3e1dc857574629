"""The null server answers as S3 would, as far as the benchmarks and our own client can tell."""

from __future__ import annotations

import asyncio
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator

import pytest

from benchmarks import data, null_server
from benchmarks.null_answer import Answers
from ddao_async.errors import AlreadyExistsError, NotFoundError
from ddao_async.storage.s3 import S3Adapter

KEYS = 2_500
LARGE = 300_000


@pytest.fixture
async def server() -> AsyncIterator[asyncio.Server]:
    server = await null_server.serve(Answers(KEYS, large_bytes=LARGE))
    yield server
    server.close()
    await server.wait_closed()


@pytest.fixture(params=["wire", "aiobotocore"])
async def store(
    server: asyncio.Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[S3Adapter]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "null")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    port = server.sockets[0].getsockname()[1]
    url = f"s3://bench?endpoint=http://127.0.0.1:{port}"
    async with S3Adapter.from_url(url, transport=request.param) as store:
        yield store


async def _raw(server: asyncio.Server, *pieces: bytes) -> bytes:
    """What the server answers to bytes that come in pieces, until it has nothing more to say."""
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.001)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_document_has_the_id_that_its_key_names(store: S3Adapter) -> None:
    for name in ("u1", "with space", "ü+%", "a/b"):
        found = await store.get(data.document_key(name))

        assert found is not None
        assert json.loads(found.data)["id"] == name
        assert (await store.head(data.document_key(name))).size == len(found.data)


async def test_writes_of_documents_succeed_and_store_nothing(store: S3Adapter) -> None:
    key = data.document_key("u1")
    for _ in range(2):
        assert (await store.put(key, b"x" * 400, if_none_match=True, metadata=data.METADATA)).etag
    await store.delete(key)


async def test_what_is_no_document_is_remembered_and_written_conditionally(store: S3Adapter) -> None:
    first = await store.put("_state.json", b"one", if_none_match=True)
    with pytest.raises(AlreadyExistsError):
        await store.put("_state.json", b"two", if_none_match=True)
    second = await store.put("_state.json", b"two", if_match=first.etag)
    found = await store.get("_state.json")
    keys = [info.key async for info in store.list("_")]
    await store.delete("_state.json", if_match=second.etag)

    assert (found.data, found.info.etag, keys) == (b"two", second.etag, ["_state.json"])
    with pytest.raises(NotFoundError):
        await store.get("_state.json")


async def test_a_key_with_missing_in_it_is_missing(store: S3Adapter) -> None:
    with pytest.raises(NotFoundError):
        await store.get(data.document_key("missing"))


async def test_a_list_gives_every_key_once_in_order_over_several_pages(store: S3Adapter) -> None:
    folder = data.document_key("", data.LISTED_TABLE).removesuffix(".json")
    found = [info.key async for info in store.list(folder)]
    split = [info.key for digit in range(data.SPLIT) async for info in store.list(f"{folder}{digit}")]
    after = [info.key async for info in store.list(folder, start_after=found[1700])]

    assert found == [data.document_key(data.listed_id(n, KEYS), data.LISTED_TABLE) for n in range(KEYS)]
    assert found == sorted(found)
    assert split == found
    assert after == found[1701:]


async def test_an_empty_list_is_empty(store: S3Adapter) -> None:
    assert [info async for info in store.list("tables/users/objects/")] == []


async def test_large_objects_and_ranges_of_them(store: S3Adapter) -> None:
    whole = await store.get("big/x")
    part = await store.get("big/x", range=(1_000, 250_000))

    assert whole is not None
    assert part is not None
    assert whole.data == data.large_object(LARGE)
    assert part.data == whole.data[1_000:250_000]


async def test_several_keys_are_deleted_at_once(store: S3Adapter) -> None:
    await store.put("one & two", b"1")
    result = await store.delete_many(["one & two", "three"])

    assert (result.succeeded, result.failed) == (2, {})
    assert [info async for info in store.list("")] == []


GET = b"GET /b/tables/users/objects/u7.json HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /b/tables/users/objects/u7.json HTTP/1.1\r\nHost: x\r\n"
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n10;x=y\r\n0123456789abcdef\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "answers"),
    [
        (GET + GET, 2),
        (PUT + b"content-length: 5\r\n\r\nhello" + GET, 2),
        (CHUNKED + GET, 2),
        (PUT + b"Content-Length: 0\r\n\r\n" + GET, 2),
    ],
)
async def test_requests_are_understood_however_they_are_cut(
    server: asyncio.Server, request_bytes: bytes, answers: int
) -> None:
    for size in (len(request_bytes), 1, 7):
        pieces = [request_bytes[at : at + size] for at in range(0, len(request_bytes), size)]

        assert (await _raw(server, *pieces)).count(b"HTTP/1.1 200 OK") == answers


async def test_a_client_that_expects_to_be_told_to_continue_is_told(server: asyncio.Server) -> None:
    answer = await _raw(server, PUT + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", b"hello")

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_latency_delays_each_answer_and_not_their_sum() -> None:
    server = await null_server.serve(Answers(10), latency=0.05)

    async def exchange() -> bytes:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(GET)
        answer = await reader.readuntil(b"}}")
        writer.close()
        return answer

    begun = time.monotonic()
    answers = await asyncio.gather(*(exchange() for _ in range(20)))
    taken = time.monotonic() - begun
    server.close()
    await server.wait_closed()

    assert all(b'"id":"u7"' in answer for answer in answers)
    assert 0.05 <= taken < 0.5


def test_a_page_is_well_formed_xml_with_a_token_for_the_next() -> None:
    page = ElementTree.fromstring(
        Answers(KEYS).page("b", {"prefix": "p q/tables/many/objects/", "max-keys": "3", "encoding-type": "url"})
    )
    space = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}

    assert [key.text for key in page.findall("s3:Contents/s3:Key", space)] == [
        f"p%20q/tables/many/objects/0{n:08d}.json" for n in range(3)
    ]
    assert page.findtext("s3:NextContinuationToken", None, space) == "p q/tables/many/objects/000000002.json"
    assert page.findtext("s3:IsTruncated", None, space) == "true"
