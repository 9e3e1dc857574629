"""Imports and exports as a library: what becomes of each row, and what does not happen to the others."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any

import pytest

import ddao_async as ddao
from ddao_async.errors import AccessDeniedError, ConfigurationError, NotFoundError, ThrottledError, ValidationError
from ddao_async.transfer.imports import ImportReport
from ddao_async.transfer.row import Reject
from ddao_async.transfer.source import Format, Source
from ddao_async.transfer.target import SAMPLE_ROWS


def source(text: str | bytes, format: Format, *, is_repeatable: bool = True, step: int = 50) -> Source:
    data = text.encode() if isinstance(text, str) else text

    async def chunks() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(data), step):
            yield data[start : start + step]

    return Source(name="a test", format=format, open=chunks, is_repeatable=is_repeatable)


def lines(*rows: dict[str, Any]) -> Source:
    return source("\n".join(json.dumps(row) for row in rows), "jsonl")


@pytest.fixture
async def db() -> AsyncIterator[ddao.Database]:
    async with ddao.connect("memory://") as db:
        yield db


async def contents(db: ddao.Database, table: str = "t") -> dict[str, dict[str, Any]]:
    written = bytearray()

    async def write(data: bytes) -> None:
        written.extend(data)

    await db.repository(table).export(write)
    documents = [json.loads(line) for line in written.splitlines()]
    return {document.pop("id"): document for document in documents}


async def imported(db: ddao.Database, rows: Source, **options: Any) -> tuple[ImportReport, list[Reject]]:
    rejects: list[Reject] = []
    report = await db.import_records("t", rows, on_reject=rejects.append, **options)
    return report, sorted(rejects, key=lambda reject: reject.line)


@pytest.mark.parametrize("is_repeatable", [True, False])
async def test_a_table_without_a_schema_gets_one_from_the_data(db: ddao.Database, is_repeatable: bool) -> None:
    report, _ = await imported(
        db, source("code,n,x,b\nA,1,1.5,true\nB,,2,false\n", "csv", is_repeatable=is_repeatable), key="code"
    )

    assert report.created_columns == {"code": "text", "n": "integer", "x": "float", "b": "boolean"}
    assert (report.inserted, report.rows, report.bytes_read) == (2, 2, 35)
    assert await contents(db) == {
        "A": {"code": "A", "n": 1, "x": 1.5, "b": True},
        "B": {"code": "B", "n": None, "x": 2.0, "b": False},
    }


async def test_a_declared_table_keeps_its_columns_and_refuses_what_does_not_fit(db: ddao.Database) -> None:
    class T(ddao.Record, table="t"):
        n: int
        name: str = "-"

    await db.create_tables(ddao.Schema.of(T))
    report, rejects = await imported(db, source("id,n,name\na,1,x\nb,1.5,y\nc,,z\nd,4,\n", "csv"))

    assert report.created_columns is None
    assert (report.inserted, report.rejected) == (2, 2)
    assert [(reject.line, reject.id) for reject in rejects] == [(3, "b"), (4, "c")]
    assert "'1.5' is no value of type integer" in rejects[0].reason
    assert "t.n is null" in rejects[1].reason
    assert await contents(db) == {"a": {"n": 1, "name": "x"}, "d": {"n": 4, "name": ""}}


async def test_rows_without_an_id_get_one(db: ddao.Database) -> None:
    report, _ = await imported(db, lines({"a": 1}, {"id": "x", "a": 2}, {"id": None, "a": 3}))

    assert report.inserted == 3
    assert len(await contents(db)) == 3
    assert (await contents(db))["x"] == {"a": 2}


async def test_the_key_names_the_id_and_stays_a_field(db: ddao.Database) -> None:
    await imported(db, lines({"code": "A", "n": 1}, {"code": 7, "n": 2}), key="code")

    assert await contents(db) == {"A": {"code": "A", "n": 1}, "7": {"code": 7, "n": 2}}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"code": None}, "is missing or empty"),
        ({"code": ""}, "is missing or empty"),
        ({"n": 1}, "is missing or empty"),
        ({"code": True}, "neither text nor an integer"),
        ({"code": [1]}, "neither text nor an integer"),
        ({"code": "a//b"}, "a//b"),
        ({"code": "y", "id": "z"}, "besides its key"),
    ],
)
async def test_a_row_whose_id_cannot_be_is_rejected_with_its_line(
    db: ddao.Database, row: dict[str, Any], reason: str
) -> None:
    report, rejects = await imported(db, lines({"code": "ok"}, row, {"code": "fine"}), key="code")

    assert (report.inserted, report.rejected) == (2, 1)
    assert rejects[0].line == 2
    assert reason in rejects[0].reason
    assert sorted(await contents(db)) == ["fine", "ok"]


@pytest.mark.parametrize(
    ("on_conflict", "counts", "n"),
    [("error", (1, 0, 0, 1), 1), ("skip", (1, 0, 1, 0), 1), ("replace", (1, 1, 0, 0), 2)],
)
async def test_what_a_row_does_whose_id_exists(
    db: ddao.Database, on_conflict: str, counts: tuple[int, ...], n: int
) -> None:
    await imported(db, lines({"id": "a", "n": 1}))
    report, rejects = await imported(db, lines({"id": "a", "n": 2}, {"id": "b", "n": 3}), on_conflict=on_conflict)

    assert (report.inserted, report.replaced, report.skipped, report.rejected) == counts
    assert [(reject.line, reject.id) for reject in rejects] == [(1, "a")] * counts[3]
    assert (await contents(db))["a"] == {"n": n}


async def test_rows_of_one_id_are_written_in_the_order_of_the_file(db: ddao.Database) -> None:
    rows = [{"id": f"k{n % 3}", "n": n} for n in range(300)]
    report, _ = await imported(db, lines(*rows), on_conflict="replace")

    assert (report.inserted, report.replaced) == (3, 297)
    assert await contents(db) == {"k0": {"n": 297}, "k1": {"n": 298}, "k2": {"n": 299}}


async def test_a_unique_value_that_is_taken_is_a_reject_whatever_the_conflict_rule(db: ddao.Database) -> None:
    class T(ddao.Record, table="t"):
        email: Annotated[str, ddao.Unique()]

    await db.create_tables(ddao.Schema.of(T))
    await imported(db, lines({"id": "a", "email": "x@y"}))
    report, rejects = await imported(
        db, lines({"id": "b", "email": "x@y"}, {"id": "c", "email": "c@y"}), on_conflict="skip"
    )

    assert (report.inserted, report.skipped, report.rejected) == (1, 0, 1)
    assert (rejects[0].line, rejects[0].id) == (1, "b")
    assert "email" in rejects[0].reason


async def test_a_half_written_row_is_reported_with_its_line(db: ddao.Database) -> None:
    report, rejects = await imported(db, source('id,a,b\n1,2,3\n4,"5\n6,7,8\n9,10', "csv"))

    assert (report.inserted, report.rejected) == (2, 2)
    assert [reject.line for reject in rejects] == [3, 5]
    assert sorted(await contents(db)) == ["1", "6"]


async def test_a_value_that_the_sample_of_a_pipe_did_not_show_is_rejected_not_lost(db: ddao.Database) -> None:
    text = "id,n\n" + "".join(f"{n},{n}\n" for n in range(SAMPLE_ROWS + 500)) + "last,many\n"
    report, rejects = await imported(db, source(text, "csv", is_repeatable=False))

    assert (report.inserted, report.rejected) == (SAMPLE_ROWS + 500, 1)
    assert (rejects[0].line, rejects[0].id) == (SAMPLE_ROWS + 502, "last")


async def test_no_row_has_the_key(db: ddao.Database) -> None:
    with pytest.raises(ValidationError, match=r"No row has the field 'code'.*There are: a, b"):
        await imported(db, lines({"a": 1, "b": 2}), key="code")


@pytest.mark.parametrize(("text", "format"), [("", "csv"), ("a,b\n", "csv"), ("", "jsonl"), ("[]", "json")])
async def test_an_empty_source_creates_nothing(db: ddao.Database, text: str, format: Format) -> None:
    report, rejects = await imported(db, source(text, format))

    assert (report.rows, rejects) == (0, [])
    assert [info async for info in db.store.list("tables/")] == []


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"on_conflict": "perhaps"}])
async def test_options_that_cannot_be_are_refused(db: ddao.Database, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await imported(db, lines({"id": "a"}), **options)


class Wrapped:
    """A store that counts the writes in flight and fails from one document on."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.inner = ddao.MemoryAdapter()
        self.in_flight = self.most = self.documents = 0
        self.fail_at = fail_at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def put(self, key: str, data: bytes, **options: Any) -> ddao.ObjectInfo:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(0.001)
            if "/objects/" in key:
                self.documents += 1
                if self.documents == self.fail_at:
                    raise AccessDeniedError("The key may no longer write.", operation="put", key=key)
            return await self.inner.put(key, data, **options)
        finally:
            self.in_flight -= 1


