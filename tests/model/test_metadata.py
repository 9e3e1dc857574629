"""`_schema.json` and `_metadata.json`, as Go writes and reads them."""

from __future__ import annotations

import json

import pytest
from fix_go import GoObject

from ddao_async.errors import CorruptDocumentError
from ddao_async.model.metadata import format_metadata, format_schema, parse_metadata
from ddao_async.model.schema import Column, Table

NOW = "2026-11-22T10:00:00.000000Z"
FIELD = {"Name", "DataType", "Nullable", "Default", "Comment", "Unique", "Index", "AutoIncrement", "PrimaryKey"}


def go_metadata(objects: list[GoObject], table: str) -> bytes:
    return next(one.data for one in objects if one.key == f"tables/{table}/_metadata.json")


def test_what_go_wrote_is_read_and_written_back_unchanged(go_objects: list[GoObject]) -> None:
    for name in ("users", "documents"):
        stored = go_metadata(go_objects, name)

        assert json.loads(format_metadata(parse_metadata(stored, name), stored, NOW)) == json.loads(stored)


def test_the_columns_of_a_go_table(go_objects: list[GoObject]) -> None:
    table = parse_metadata(go_metadata(go_objects, "documents"), "documents")

    assert {column.name: (column.type, column.nullable, column.index) for column in table.columns} == {
        "content": ("text", False, False),
        "created_at": ("datetime", False, False),
        "metadata": ("json", True, False),
        "title": ("text", False, False),
        "user_id": ("text", False, True),
    }
    assert table["user_id"].comment == "User ID who owns the document"


def test_the_summary_of_go_stays_as_it_is_when_nothing_is_added(go_objects: list[GoObject]) -> None:
    stored = next(one.data for one in go_objects if one.key == "_schema.json")
    users = go_metadata(go_objects, "users")
    table = parse_metadata(users, "users")

    assert json.loads(format_schema({"users": users}, {"users": table}, stored)) == json.loads(stored)


def test_a_new_table_has_every_member_that_go_reads() -> None:
    table = Table("t", [Column("a", "float"), Column("b", "bytes", nullable=True, unique=True, comment="c")])
    written = format_metadata(table, None, NOW)
    content = json.loads(written)

    assert (content["table_name"], content["created_at"]) == ("t", NOW)
    assert all(set(field) == FIELD for field in content["fields"].values())
    assert content["fields"]["id"]["PrimaryKey"] is True
    assert (content["fields"]["a"]["DataType"], content["fields"]["b"]["DataType"]) == ("real", "blob")
    assert parse_metadata(written, "t") == table


def test_a_new_summary_has_every_member_that_go_reads() -> None:
    table = Table("t", [Column("a", "text")])
    content = json.loads(format_schema({"t": format_metadata(table, None, NOW)}, {"t": table}, None))

    assert set(content) == {"DatabaseName", "Tables", "FieldOrder"}
    assert content["Tables"]["t"]["FieldOrder"] == ["id", "a"]
    assert set(content["Tables"]["t"]) == {
        "TableName",
        "Fields",
        "FieldOrder",
        "PrimaryKey",
        "Indexes",
        "UniqueKeys",
        "AutoIncrementFields",
        "Comment",
    }


def test_spellings_types_and_members_that_are_not_ours_stay() -> None:
    stored = json.dumps(
        {
            "table_name": "t",
            "created_at": "2020-01-01T00:00:00Z",
            "engine": "x",
            "fields": {
                "a": {"Name": "a", "DataType": "float", "Extra": 1},
                "b": {"Name": "b", "DataType": "varchar(20)", "AutoIncrement": True},
                "c": {"Name": "c", "DataType": "blob", "Comment": None},
            },
        }
    ).encode()
    table = parse_metadata(stored, "t")
    content = json.loads(format_metadata(table, stored, NOW))

    assert [column.type for column in table.columns] == ["float", "varchar(20)", "bytes"]
    assert (content["engine"], content["created_at"]) == ("x", "2020-01-01T00:00:00Z")
    assert content["fields"]["a"]["DataType"] == "float"
    assert content["fields"]["a"]["Extra"] == 1
    assert content["fields"]["b"]["DataType"] == "varchar(20)"
    assert content["fields"]["b"]["AutoIncrement"] is True
    assert content["fields"]["c"]["DataType"] == "blob"


def test_a_column_added_keeps_the_order_of_the_fields_before() -> None:
    stored = format_schema(
        {"t": format_metadata(Table("t", [Column("b", "text")]), None, NOW)},
        {"t": Table("t", [Column("b", "text")])},
        None,
    )
    table = Table("t", [Column("a", "text"), Column("b", "text")])
    content = json.loads(format_schema({"t": format_metadata(table, None, NOW)}, {"t": table}, stored))

    assert content["Tables"]["t"]["FieldOrder"] == ["id", "b", "a"]


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"table_name":5}', b'{"table_name":"t","fields":{"a":5}}', b"\xff"]
)
def test_what_is_no_metadata_is_corrupt_and_names_the_object(data: bytes) -> None:
    with pytest.raises(CorruptDocumentError, match=r"tables/t/_metadata\.json"):
        parse_metadata(data, "t")
