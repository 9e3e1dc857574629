"""
The contract of `storage.protocol`, executable: one suite that every store passes, over both lanes and three servers.
What a server does not do (`fix_storage.GAPS`) is asserted as that gap, never skipped.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fix_storage import Place

from ddao_async.errors import (
    AlreadyExistsError,
    ClosedError,
    ConflictError,
    DDAOError,
    NotFoundError,
    UnsupportedError,
    ValidationError,
)

ODD_KEYS = [
    "plain",
    "with space",
    "plus+plus",
    "percent%2Fencoded%",
    "question?mark=1&b",
    "hash#tag",
    "quote'\"<>&;",
    "ünïcödé-ключ-鍵-🔑",
    "tilde~dot.dash-under_score",
    "semi;colon:comma,at@dollar$",
    "brace{}[]()|^`",
    "deep/er/and/deeper.json",
    "e\u0301 combining",
    "star*bang!",
    "=equals=",
]


async def keys_of(store: Any, prefix: str = "", **options: Any) -> list[str]:
    return [info.key async for info in store.list(prefix, **options)]


async def fill(store: Any, *keys: str) -> None:
    for key in keys:
        await store.put(key, key.encode())


# ---- put, get, head, delete


async def test_what_is_put_is_got(store: Any) -> None:
    before = datetime.now(UTC)

    put = await store.put("a/b.json", b'{"a": 1}')
    got = await store.get("a/b.json")

    assert put.key == got.info.key == "a/b.json"
    assert got.data == b'{"a": 1}'
    assert put.size == got.info.size == 8
    assert put.etag == got.info.etag == hashlib.md5(b'{"a": 1}').hexdigest()
    assert got.error is None
    assert got.info.last_modified.tzinfo is UTC
    assert abs(got.info.last_modified - before) < timedelta(seconds=10)


async def test_any_bytes_come_back(store: Any) -> None:
    for data in (b"", b"x", b"\0\r\n\xff" * 1000, bytes(3_000_000)):
        await store.put("k", data)

        assert (await store.get("k")).data == data
        assert (await store.head("k")).size == len(data)


async def test_metadata_and_content_type_are_kept(place: Place, store: Any) -> None:
    put = await store.put("k", b"1", metadata={"Ddao-Type": "object", "ddao-table": "users"}, content_type="text/x-a")
    got = await store.get("k")
    head = await store.head("k")

    expected = {"ddao-type": "object", "ddao-table": "users"}
    assert put.metadata == expected
    assert put.content_type == "text/x-a"
    for info in (got.info, head):
        kept = {name: value for name, value in info.metadata.items() if name in expected}
        assert kept == expected
        assert place.gaps.adds_metadata or info.metadata == expected
        assert info.content_type == "text/x-a"


async def test_head_tells_what_get_tells(store: Any) -> None:
    await store.put("k", b"12345", metadata={"a": "b"}, content_type="application/json")

    assert await store.head("k") == (await store.get("k")).info


async def test_a_put_replaces_bytes_and_metadata(store: Any) -> None:
    await store.put("k", b"first", metadata={"old": "1"})
    await store.put("k", b"second", metadata={"new": "2"})

    got = await store.get("k")

    assert got.data == b"second"
    assert got.info.metadata.get("new") == "2"
    assert "old" not in got.info.metadata


async def test_a_missing_key_is_not_found(store: Any) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        await store.get("missing")
    with pytest.raises(NotFoundError, match="missing"):
        await store.head("missing")
    with pytest.raises(NotFoundError):
        await store.get("missing", if_none_match="0" * 32)
    with pytest.raises(NotFoundError):
        await store.get("missing", range=(0, 1))


async def test_delete_removes_and_forgives_a_missing_key(store: Any) -> None:
    await store.put("k", b"1")

    await store.delete("k")
    await store.delete("k")

    with pytest.raises(NotFoundError):
        await store.get("k")


async def test_odd_keys_are_ordinary(store: Any) -> None:
    for key in ODD_KEYS:
        await store.put(key, key.encode(), if_none_match=True)

    for key in ODD_KEYS:
        assert (await store.get(key)).data == key.encode()
        assert (await store.head(key)).key == key
    assert sorted(await keys_of(store)) == sorted(ODD_KEYS)
    assert (await store.delete_many(ODD_KEYS[1:])).succeeded == len(ODD_KEYS) - 1
    await store.delete(ODD_KEYS[0])
    assert await keys_of(store) == []


async def test_keys_that_some_servers_change(place: Place, store: Any) -> None:
    """A server that cannot hold a key refuses or changes it; every other store holds it."""
    changed = []
    for key in ["a//b", "dir/", "/x", "./x", "p/../q", "line\nbreak", "back\\slash", "x" * 256]:
        try:
            await store.put(key, b"1")
            held = (await store.get(key)).data == b"1" and await keys_of(store) == [key]
            held = held and (await store.delete_many([key])).succeeded == 1 and await keys_of(store) == []
        except DDAOError:
            held = False
        if not held:
            changed.append(key)
            await store.delete_many(await keys_of(store))

    assert changed == list(place.gaps.changes_keys)


async def test_what_is_no_key_is_refused_before_it_is_sent(store: Any) -> None:
    for key in ("", "x" * 1025, "é" * 513, "\ud800"):
        for call in (store.put(key, b""), store.get(key), store.head(key), store.delete(key)):
            with pytest.raises(ValidationError):
                await call


async def test_metadata_that_is_no_header_is_refused(store: Any) -> None:
    for metadata in ({"a\nb": "1"}, {"a": "1\r\nx-evil: 1"}, {"a": "\0"}, {"a": "ü"}, {"": "1"}):
        with pytest.raises(ValidationError):
            await store.put("k", b"", metadata=metadata)
    with pytest.raises(ValidationError):
        await store.put("k", b"", content_type="a\r\nb: c")

    assert await keys_of(store) == []


# ---- conditions


async def test_put_if_none_match_creates_once(place: Place, store: Any) -> None:
    await store.put("k", b"first", if_none_match=True)

    if place.gaps.ignores_put_conditions:
        await store.put("k", b"second", if_none_match=True)
        assert (await store.get("k")).data == b"second"
        return
    with pytest.raises(AlreadyExistsError):
        await store.put("k", b"second", if_none_match=True)
    assert (await store.get("k")).data == b"first"


async def test_put_if_match_replaces_what_was_read(place: Place, store: Any) -> None:
    first = await store.put("k", b"first")
    second = await store.put("k", b"second", if_match=first.etag)

    if place.gaps.ignores_put_conditions:
        await store.put("k", b"third", if_match=first.etag)
        return
    with pytest.raises(ConflictError) as raised:
        await store.put("k", b"third", if_match=first.etag)
    assert not isinstance(raised.value, AlreadyExistsError)
    assert (await store.get("k")).info.etag == second.etag


async def test_put_if_match_on_a_missing_key_is_a_conflict(place: Place, store: Any) -> None:
    if place.gaps.ignores_put_conditions:
        await store.put("k", b"1", if_match="0" * 32)
        return
    with pytest.raises(ConflictError):
        await store.put("k", b"1", if_match="0" * 32)
    assert await keys_of(store) == []


async def test_a_put_cannot_create_and_replace(store: Any) -> None:
    with pytest.raises(ValidationError):
        await store.put("k", b"1", if_none_match=True, if_match="0" * 32)


async def test_delete_if_match_deletes_what_was_read(place: Place, store: Any) -> None:
    old = await store.put("k", b"old")
    new = await store.put("k", b"new")

    if place.gaps.ignores_delete_conditions:
        for etag in (old.etag, new.etag):
            with pytest.raises(UnsupportedError):
                await store.delete("k", if_match=etag)
        assert (await store.get("k")).data == b"new"
        assert store.capabilities.conditional_delete is False
        return
    with pytest.raises(ConflictError):
        await store.delete("k", if_match=old.etag)
    assert (await store.get("k")).data == b"new"
    await store.delete("k", if_match=new.etag)
    with pytest.raises(ConflictError):
        await store.delete("k", if_match=new.etag)
    assert await keys_of(store) == []
    assert store.capabilities.conditional_delete is True


async def test_get_if_none_match_tells_that_nothing_changed(store: Any) -> None:
    first = await store.put("k", b"first")

    assert await store.get("k", if_none_match=first.etag) is None

    await store.put("k", b"second")
    got = await store.get("k", if_none_match=first.etag)
    assert got is not None
    assert got.data == b"second"


RANGES = [
    ((0, 3), b"012"),
    ((3, 7), b"3456"),
    ((7, None), b"789"),
    ((0, None), b"0123456789"),
    ((0, 100), b"0123456789"),
    ((9, 10), b"9"),
    ((5, 100), b"56789"),
    ((10, None), b""),
    ((50, 60), b""),
]


async def test_a_range_is_start_and_exclusive_stop(place: Place, store: Any) -> None:
    info = await store.put("k", b"0123456789")

    for (start, stop), expected in RANGES:
        got = await store.get("k", range=(start, stop))

        assert (start, stop, got.data) == (start, stop, expected)
        assert got.info.etag == info.etag
        assert place.gaps.answers_range_with_200 or got.info.size == 10


async def test_an_empty_or_backward_range_is_refused(store: Any) -> None:
    await store.put("k", b"0123456789")

    for start, stop in ((-1, 3), (3, 3), (4, 3)):
        with pytest.raises(ValidationError):
            await store.get("k", range=(start, stop))


# ---- lists


async def test_list_is_sorted_and_complete(place: Place, store: Any) -> None:
    keys = ["b", "a/2", "a/10", "ab", "a-b", "c/d/e", "B", "é", "z~"]
    await fill(store, *keys)

    listed = [info async for info in store.list()]

    order = [info.key for info in listed]
    assert sorted(order) == sorted(keys)
    assert place.gaps.sorts_by_directory or order == sorted(keys, key=str.encode)
    assert {info.key: info.size for info in listed} == {key: len(key.encode()) for key in keys}
    heads = {key: await store.head(key) for key in keys}
    assert {info.key: info.etag for info in listed} == {key: heads[key].etag for key in keys}
    assert all(info.last_modified.tzinfo is UTC for info in listed)


async def test_a_prefix_is_no_directory(store: Any) -> None:
    await fill(store, "a", "ab/c", "abc", "b")

    assert sorted(await keys_of(store, "ab")) == ["ab/c", "abc"]
    assert await keys_of(store, "ab/") == ["ab/c"]
    assert await keys_of(store, "zz") == []


async def test_a_key_may_begin_another(place: Place, store: Any) -> None:
    """Servers that keep directories cannot all hold `p` beside `p/q`."""
    try:
        await fill(store, "p", "p/q")
        held = sorted(await keys_of(store)) == ["p", "p/q"]
        held = held and [item.data async for item in store.get_many(["p", "p/q"])] == [b"p", b"p/q"]
    except DDAOError:
        held = False

    assert held is not place.gaps.holds_no_key_beside_its_directory


async def test_list_starts_after_a_key(store: Any) -> None:
    await fill(store, "p/1", "p/2", "p/3", "q")

    assert await keys_of(store, "p/", start_after="p/1") == ["p/2", "p/3"]
    assert await keys_of(store, "p/", start_after="p/15") == ["p/2", "p/3"]
    assert await keys_of(store, "p/", start_after="p/3") == []
    assert await keys_of(store, "", start_after="p/2") == ["p/3", "q"]


async def test_list_stops_at_its_limit(store: Any) -> None:
    await fill(store, "1", "2", "3")

    assert await keys_of(store, limit=2) == ["1", "2"]
    assert await keys_of(store, limit=3) == ["1", "2", "3"]
    assert await keys_of(store, limit=9) == ["1", "2", "3"]
    assert await keys_of(store, limit=0) == []


async def test_pages_hold_at_most_their_size(store: Any) -> None:
    await fill(store, *(f"k{n:02}" for n in range(25)))

    pages = [page async for page in store.list_pages("k", page_size=10)]
    after = [page async for page in store.list_pages("k", page_size=10, start_after="k19")]

    assert [len(page.objects) for page in pages] == [10, 10, 5]
    assert [info.key for page in pages for info in page.objects] == [f"k{n:02}" for n in range(25)]
    assert [info.key for page in after for info in page.objects] == [f"k{n:02}" for n in range(20, 25)]
    with pytest.raises(ValidationError):
        async for _ in store.list_pages(page_size=1001):
            pass


async def test_a_delimiter_rolls_keys_up(store: Any) -> None:
    await fill(store, "t/a.json", "t/users/1", "t/users/2", "t/posts/1", "t/z.json", "u")

    pages = [page async for page in store.list_pages("t/", delimiter="/")]

    assert [info.key for page in pages for info in page.objects] == ["t/a.json", "t/z.json"]
    assert [prefix for page in pages for prefix in page.prefixes] == ["t/posts/", "t/users/"]


async def test_rolled_up_keys_come_once_over_pages(store: Any) -> None:
    await fill(store, *(f"{group}/{n}" for group in "abcde" for n in range(3)))

    pages = [page async for page in store.list_pages(delimiter="/", page_size=2)]

    assert [prefix for page in pages for prefix in page.prefixes] == ["a/", "b/", "c/", "d/", "e/"]
    assert all(len(page.prefixes) + len(page.objects) <= 2 for page in pages)


async def test_a_list_of_several_thousand_is_complete(store: Any) -> None:
    """More than one page of a thousand, put and deleted in bulk."""
    keys = [f"many/{n:05}" for n in range(1050)]

    put = await store.put_many(((key, b"1") for key in keys), concurrency=32)
    listed = await keys_of(store, "many/")
    deleted = await store.delete_many(listed)

    assert put.succeeded == 1050
    assert put.failed == {}
    assert listed == keys
    assert deleted.succeeded == 1050
    assert await keys_of(store, "many/") == []


async def test_a_list_that_is_left_early_leaves_nothing_behind(store: Any) -> None:
    await fill(store, *(f"k{n}" for n in range(5)))

    async for info in store.list():
        assert info.key == "k0"
        break

    assert (await store.get("k4")).data == b"k4"


# ---- batches and large objects


async def test_get_many_keeps_order_and_tells_what_is_missing(store: Any) -> None:
    await fill(store, "a", "b", "c")

    items = [item async for item in store.get_many(["c", "missing", "a", "b"], concurrency=2)]

    assert [item.info.key for item in items] == ["c", "missing", "a", "b"]
    assert [item.data for item in items] == [b"c", b"", b"a", b"b"]
    assert isinstance(items[1].error, NotFoundError)
    assert [item.error for item in items if item.info.key != "missing"] == [None] * 3


async def test_upload_takes_paths_files_and_iterators(store: Any, tmp_path: Any) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)

    async def chunks() -> Any:
        for at in range(0, len(data), 10_007):
            yield data[at : at + 10_007]

    with (tmp_path / "file").open("rb") as file:
        for key, source in (("path", tmp_path / "file"), ("file", file), ("chunks", chunks()), ("bytes", data)):
            info = await store.upload(key, source, content_type="text/x-a", metadata={"m": "1"})
            got = await store.get(key)

            assert (info.key, info.size) == (key, len(data))
            assert got.data == data
            assert got.info.content_type == "text/x-a"
            assert got.info.metadata["m"] == "1"


async def test_a_large_upload_goes_and_comes_in_pieces(store: Any) -> None:
    block = hashlib.sha256(b"seed").digest() * 4096  # 128 KiB

    async def chunks() -> Any:
        for _ in range(100):
            yield block

    info = await store.upload("large", chunks(), part_size=5 << 20, concurrency=2)
    async with store.open("large") as stream:
        pieces = [piece async for piece in stream]

    assert info.size == stream.info.size == 100 * len(block)
    assert b"".join(pieces) == block * 100
    assert len(pieces) > 1
    assert (await store.get("large", range=(len(block) * 60 - 5, len(block) * 60 + 5))).data == block[-5:] + block[:5]


async def test_open_of_a_missing_key_is_not_found(store: Any) -> None:
    with pytest.raises(NotFoundError):
        async with store.open("missing"):
            pass


async def test_open_may_be_left_early(store: Any) -> None:
    await store.put("k", bytes(3_000_000))

    async with store.open("k") as stream:
        async for piece in stream:
            assert piece
            break

    assert (await store.head("k")).size == 3_000_000


async def test_copy_keeps_bytes_and_metadata(store: Any) -> None:
    await store.put("from here", b"bytes", metadata={"m": "1"}, content_type="text/x-a")

    info = await store.copy("from here", "to/there ü")
    got = await store.get("to/there ü")

    assert info.key == "to/there ü"
    assert got.data == b"bytes"
    assert got.info.metadata["m"] == "1"
    assert got.info.content_type == "text/x-a"
    with pytest.raises(NotFoundError):
        await store.copy("missing", "x")


# ---- life


async def test_a_closed_store_says_so(place: Place) -> None:
    store = place.store()
    async with store:
        await store.put("k", b"1")
    for call in (store.get("k"), store.put("k", b""), store.head("k"), store.delete("k"), keys_of(store)):
        with pytest.raises(ClosedError):
            await call
    await store.close()

    async with store:
        await store.check()


async def test_stats_count_requests(store: Any) -> None:
    before = store.stats()
    await store.put("k", b"1")
    await store.get("k")
    await store.get("k")
    await store.head("k")
    await store.delete("k")
    after = store.stats()

    made = {name: after[name] - before.get(name, 0) for name in ("put", "get", "head", "delete")}
    assert made == {"put": 1, "get": 2, "head": 1, "delete": 1}


async def test_a_race_of_conditional_increments_loses_nothing(place: Place, store: Any) -> None:
    """5 writers, 10 increments each: where conditions hold the sum is 50; elsewhere even two in turn lose one."""
    await store.put("counter", b"0")
    if place.gaps.ignores_put_conditions:
        read = await store.get("counter")
        for _ in range(2):
            await store.put("counter", b"%d" % (int(read.data) + 1), if_match=read.info.etag)
        assert (await store.get("counter")).data == b"1"
        return

    async def increment() -> None:
        while True:
            read = await store.get("counter")
            try:
                await store.put("counter", b"%d" % (int(read.data) + 1), if_match=read.info.etag)
            except ConflictError:
                continue
            return

    async def writer() -> None:
        for _ in range(10):
            await increment()

    await asyncio.gather(*(writer() for _ in range(5)))

    assert (await store.get("counter")).data == b"50"
