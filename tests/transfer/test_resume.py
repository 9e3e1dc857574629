"""Imports that are killed, doubled, or whose store loses answers: the result is as if nothing had happened."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import pytest

import ddao_async as ddao
from ddao_async.testing import Crash, Crashed, FaultyStore, RandomFaults


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def contents(store: Any, table: str = "t") -> dict[str, dict[str, Any]]:
    db = ddao.Database(store)
    return {document.id: document.fields async for document in db.repository(table).find()}


class CrashAt:
    """The client dies at its n-th write of a document; with `every`, journals are written as often as can be."""

    def __init__(self, count: int, *, applied: bool) -> None:
        self.count = count
        self.applied = applied

    async def __call__(self, attempt: Any) -> Any:
        from ddao_async.testing import Answer

        await asyncio.sleep(0)
        if attempt.operation == "put" and "/objects/" in attempt.key:
            self.count -= 1
            if self.count == 0:
                return Crash(applied=self.applied)
        return Answer()


async def crashing(store: Any, count: int, file: Any, *, applied: bool = True, **options: Any) -> None:
    """Run an import until its client dies."""
    db = ddao.Database(FaultyStore(store, CrashAt(count, applied=applied)))
    with pytest.raises(Crashed):
        await db.import_records("t", file, **options)


@pytest.fixture(autouse=True)
def _saved_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddao_async.transfer.imports.SAVE_SECONDS", 0.01)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("on_conflict", ["error", "skip", "replace"])
async def test_whatever_a_client_had_done_when_it_died_the_next_ones_finish(
    tmp_path: Path, on_conflict: str, applied: bool
) -> None:
    rows = [{"id": f"k{n}", "n": n} for n in range(300)] + [{"text": "no id", "n": n} for n in range(50)]
    file = write(tmp_path / "rows.jsonl", rows)
    options = {"resume": True, "on_conflict": on_conflict, "concurrency": 7}
    store = ddao.MemoryAdapter()
    for count in (1, 40, 90, 2, 60):
        await crashing(store, count, file, applied=applied, **options)
    report = await ddao.Database(store).import_records("t", file, **options)

    found = await contents(store)
    assert sorted(fields["n"] for fields in found.values()) == sorted(row["n"] for row in rows)
    assert {name: fields["n"] for name, fields in found.items() if name.startswith("k")} == {
        f"k{n}": n for n in range(300)
    }
    assert (report.inserted, report.replaced, report.skipped, report.rejected) == (350, 0, 0, 0)
    assert report.resumed > 0


async def test_rows_that_a_run_without_a_journal_wrote_count_as_done(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"n": n} for n in range(100)])
    store = ddao.MemoryAdapter()
    await crashing(store, 60, file, concurrency=5)
    report = await ddao.Database(store).import_records("t", file, resume=True)

    assert (report.inserted, report.rejected) == (100, 0)
    assert 55 <= report.resumed <= 60
    assert sorted(fields["n"] for fields in (await contents(store)).values()) == list(range(100))


async def test_a_document_that_somebody_changed_after_the_kill_is_not_written_over(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"id": str(n), "n": n} for n in range(20)])
    store = ddao.MemoryAdapter()
    await crashing(store, 15, file, resume=True, on_conflict="replace", concurrency=1)
    for value in range(100, 105):
        await ddao.Database(store).repository("t").update(ddao.Object("t", "3", {"n": value}))
    report = await ddao.Database(store).import_records("t", file, resume=True, on_conflict="replace")

    assert (await contents(store))["3"] == {"n": 104}
    assert (report.inserted, report.replaced) == (20, 0)


async def test_rows_of_one_id_leave_the_last_one_however_often_it_is_killed(tmp_path: Path) -> None:
    """More of them than a document's past remembers."""
    file = write(tmp_path / "rows.jsonl", [{"id": "one", "n": n} for n in range(60)])
    store = ddao.MemoryAdapter()
    for count in (5, 14, 20):
        await crashing(store, count, file, resume=True, on_conflict="replace", concurrency=4)
    report = await ddao.Database(store).import_records("t", file, resume=True, on_conflict="replace")

    assert await contents(store) == {"one": {"n": 59}}
    assert report.rows == 60