async def test_no_more_rows_are_in_flight_than_asked_for() -> None:
    store = Wrapped()
    report, _ = await imported(
        ddao.Database(store), lines(*[{"id": str(n), "n": n} for n in range(200)]), concurrency=7
    )

    assert (report.inserted, store.most) == (200, 7)


async def test_a_store_without_capacity_slows_the_import_and_rejects_nothing() -> None:
    class Small(Wrapped):
        refused = 0

        async def put(self, key: str, data: bytes, **options: Any) -> ddao.ObjectInfo:
            if self.in_flight >= 10:
                self.refused += 1
                raise ThrottledError("Slow down.", operation="put", key=key, status=503)
            return await super().put(key, data, **options)

    store = Small()
    report, rejects = await imported(ddao.Database(store), lines(*[{"id": str(n)} for n in range(2000)]))

    assert (report.inserted, rejects) == (2000, [])
    assert 0 < store.refused < 200


async def test_a_store_that_fails_ends_the_import_with_its_error() -> None:
    store = Wrapped(fail_at=50)

    with pytest.raises(AccessDeniedError, match="may no longer write"):
        await imported(ddao.Database(store), lines(*[{"id": str(n)} for n in range(200)]), concurrency=4)

    assert store.in_flight == 0
    assert store.documents < 60


