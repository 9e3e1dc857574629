"""Records and objects to raw fields and back: what is written reads back, what would not is refused by path."""

from __future__ import annotations

import enum
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddao_async.errors import CorruptDocumentError, ValidationError
from ddao_async.model.codec import ObjectCodec, RecordCodec
from ddao_async.model.record import Object, Record
from ddao_async.model.schema import Column, Table

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(msgspec.Struct):
    city: str
    since: datetime | None = None


class Thing(Record, table="things"):
    name: str = ""
    count: int = 0
    ratio: float = 0.0
    flag: bool = False
    moment: datetime | None = None
    raw: bytes = b""
    uuid: UUID | None = None
    price: Decimal = Decimal(0)
    day: date | None = None
    colour: Colour | None = None
    address: Address | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    extra: Any = None
    profile: dict[str, Any] | None = None


codec = RecordCodec(Thing)

texts = st.text(st.characters(exclude_categories=("Cs",)))
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
things = st.builds(
    Thing,
    id=st.just("x"),
    name=texts,
    count=st.integers(),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    flag=st.booleans(),
    moment=st.none() | st.datetimes(timezones=zones),
    raw=st.binary(),
    uuid=st.none() | st.uuids(),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    day=st.none() | st.dates(),
    colour=st.none() | st.sampled_from(Colour),
    address=st.none() | st.builds(Address, city=texts, since=st.none() | st.datetimes(timezones=zones)),
    tags=st.lists(texts),
    extra=trees,
    profile=st.none() | st.dictionaries(texts, trees, max_size=4),
)


@given(things)
def test_every_record_reads_back(thing: Thing) -> None:
    fields = codec.encode(thing)

    assert codec.decode("x", fields) == thing
    assert "id" not in json.loads(fields)


@given(st.dictionaries(texts, trees, max_size=5))
def test_every_object_reads_back(fields: dict[str, Any]) -> None:
    dynamic = ObjectCodec(Table("t"))
    encoded = dynamic.encode(Object("t", "x", fields))

    assert dynamic.decode("x", encoded) == Object("t", "x", fields)


@given(st.text(min_size=1))
def test_the_id_never_gets_into_the_fields_whatever_it_is(id: str) -> None:
    try:
        id.encode()
    except UnicodeEncodeError:
        return

    assert json.loads(codec.encode(Thing(id=id, name="n")))["name"] == "n"
    assert json.loads(RecordCodec(Empty).encode(Empty(id=id))) == {}


class Empty(Record, table="empty"):
    pass


def replaced(**values: Any) -> Thing:
    return msgspec.structs.replace(Thing(id="x"), **values)


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"name": 5}, r"things\.name"),
        ({"count": "5"}, r"things\.count"),
        ({"count": True}, r"things\.count"),
        ({"count": 5.5}, r"things\.count"),
        ({"count": 10**4300}, r"things\.count: an integer has more than 4,300 digits"),
        ({"ratio": math.nan}, r"things\.ratio: nan"),
        ({"ratio": math.inf}, r"things\.ratio: inf"),
        ({"flag": 1}, r"things\.flag"),
        ({"moment": datetime(2026, 1, 1)}, r"things\.moment: the datetime 2026-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"moment": "2026-01-01T00:00:00Z"}, r"things\.moment: expected datetime"),
        ({"moment": datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=30)))}, r"things\.moment: the time zone"),
        ({"raw": "abc"}, r"things\.raw: expected bytes"),
        ({"uuid": "not one"}, r"things\.uuid: expected UUID"),
        ({"price": 1.5}, r"things\.price: expected Decimal"),
        ({"price": Decimal("NaN")}, r"things\.price: NaN"),
        ({"day": "2026-01-01"}, r"things\.day: expected date"),
        ({"colour": "red"}, r"things\.colour: expected Colour"),
        ({"address": {"city": "x"}}, r"things\.address: expected Address"),
        ({"address": Address(city=5)}, r"things\.address\.city"),  # type: ignore[arg-type]
        ({"address": Address("x", datetime(2026, 1, 1))}, r"things\.address\.since"),  # noqa: DTZ001
        ({"tags": ["a", 5]}, r"things\.tags\[1\]"),
        ({"name": "\ud800"}, r"things\.name: text with a lone surrogate"),
        ({"extra": {"a": [1, math.nan]}}, r"things\.extra\.a\[1\]: nan"),
        ({"extra": {"a": -math.inf}}, r"things\.extra\.a: -inf"),
        ({"extra": [datetime(2026, 1, 1)]}, r"things\.extra\[0\]: the datetime"),  # noqa: DTZ001
        ({"extra": [10**4300]}, r"things\.extra\[0\]: an integer"),
        ({"extra": {"a": object()}}, r"things\.extra\.a: a object cannot be stored"),
        ({"extra": {"a": ("\ud800",)}}, r"things\.extra\.a\[0\]: text"),
        ({"profile": [1]}, r"things\.profile"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(values: dict[str, Any], path: str) -> None:
    with pytest.raises(ValidationError, match=path):
        codec.encode(replaced(**values))


def test_a_value_that_contains_itself_is_refused() -> None:
    tree: list[Any] = []
    tree.append(tree)

    with pytest.raises(ValidationError, match=r"things\.extra: nested too deep"):
        codec.encode(replaced(extra=tree))


def test_integers_stay_exact() -> None:
    number = 10**4299 + 1

    assert codec.decode("x", codec.encode(replaced(count=number))).count == number


def test_the_record_class_is_checked() -> None:
    with pytest.raises(ValidationError, match="Empty cannot be stored as a Thing"):
        codec.id_of(Empty(id="x"))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="not an id"):
        codec.id_of(Thing(id="a//b"))
    assert codec.id_of(Thing()) is None