async def test_an_id_that_another_had_taken_stays_a_reject_after_a_kill(tmp_path: Path) -> None:
    rows = [{"id": str(n), "n": n} for n in range(30)] + [{"id": "4", "n": -1}]
    file = write(tmp_path / "rows.jsonl", rows)
    store = ddao.MemoryAdapter()
    await crashing(store, 1, file, applied=False)  # creates the table
    await ddao.Database(store).repository("t").insert(ddao.Object("t", "7", {"n": 700}))
    await crashing(store, 20, file, resume=True, concurrency=1)
    rejects = []
    report = await ddao.Database(store).import_records("t", file, resume=True, on_reject=rejects.append)

    assert (report.inserted, report.rejected) == (29, 2)
    assert sorted((reject.line, reject.id) for reject in rejects) == [(8, "7"), (31, "4")]
    assert (await contents(store))["7"] == {"n": 700}
    assert (await contents(store))["4"] == {"n": 4}


async def test_unique_values_hold_over_a_kill(tmp_path: Path) -> None:
    class T(ddao.Record, table="t"):
        email: Annotated[str, ddao.Unique()]
        city: Annotated[str, ddao.Index()] = ""

    rows = [{"id": str(n), "email": f"{n % 40}@x", "city": f"c{n % 3}"} for n in range(50)]
    file = write(tmp_path / "rows.jsonl", rows)
    store = ddao.MemoryAdapter()
    await ddao.Database(store).create_tables(ddao.Schema.of(T))
    for count in (10, 15, 8):
        await crashing(store, count, file, resume=True, concurrency=3)
    db = ddao.Database(store)
    report = await db.import_records(T, file, resume=True)

    assert (report.inserted, report.rejected) == (40, 10)
    assert {user.email async for user in db.repository(T).find()} == {f"{n}@x" for n in range(40)}
    assert await db.repository(T).count(city="c1") == sum(n % 3 == 1 for n in range(40))
    checked = await db.reindex("t")
    assert [list(index.missing) for index in checked.indexes] == [[], []]


@pytest.mark.parametrize("on_conflict", ["error", "skip", "replace"])
@pytest.mark.parametrize("seed", range(3))
async def test_lost_answers_lose_and_double_nothing(tmp_path: Path, seed: int, on_conflict: str) -> None:
    file = write(tmp_path / "rows.jsonl", [{"id": str(n), "n": n} for n in range(200)])
    inner = ddao.MemoryAdapter()
    store = FaultyStore(inner, RandomFaults(seed, lost=0.05, refused=0.05), deadline=0.5, grace=0.0)
    report = await ddao.Database(store).import_records("t", file, resume=True, on_conflict=on_conflict)
    while store.twins:
        await store.land()

    assert (report.inserted, report.replaced, report.skipped, report.rejected) == (200, 0, 0, 0)
    assert await contents(inner) == {str(n): {"n": n} for n in range(200)}


async def test_the_journal_is_small_and_says_how_far_it_is(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.jsonl", [{"id": f"{name}{n}"} for n in range(50)]) for name in "ab"]
    store = ddao.MemoryAdapter()
    await ddao.Database(store).import_records("t", files, resume=True, name="both")
    keys = [info.key async for info in store.list("_imports/")]
    entry = json.loads((await store.get("_imports/both/000001-0000.json")).data)

    assert keys == ["_imports/both/000000-0000.json", "_imports/both/000001-0000.json", "_imports/both/_plan.json"]
    assert (entry["is_done"], entry["done"]["rows"], entry["done"]["bytes"]) == (True, 50, files[1].stat().st_size)


async def test_a_save_whose_answer_never_came_is_no_other_process(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"id": str(n)} for n in range(50)])
    inner = ddao.MemoryAdapter()
    lost = 0

    class Losing:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        async def put(self, key: str, data: bytes, **options: Any) -> ddao.ObjectInfo:
            nonlocal lost
            await asyncio.sleep(0.002)
            info = await inner.put(key, data, **options)
            if "_imports" in key and options.get("if_match") and lost < 3:
                lost += 1
                await inner.put(key, data + b" ", if_match=info.etag)  # an etag that the writer never learns
            return info

    report = await ddao.Database(Losing()).import_records("t", file, resume=True, concurrency=1)

    assert (report.inserted, lost) == (50, 3)


