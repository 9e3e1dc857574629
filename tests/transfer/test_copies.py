"""Copies between stores: everything, with its metadata; again is for nothing; what differs is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fix_server import Server, new_bucket_name
from fix_storage import s3_store

import ddao_async as ddao
from ddao_async.errors import AccessDeniedError
from ddao_async.testing import CountingStore
from ddao_async.transfer.copies import compare_objects, copy_objects


class Note(ddao.Record, table="notes"):
    text: str


async def filled(store: Any) -> Any:
    db = ddao.Database(store)
    await db.create_tables(ddao.Schema.of(Note))
    await db.repository(Note).insert_many([Note(id=f"n{n}", text="x" * n) for n in range(30)])
    await store.put("big/blob.bin", bytes(range(256)) * 40_000, metadata={"a": "b"}, content_type="image/x")
    return store


async def everything(store: Any) -> dict[str, tuple[bytes, dict[str, str], str | None]]:
    found = {}
    async for info in store.list(""):
        item = await store.get(info.key)
        found[info.key] = (item.data, dict(item.info.metadata), item.info.content_type)
    return found


async def test_a_copy_holds_every_object_with_its_metadata(tmp_path: Path) -> None:
    source = await filled(ddao.MemoryAdapter())
    async with ddao.SQLiteAdapter(tmp_path / "copy.db") as target:
        report = await copy_objects(source, target)

        assert await everything(target) == await everything(source)
        assert (report.copied, report.equal, report.failed) == (len(await everything(source)), 0, {})
        assert (await ddao.Database(target).repository(Note).get("n7")).text == "x" * 7


@pytest.mark.timeout(120)
async def test_from_a_file_to_a_server_and_back(tmp_path: Path, seaweedfs: Server) -> None:
    async with (
        ddao.SQLiteAdapter(tmp_path / "a.db") as source,
        s3_store(seaweedfs, prefix=new_bucket_name()) as server,
        ddao.SQLiteAdapter(tmp_path / "b.db") as back,
    ):
        await filled(source)
        await copy_objects(source, server)
        await copy_objects(server, back)
        verified = await compare_objects(source, server)

        assert await everything(back) == await everything(source)
        assert (verified.failed, verified.extra) == ({}, 0)


async def test_what_is_there_and_equal_is_not_copied_again() -> None:
    source, target = await filled(ddao.MemoryAdapter()), ddao.MemoryAdapter()
    await copy_objects(source, target)
    await target.delete("tables/notes/objects/n3.json")
    await target.put("tables/notes/objects/n4.json", b"other")
    counting = CountingStore(target)
    report = await copy_objects(source, counting)

    assert report.copied == 2
    assert counting.counts()["put"] == 2
    assert await everything(target) == await everything(source)


async def test_verifying_names_what_differs() -> None:
    source, target = await filled(ddao.MemoryAdapter()), ddao.MemoryAdapter()
    await copy_objects(source, target)
    held = await target.get("tables/notes/objects/n1.json")
    await target.delete("tables/notes/objects/n3.json")
    await target.put("tables/notes/objects/n4.json", b"other")
    await target.put("tables/notes/objects/n1.json", held.data, metadata={"other": "1"})
    await target.put("more", b"")
    report = await compare_objects(source, target)

    assert {key[-7:]: what for key, what in report.failed.items()} == {
        "n1.json": "The copy is of other metadata.",
        "n3.json": "The copy is missing.",
        "n4.json": "The copy is of other bytes.",
    }
    assert report.extra == 1


async def test_an_object_that_cannot_be_written_does_not_stop_the_others() -> None:
    class Picky:
        def __init__(self) -> None:
            self.inner = ddao.MemoryAdapter()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        async def put(self, key: str, data: bytes, **options: Any) -> ddao.ObjectInfo:
            if key.endswith("n9.json"):
                raise AccessDeniedError("Not this one.", key=key)
            return await self.inner.put(key, data, **options)

    source, target = await filled(ddao.MemoryAdapter()), Picky()
    report = await copy_objects(source, target)

    assert list(report.failed) == ["tables/notes/objects/n9.json"]
    assert len(await everything(target)) == len(await everything(source)) - 1
