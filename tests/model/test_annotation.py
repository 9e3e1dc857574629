"""From a record class to its table."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest

from ddao_async.errors import SchemaError, ValidationError
from ddao_async.model.annotation import table_of
from ddao_async.model.index import IndexLayout
from ddao_async.model.record import Index, Object, Record, Unique
from ddao_async.model.schema import Column, Schema, Table

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Address(msgspec.Struct):
    city: str


class Everything(Record, table="everything"):
    text: str
    integer: int
    float_: float
    boolean: bool
    moment: datetime
    raw: bytes
    uuid: UUID
    decimal: Decimal
    day: date
    clock: time
    span: timedelta
    colour: Colour
    level: Level
    literal: Literal["a", "b"]
    number: Literal[1, 2]
    either: int | float
    both: str | dict[str, int]
    mapping: dict[str, Any]
    items: list[str]
    address: Address
    anything: Any
    maybe: str | None = None
    positive: Annotated[int, msgspec.Meta(ge=0)] = 5


def test_every_annotation_has_its_column_type() -> None:
    types = {column.name: column.type for column in table_of(Everything).columns}

    assert types == {
        "text": "text",
        "integer": "integer",
        "float_": "float",
        "boolean": "boolean",
        "moment": "datetime",
        "raw": "bytes",
        "uuid": "uuid",
        "decimal": "decimal",
        "day": "text",
        "clock": "text",
        "span": "text",
        "colour": "text",
        "level": "integer",
        "literal": "text",
        "number": "integer",
        "either": "float",
        "both": "json",
        "mapping": "json",
        "items": "json",
        "address": "json",
        "anything": "json",
        "maybe": "text",
        "positive": "integer",
    }


def test_columns_know_null_and_default() -> None:
    table = table_of(Everything)

    assert [c.name for c in table.columns if c.nullable] == ["anything", "maybe"]
    assert {c.name: c.default for c in table.columns if c.default is not None} == {"positive": 5}


class Marked(Record, table="marked", indexes=[("country", "city")], transactions=False):
    email: Annotated[str, Unique()]
    country: Annotated[str, Index()]
    city: str
    nick: Annotated[str | None, Unique, Index] = None
    inner: Annotated[str, Index()] | None = None


def test_markers_make_indexes_by_instance_or_class_and_inside_an_optional() -> None:
    table = table_of(Marked)

    assert not table.transactions
    assert table.indexed == (
        IndexLayout("email", ("email",), ("text",), unique=True),
        IndexLayout("country", ("country",), ("text",)),
        IndexLayout("nick", ("nick",), ("text",), unique=True),
        IndexLayout("nick~", ("nick",), ("text",)),
        IndexLayout("inner", ("inner",), ("text",)),
        IndexLayout("country~city", ("country", "city"), ("text", "text")),
    )


class Base(Record):
    made: datetime


class Renamed(Base, table="renamed", rename="camel", frozen=True):
    first_name: str


def test_a_record_inherits_fields_but_names_its_own_table_and_columns() -> None:
    assert [column.name for column in table_of(Renamed).columns] == ["made", "firstName"]
    with pytest.raises(SchemaError, match="names no table"):
        table_of(Base)


def test_struct_options_pass_through() -> None:
    record = Renamed(id="1", made=NOW, first_name="Ann")

    with pytest.raises(AttributeError):
        record.first_name = "Bob"  # type: ignore[misc]


def test_an_id_left_out_is_told_from_an_empty_one() -> None:
    left_out = Renamed(made=NOW, first_name="Ann")

    assert repr(left_out.id) == "<filled in by insert>"
    assert Renamed(id="", made=NOW, first_name="Ann").id == ""


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(SchemaError, match="not a record class"):
        table_of(Address)
    with pytest.raises(SchemaError, match="array_like"):

        class Rows(Record, table="rows", array_like=True):
            pass


class Strange(Record, table="strange"):
    value: complex


class Hidden(Record, table="hidden"):
    value: Annotated[dict[str, int], Index()]


def test_annotations_that_cannot_be_stored_or_indexed_are_refused_by_name() -> None:
    with pytest.raises(SchemaError, match=r"Strange\.value cannot be stored"):
        table_of(Strange)
    with pytest.raises(SchemaError, match=r"hidden\.value is json and cannot be indexed"):
        table_of(Hidden)


def test_a_schema_takes_records_and_tables() -> None:
    other = Table("other", columns=[Column("a", "text")])
    schema = Schema.of(Marked, other)

    assert [table.name for table in schema] == ["marked", "other"]
    assert schema["other"] == other
    assert "marked" in schema
    assert len(schema) == 2


def test_an_object_reads_its_fields_by_type() -> None:
    obj = Object(
        "t", "1", {"s": "x", "i": 5, "w": 5.0, "f": 1.5, "b": True, "d": "2026-11-22T10:00:00+01:00", "n": None}
    )

    assert (obj.get_string("s"), obj.get_int("i"), obj.get_int("w")) == ("x", 5, 5)
    assert (obj.get_float("f"), obj.get_float("i"), obj.get_bool("b")) == (1.5, 5.0, True)
    assert obj.get_datetime("d") == datetime.fromisoformat("2026-11-22T10:00:00+01:00")
    assert (obj.get_string("n"), obj.get_int("missing", 7)) == (None, 7)
    assert obj["s"] == "x"
    assert "s" in obj
    with pytest.raises(KeyError):
        obj["missing"]
    with pytest.raises(ValidationError, match=r"t\.s"):
        obj.get_int("s")
    with pytest.raises(ValidationError, match=r"t\.b"):
        obj.get_int("b")


def test_objects_do_not_share_their_fields() -> None:
    one, other = Object("t"), Object("t")
    one["a"] = 1

    assert other.fields == {}