async def test_parts_done_apart_are_the_whole_with_the_same_ids(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"n": n} for n in range(1700)])
    store, other = ddao.MemoryAdapter(), ddao.MemoryAdapter()
    done = [await ddao.Database(store).import_records("t", file, resume=True, parts=3, part=part) for part in (2, 0, 1)]
    whole = await ddao.Database(store).import_records("t", file, resume=True)
    await ddao.Database(other).import_records("t", file)

    assert [report.inserted for report in done] == [500, 700, 500]
    assert (whole.inserted, whole.resumed) == (1700, 1700)
    assert await contents(store) == await contents(other)


async def test_an_import_that_fails_leaves_its_journal_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddao_async.transfer.imports.SAVE_SECONDS", 60.0)
    file = write(tmp_path / "rows.jsonl", [{"id": str(n)} for n in range(100)])
    store = ddao.MemoryAdapter()

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def put(self, key: str, data: bytes, **options: Any) -> ddao.ObjectInfo:
            if key.endswith("/objects/70.json"):
                raise ddao.AccessDeniedError("No more.", key=key)
            return await store.put(key, data, **options)

    with pytest.raises(ddao.AccessDeniedError):
        await ddao.Database(Failing()).import_records("t", file, resume=True, name="x", concurrency=2)
    entry = json.loads((await store.get("_imports/x/000000-0000.json")).data)

    assert (entry["done"]["rows"], entry["done"]["inserted"], entry["is_done"]) == (70, 70, False)


async def test_an_import_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"id": str(n)} for n in range(50)])
    store = ddao.MemoryAdapter()
    await ddao.Database(store).import_records("t", file, resume=True)
    await ddao.Database(store).repository("t").delete("7")
    report = await ddao.Database(store).import_records("t", file, resume=True)

    assert (report.inserted, report.resumed, report.bytes_read) == (50, 50, file.stat().st_size)
    assert "7" not in await contents(store)


async def test_a_changed_file_is_another_import_and_cannot_take_its_name(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [{"id": "a"}])
    db = ddao.Database(ddao.MemoryAdapter())
    await db.import_records("t", file, resume=True, name="mine")
    write(file, [{"id": "a"}, {"id": "b"}])

    with pytest.raises(ddao.ConfigurationError, match="files that have changed"):
        await db.import_records("t", file, resume=True, name="mine")
    assert (await db.import_records("t", file, resume=True, on_conflict="skip")).inserted == 1


async def test_rows_without_a_file_need_a_name_to_be_resumed() -> None:
    rows = [{"n": n} for n in range(10)]
    db = ddao.Database(ddao.MemoryAdapter())

    with pytest.raises(ddao.ConfigurationError, match="Give the import a name"):
        await db.import_records("t", rows, resume=True)
    first = await db.import_records("t", rows, name="mine")
    again = await db.import_records("t", rows, name="mine", resume=True)
    assert (first.inserted, again.inserted, again.resumed) == (10, 10, 10)
    assert await db.repository("t").count() == 10


async def test_of_two_processes_with_one_import_the_first_stops_and_the_result_is_exact(tmp_path: Path) -> None:
    rows = [{"n": n} for n in range(400)]
    file = write(tmp_path / "rows.jsonl", rows)
    store = ddao.MemoryAdapter()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def put(self, key: str, data: bytes, **options: Any) -> ddao.ObjectInfo:
            await asyncio.sleep(0.002)
            return await store.put(key, data, **options)

    first = asyncio.create_task(ddao.Database(Slow()).import_records("t", file, resume=True, concurrency=2))
    await asyncio.sleep(0.15)
    report = await ddao.Database(Slow()).import_records("t", file, resume=True, concurrency=2)

    with pytest.raises(ddao.ConflictError, match="Another process"):
        await first
    assert report.inserted == 400
    assert sorted(fields["n"] for fields in (await contents(store)).values()) == list(range(400))