async def test_a_cancelled_import_leaves_nothing_running() -> None:
    store = Wrapped()
    task = asyncio.create_task(imported(ddao.Database(store), lines(*[{"id": str(n)} for n in range(20_000)])))
    await asyncio.sleep(0.2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert store.in_flight == 0
    assert len(asyncio.all_tasks()) == 1


async def test_progress_is_told_as_the_source_is_read(db: ddao.Database) -> None:
    seen: list[tuple[int, int]] = []
    text = "".join(f'{{"id": "{n}"}}\n' for n in range(100))
    await db.import_records("t", source(text, "jsonl"), on_progress=lambda now: seen.append((now.bytes_read, now.rows)))

    assert seen == sorted(seen)
    assert seen[-1][0] == len(text)


def generated(rows: int) -> Callable[[], AsyncGenerator[bytes, None]]:
    async def chunks() -> AsyncGenerator[bytes, None]:
        for n in range(0, rows, 100):
            yield b"".join(b'{"id": "k", "n": %d, "text": "%s"}\n' % (m, b"x" * 200) for m in range(n, n + 100))

    return chunks


async def test_memory_does_not_grow_with_the_source(db: ddao.Database) -> None:
    async def peak(rows: int) -> int:
        tracemalloc.start()
        try:
            await db.import_records(
                "t", Source("generated", "jsonl", generated(rows)), on_conflict="replace", concurrency=8
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await peak(500)
    small, large = await peak(1_000), await peak(8_000)

    assert large < small * 1.5 + 200_000


async def test_an_export_of_an_unknown_table_is_an_error(db: ddao.Database) -> None:
    with pytest.raises(ddao.SchemaError, match="nothing"):
        await contents(db, "nothing")


async def test_an_export_names_what_is_no_document(db: ddao.Database) -> None:
    await imported(db, lines({"id": "a"}, {"id": "b"}))
    await db.store.put("tables/t/objects/c.json", b"not json")
    written: list[bytes] = []

    async def write(data: bytes) -> None:
        written.append(data)

    report = await db.repository("t").export(write)

    assert (report.exported, list(report.problems)) == (2, ["tables/t/objects/c.json"])
    assert report.bytes_written == len(b"".join(written))


async def test_a_deleted_document_is_not_exported(db: ddao.Database) -> None:
    await imported(db, lines({"id": "a"}, {"id": "b"}))
    await db.repository("t").delete("a")

    assert await contents(db) == {"b": {}}
    with pytest.raises(NotFoundError):
        await db.repository("t").get("a")
