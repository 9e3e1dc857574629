"""Every format and packing there and back, and what is broken named with its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

import ddao_async as ddao
from ddao_async.errors import ConfigurationError, ValidationError
from ddao_async.transfer.spread import prefixes_of

COLUMNS = [
    ddao.Column("text", "text", nullable=True),
    ddao.Column("n", "integer", nullable=True),
    ddao.Column("x", "float", nullable=True),
    ddao.Column("b", "boolean", nullable=True),
    ddao.Column("at", "datetime", nullable=True),
    ddao.Column("j", "json", nullable=True),
    ddao.Column("raw", "bytes", nullable=True),
    ddao.Column("u", "uuid", nullable=True),
    ddao.Column("d", "decimal", nullable=True),
]
ROWS: dict[str, dict[str, Any]] = {
    "plain": {
        "text": 'a "quoted", line\nand another',
        "n": -(2**62),
        "x": 0.1,
        "b": True,
        "at": "2026-11-22T10:17:41.946289548Z",
        "j": {"deep": [1, None, {"x": "ü"}]},
        "raw": "3q2+7w==",
        "u": "0199c1a0-0000-7000-8000-000000000000",
        "d": "19.90",
    },
    "nulls": dict.fromkeys(column.name for column in COLUMNS),
    "id with / and ü": {"text": "007", "n": 0, "x": 1e300, "b": False, "at": None, "j": [], "raw": "", "u": None},
}


@pytest.fixture
async def db() -> AsyncIterator[ddao.Database]:
    async with ddao.connect("memory://") as db:
        await db.create_tables(ddao.Schema.of(ddao.Table("t", COLUMNS), ddao.Table("again", COLUMNS)))
        yield db


async def contents(db: ddao.Database, table: str) -> dict[str, dict[str, Any]]:
    return {document.id: document.fields async for document in db.repository(table).find()}


def padded(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """With a null for each field that is left out, as a table of columns has."""
    return {name: {column.name: fields.get(column.name) for column in COLUMNS} for name, fields in rows.items()}


@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.parquet", "t.jsonl.gz", "t.csv.gz", "t.jsonl.zst", "t.ndjson"])
async def test_what_is_exported_comes_back(db: ddao.Database, tmp_path: Path, name: str) -> None:
    for each, fields in ROWS.items():
        await db.insert(ddao.Object("t", each, fields))
    exported = await db.repository("t").export(tmp_path / name)
    report = await db.import_records("again", tmp_path / name)

    assert (exported.exported, exported.problems, exported.left_out) == (3, {}, {})
    assert (report.inserted, report.rejected, report.bytes_read) == (3, 0, (tmp_path / name).stat().st_size)
    expected = padded(ROWS)
    if ".csv" in name:
        expected["id with / and ü"]["raw"] = None  # empty text and null are one in CSV
    assert padded(await contents(db, "again")) == expected
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
async def test_packed_files_of_several_parts_are_read_whole(
    db: ddao.Database, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / ("t.jsonl.gz" if pack is gzip.compress else "t.jsonl.zst")
    lines = [json.dumps({"id": str(n), "text": "x" * 1000}).encode() + b"\n" for n in range(3000)]
    file.write_bytes(pack(b"".join(lines[:1700])) + pack(b"".join(lines[1700:])))
    report = await db.import_records("t", file)

    assert (report.inserted, report.bytes_read) == (3000, file.stat().st_size)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
@pytest.mark.parametrize("harm", ["cut", "other bytes"])
async def test_a_packed_file_that_is_not_whole_is_an_error(
    db: ddao.Database, tmp_path: Path, pack: Callable[[bytes], bytes], harm: str
) -> None:
    file = tmp_path / ("t.jsonl.gz" if pack is gzip.compress else "t.jsonl.zst")
    whole = pack(b"".join(b'{"id": "%d"}\n' % n for n in range(1000)))
    file.write_bytes(whole[:-20] if harm == "cut" else b"{}" + whole)

    with pytest.raises(ValidationError, match="not whole"):
        await db.import_records("t", file)


async def test_parquet_of_other_programs_becomes_json(db: ddao.Database, tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "id": ["a", "b"],
            "when": [datetime(2026, 1, 2, 3, 4, 5, 678900, UTC), None],
            "price": [Decimal("1.50"), Decimal("2.25")],
            "blob": [b"\xde\xad", b""],
            "nested": [{"list": [1, 2]}, None],
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "p.parquet")
    report = await db.import_records("fresh", tmp_path / "p.parquet")

    assert report.created_columns == {"when": "text", "price": "text", "blob": "text", "nested": "json"}
    assert (await contents(db, "fresh"))["a"] == {
        "when": "2026-01-02T03:04:05.678900Z",
        "price": "1.50",
        "blob": "3q0=",
        "nested": {"list": [1, 2]},
    }


async def test_a_file_that_is_no_parquet_is_an_error(db: ddao.Database, tmp_path: Path) -> None:
    (tmp_path / "p.parquet").write_bytes(b"PAR1 no")

    with pytest.raises(ValidationError, match="not a Parquet file"):
        await db.import_records("t", tmp_path / "p.parquet")


async def test_files_of_a_pattern_are_one_import_and_rejects_eachtheir_file(db: ddao.Database, tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"id": "b", "n": 1}\n{"id": "c", "n": "no"}\n')
    (tmp_path / "a.csv").write_text("id,n\na,7\n")
    (tmp_path / "not.txt").write_text("-")
    rejects: list[Any] = []
    report = await db.import_records("t", str(tmp_path / "*.[jc]s*"), on_reject=rejects.append)

    assert (report.inserted, report.rejected) == (2, 1)
    assert [(reject.file, reject.line, reject.id) for reject in rejects] == [(str(tmp_path / "b.jsonl"), 2, "c")]
    assert {name: fields["n"] for name, fields in (await contents(db, "t")).items()} == {"a": 7, "b": 1}


async def test_rows_that_a_program_makes(db: ddao.Database) -> None:
    class T(ddao.Record, table="t"):
        text: str
        at: datetime | None = None

    async def made() -> AsyncIterator[Any]:
        yield {"id": "dict", "text": "x", "at": datetime(2026, 1, 1, tzinfo=UTC)}
        yield T(id="record", text="y")
        yield T(text="no id")
        yield ddao.Object("t", "object", {"text": "z"})
        yield ["no", "row"]
        yield {"id": "wrong", "text": 7}

    rejects: list[Any] = []
    report = await db.import_records(T, made(), on_reject=rejects.append)
    found = {record.id: record async for record in db.repository(T).find()}

    assert (report.inserted, [reject.line for reject in rejects]) == (4, [5, 6])
    assert found["dict"] == T(id="dict", text="x", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert {"record", "object"} < set(found)


async def test_fields_that_are_no_columns_are_counted_where_a_format_has_no_place(
    db: ddao.Database, tmp_path: Path
) -> None:
    await db.insert(ddao.Object("t", "a", {"n": 1, "more": 2}))
    await db.insert(ddao.Object("t", "b", {"more": 2, "other": 3}))

    assert (await db.repository("t").export(tmp_path / "t.csv")).left_out == {"more": 2, "other": 1}
    assert (await db.repository("t").export(tmp_path / "t.parquet")).left_out == {"more": 2, "other": 1}
    assert (await db.repository("t").export(tmp_path / "t.jsonl")).left_out == {}


@pytest.mark.parametrize("ids", [[f"u{n:05d}" for n in range(1500)], [f"{n % 13:x}{n}" for n in range(1500)]])
async def test_ranges_hold_each_document_once_and_one_range_is_in_order(
    db: ddao.Database, tmp_path: Path, ids: list[str]
) -> None:
    await db.repository("t").insert_many([ddao.Object("t", name, {"n": 1}) for name in ids])
    for ranges in (1, 5):
        await db.repository("t").export(tmp_path / f"{ranges}.jsonl", ranges=ranges)
    one, five = (
        [json.loads(line)["id"] for line in (tmp_path / f"{n}.jsonl").read_text().splitlines()] for n in (1, 5)
    )

    assert one == sorted(ids, key=lambda name: name + ".json")
    assert sorted(five) == sorted(ids)
    assert len(await prefixes_of(db.store, "tables/t/objects/")) > 1


async def test_prefixes_cover_odd_keys() -> None:
    store = ddao.MemoryAdapter()
    keys = ["p/a.json", "p/a", "p/aa", "p/ü", "p/a/b", "p/-", "p/\U0001f600x"]
    for key in keys:
        await store.put(key, b"")
    prefixes = await prefixes_of(store, "p/")

    assert all(sum(key.startswith(prefix) for prefix in prefixes) == 1 for key in keys)
    assert await prefixes_of(store, "none/") == ["none/"]


async def test_a_preview_writes_nothing_and_counts_requests(tmp_path: Path) -> None:
    store = ddao.MemoryAdapter()
    db = ddao.Database(store)
    (tmp_path / "t.csv").write_text("id,n\na,1\nb\nc,3\n")
    preview = await db.preview_import("t", tmp_path / "t.csv")

    assert (preview.rows, preview.rejected, preview.requests) == (2, 1, {"put": 2})
    assert preview.created_columns == {"n": "integer"}
    assert [info async for info in store.list("")] == []


async def test_options_and_sources_that_cannot_be_are_named(db: ddao.Database, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("")
    for source, options, words in (
        (tmp_path / "t.txt", {}, "does not tell its format"),
        (str(tmp_path / "*.csv"), {}, "No file matches"),
        (7, {}, "nothing to import from"),
        ([{"id": "a"}], {"limit": 3}, "no option 'limit'"),
        (tmp_path / "t.txt", {"format": "xml"}, "format='xml'"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            await db.import_records("t", source, **options)  # type: ignore[arg-type]
