"""
`_schema.json` and `_metadata.json`, as the Go library writes them and reads them back (layout.md, "The schema").

    {"table_name": "users", "created_at": "2026-...Z",
     "fields": {"email": {"Name": "email", "DataType": "text", "Nullable": false, "Default": null, "Comment": "",
                          "Unique": true, "Index": false, "AutoIncrement": false, "PrimaryKey": false}, ...}}

What is stored is completed, never replaced: members that this library does not know stay as they were. Go overwrites
both objects at every start without reading them, so nothing but columns may rest on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import CorruptDocumentError
from .keys import SCHEMA_KEY, check_table, metadata_key
from .schema import SPELLINGS, Column, Table

_WRITTEN = {ours: theirs for theirs, ours in SPELLINGS.items()}

Json = dict[str, Any]


class _Field(msgspec.Struct, frozen=True, rename="pascal"):
    """One column as stored; a member left out is as Go reads it, empty."""

    data_type: str = ""
    nullable: bool = False
    default: Any = None
    comment: str | None = ""
    unique: bool = False
    index: bool = False
    primary_key: bool = False


class _Metadata(msgspec.Struct, frozen=True):
    table_name: str
    fields: dict[str, _Field] | None = None


_metadata = msgspec.json.Decoder(_Metadata)
_json = msgspec.json.Decoder(Json)


def parse_metadata(data: bytes, table: str) -> Table:
    """
    The columns of a table as its `_metadata.json` holds them; types that this library does not know stay.

    Args:
        data: The bytes of the object.
        table: The name in its key, which is what counts.

    Raises:
        CorruptDocumentError: Not what either library writes.
    """
    try:
        found = _metadata.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _corrupt(metadata_key(table), error) from error
    fields = found.fields or {}
    return Table(check_table(table), [_column(name, fields[name]) for name in fields if not _is_id(name, fields[name])])


def _is_id(name: str, field: _Field) -> bool:
    return name == "id" and field.primary_key


def _column(name: str, field: _Field) -> Column:
    return Column(
        name,
        field.data_type or "json",
        nullable=field.nullable,
        default=field.default,
        unique=field.unique,
        index=field.index,
        comment=field.comment or "",
    )


def _corrupt(key: str, error: Exception) -> CorruptDocumentError:
    return CorruptDocumentError(
        f"{key!r} cannot be read: {error}.",
        hint="Restore it, or delete it and call create_tables with the table's declaration.",
    )


def format_metadata(table: Table, stored: bytes | None, now: str) -> bytes:
    """
    The bytes of a table's `_metadata.json`.

    Args:
        table: All its columns, stored ones included.
        stored: What the object holds; None if there is none. Its other members, and those of its fields, stay.
        now: RFC 3339; `created_at` of a new one.

    Returns:
        Indented by two spaces, as Go writes it: people look into this object.
    """
    held: Json = _object(stored, metadata_key(table.name)) if stored is not None else {}
    old: Json = held.get("fields") or {}
    fields = {"id": _formatted(_ID, old.get("id"), is_key=True)} | {
        column.name: _formatted(column, old.get(column.name)) for column in table.columns if column.name != "id"
    }
    content = {**held, "table_name": table.name, "fields": fields, "created_at": held.get("created_at") or now}
    return msgspec.json.format(msgspec.json.encode(content), indent=2)


_ID = Column("id", "text", comment="Document id")


def _formatted(column: Column, old: Mapping[str, Any] | None, *, is_key: bool = False) -> Json:
    if is_key and old:
        return dict(old)
    data_type = _WRITTEN.get(column.type, column.type)
    if old and SPELLINGS.get(old.get("DataType", ""), old.get("DataType")) == column.type:
        data_type = old["DataType"]
    return {
        "AutoIncrement": False,
        "PrimaryKey": is_key,
        **(old or {}),
        "Name": column.name,
        "DataType": data_type,
        "Nullable": column.nullable,
        "Default": column.default,
        "Comment": column.comment,
        "Unique": column.unique,
        "Index": column.index,
    }


def _object(data: bytes, key: str) -> Json:
    try:
        return _json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _corrupt(key, error) from error


def format_schema(tables: Mapping[str, bytes], order: Mapping[str, Table], stored: bytes | None) -> bytes:
    """
    The bytes of `_schema.json`, the summary of all tables.

    Args:
        tables: Table name -> its `_metadata.json` as it is to be stored.
        order: Table name -> its declaration, whose columns give the order of the fields.
        stored: What the object holds; None if there is none. Its other tables and members stay.
    """
    held: Json = _object(stored, SCHEMA_KEY) if stored is not None else {}
    old: Json = held.get("Tables") or {}
    entries = {name: _entry(order[name], _json.decode(data)["fields"], old.get(name)) for name, data in tables.items()}
    content = {"DatabaseName": "", "FieldOrder": None, **held, "Tables": {**old, **entries}}
    return msgspec.json.format(msgspec.json.encode(content), indent=2)


def _entry(table: Table, fields: Json, old: Mapping[str, Any] | None) -> Json:
    listed: list[str] = (old or {}).get("FieldOrder") or []
    before = [name for name in listed if name in fields]
    names = ["id", *(column.name for column in table.columns)]
    return {
        "PrimaryKey": "id",
        "Indexes": None,
        "UniqueKeys": None,
        "AutoIncrementFields": None,
        "Comment": table.comment,
        **(old or {}),
        "TableName": table.name,
        "Fields": fields,
        "FieldOrder": [*before, *(name for name in dict.fromkeys([*names, *fields]) if name not in before)],
    }