# What other writers store


def test_json_text_in_a_column_that_asks_for_an_object_reads_as_the_value() -> None:
    stored = b'{"profile":"{\\"age\\": 30}","address":" {\\"city\\":\\"x\\"}","tags":"[\\"a\\"]","extra":"{}"}'
    thing = codec.decode("x", stored)

    assert (thing.profile, thing.address, thing.tags) == ({"age": 30}, Address("x"), ["a"])
    assert thing.extra == "{}"


@pytest.mark.parametrize(("text", "number"), [("5.0", 5), ("1e3", 1000), ("-2.50e1", -25), ("1e+21", 10**21)])
def test_a_whole_float_reads_into_an_integer_column(text: str, number: int) -> None:
    columns = ObjectCodec(Table("t", [Column("count", "integer")]))

    assert codec.decode("x", b'{"count":%b}' % text.encode()).count == number
    assert columns.decode("x", b'{"count":%b}' % text.encode())["count"] == number


def test_fields_may_be_null_or_hold_the_id() -> None:
    assert RecordCodec(Empty).decode("x", b"null") == Empty(id="x")
    assert codec.decode("x", b'{"id":5,"name":"n"}') == Thing(id="x", name="n")
    assert codec.decode("x", b'{"id":"y","name":"n"}') == Thing(id="x", name="n")
    assert ObjectCodec(Table("t")).decode("x", b"null") == Object("t", "x", {})


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        (b"[]", "fields: Expected `object`"),
        (b'{"name":5}', r"fields\.name: Expected `str`"),
        (b'{"count":1.5}', r"fields\.count: Expected `int`"),
        (b'{"count":1e9999}', r"fields"),
        (b'{"profile":"[1]"}', r"fields\.profile"),
        (b'{"profile":"{"}', r"fields"),
        (b'{"extra":1e999}', r"fields\.extra: Number out of range"),
        (b'{"extra":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "fields"),
        (b'{"name":"\xff"}', "fields"),
    ],
)
def test_fields_of_another_shape_are_corrupt_and_say_where(fields: bytes, where: str) -> None:
    with pytest.raises(CorruptDocumentError, match=rf"'tables/things/objects/x.json' cannot be read: {where}"):
        codec.decode("x", fields)


def test_an_object_of_another_shape_is_corrupt() -> None:
    with pytest.raises(CorruptDocumentError, match="fields"):
        ObjectCodec(Table("t")).decode("x", b'{"a":1e999}')


# Rewriting


def test_fields_that_the_type_does_not_know_survive_as_they_are() -> None:
    stored = b'{"name":"old","later":1.50,"big":12345678901234567890123}'
    merged = codec.merge("x", stored, codec.encode(Thing(id="x", name="new")))

    assert json.loads(merged)["name"] == "new"
    assert b'"later":1.50' in merged
    assert b'"big":12345678901234567890123' in merged


def test_fields_without_unknown_ones_are_written_as_encoded() -> None:
    new = codec.encode(Thing(id="x", name="new"))

    assert codec.merge("x", b'{"name":"old"}', new) is new
    assert codec.merge("x", b"null", new) is new
    with pytest.raises(CorruptDocumentError):
        codec.merge("x", b"[]", new)


class Sparse(Record, table="sparse", omit_defaults=True, tag="sparse", tag_field="kind", rename="camel"):
    first_name: str = "x"
    age: int = 0


def test_defaults_are_written_whatever_the_struct_options_say() -> None:
    sparse = RecordCodec(Sparse)
    fields = sparse.encode(Sparse(id="1"))

    assert json.loads(fields) == {"kind": "sparse", "firstName": "x", "age": 0}
    assert sparse.decode("1", fields) == Sparse(id="1")


def test_columns_are_known_by_both_names() -> None:
    sparse = RecordCodec(Sparse)

    assert (sparse.column("firstName"), sparse.column("first_name"), sparse.column("id")) == ("firstName",) * 2 + (
        "id",
    )
    with pytest.raises(ValidationError, match="no column 'nope'"):
        sparse.column("nope")


class Frozen(Record, table="frozen", frozen=True):
    name: str


def test_a_frozen_record_gets_its_id_in_a_copy() -> None:
    frozen = RecordCodec(Frozen)
    record = Frozen(name="n")

    assert frozen.with_id(record, "1") == Frozen(id="1", name="n")
    assert frozen.id_of(record) is None
    assert frozen.decode("1", b'{"name":"n"}') == Frozen(id="1", name="n")


# Objects by their columns

columns = ObjectCodec(
    Table(
        "t",
        [
            Column("text", "text", nullable=True),
            Column("integer", "integer", nullable=True),
            Column("float", "float", nullable=True),
            Column("boolean", "boolean", nullable=True),
            Column("datetime", "datetime", nullable=True),
            Column("bytes", "bytes", nullable=True),
            Column("uuid", "uuid", nullable=True),
            Column("decimal", "decimal", nullable=True),
            Column("json", "json", nullable=True),
            Column("other", "varchar", nullable=True),
        ],
    )
)


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("text", ["x", Colour.RED], [5, True, b"x"]),
        ("integer", [5, 5.0, 10**30], ["5", 5.5, True]),
        ("float", [5, 5.5], ["5.5", True, Decimal("5.5")]),
        ("boolean", [True], [1, "true"]),
        ("datetime", [NOW, "2026-11-22T10:00:00Z"], ["2026-11-22T10:00:00", "yesterday", 5]),
        ("bytes", [b"x", "eA=="], ["!", 5]),
        ("uuid", [UUID(int=5), str(UUID(int=5))], ["x", 5]),
        ("decimal", [Decimal("1.5"), "1.5", 1.5, 1], ["x", "NaN", True]),
        ("json", [{"a": 1}, [1], "x", 5], []),
        ("other", ["x", 5, {"a": 1}], []),
    ],
)
def test_objects_are_checked_by_the_columns_of_their_table(column: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert column in json.loads(columns.encode(Object("t", "x", {column: value})))
    for value in bad:
        with pytest.raises(ValidationError, match=rf"t\.{column}: expected {column}"):
            columns.encode(Object("t", "x", {column: value}))


def test_a_column_that_is_not_nullable_must_be_there_or_have_a_default() -> None:
    strict = ObjectCodec(Table("t", [Column("a", "text"), Column("b", "integer", default=7)]))

    assert json.loads(strict.encode(Object("t", "x", {"a": "x"}))) == {"a": "x", "b": 7}
    with pytest.raises(ValidationError, match=r"t\.a is missing"):
        strict.encode(Object("t", "x", {}))
    with pytest.raises(ValidationError, match=r"t\.a is null"):
        strict.encode(Object("t", "x", {"a": None}))
    with pytest.raises(ValidationError, match=r"t\.b is null"):
        strict.encode(Object("t", "x", {"a": "x", "b": None}))


def test_an_object_of_another_table_or_class_is_refused() -> None:
    dynamic = ObjectCodec(Table("t"))

    with pytest.raises(ValidationError, match="table 'u' cannot be stored in 't'"):
        dynamic.id_of(Object("u", "1"))
    with pytest.raises(ValidationError, match="Thing cannot be stored by table name"):
        dynamic.id_of(Thing(id="1"))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=r"t\.a\.b\[0\]: nan"):
        dynamic.encode(Object("t", "1", {"a": {"b": [math.nan]}}))
    with pytest.raises(ValidationError, match="1 is no name of a field"):
        dynamic.encode(Object("t", "1", {1: "x"}))  # type: ignore[dict-item]
    with pytest.raises(ValidationError, match="fields are a dict, not a list"):
        dynamic.encode(Object("t", "1", [1]))  # type: ignore[arg-type]
