"""Encoded values sort as the values do, whatever they are, and lie in keys that every server sorts alike."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ddao_async.errors import CorruptDocumentError, ValidationError
from ddao_async.model import index
from ddao_async.model.index import (
    MAX_SYMBOLS,
    IndexLayout,
    KeyRange,
    bounded_range,
    decode_id,
    encode_id,
    encode_value,
    encode_values,
    equal_range,
    indexer,
    is_shortened,
    prefix_range,
)
from ddao_async.model.value import Kind, comparable

SAFE = re.compile(r"[0-9A-Za-z_~]+\Z")

hostile = st.sampled_from("\x00\x01/.-_~ 019:@AZ[`az{}\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff")
texts = st.text(st.one_of(hostile, st.characters(exclude_categories=("Cs",))), max_size=12)
integers = st.one_of(
    st.integers(),
    st.integers(-20, 20),
    st.builds(lambda sign, n: sign * 10**n, st.sampled_from([-1, 1]), st.integers(0, 60)),
)
floats = st.floats(allow_nan=False, allow_infinity=False)
short_floats = st.floats(-1e4, 1e4, width=16)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=None)
numbers = st.one_of(integers, floats, short_floats, decimals)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
datetimes = st.datetimes(timezones=zones)


def order(encoded: str) -> bytes:
    """What a store sorts by: the part, ended by the slash that follows it in an entry's key."""
    return encoded.encode() + b"/"


def check_pair(a: Any, b: Any, encoded_a: str, encoded_b: str) -> None:
    for encoded in (encoded_a, encoded_b):
        assert SAFE.match(encoded)
        assert len(encoded) <= 223

    if is_shortened(encoded_a) or is_shortened(encoded_b):
        assert (encoded_a == encoded_b) == (a == b)
        if encoded_a[:MAX_SYMBOLS] != encoded_b[:MAX_SYMBOLS]:
            assert (order(encoded_a) < order(encoded_b)) == (a < b)
    else:
        assert (order(encoded_a) < order(encoded_b)) == (a < b)
        assert (encoded_a == encoded_b) == (a == b)


@given(numbers, numbers)
@example(0.0, -0.0)
@example(1, Decimal("1.000"))
@example(0.1, Decimal("0.1"))
@example(-15, Decimal("-1.55E+1"))
@example(10**18, 10.0**18)
@example(5e-324, 0)
@example(-(10**300), -(10**299))
@example(Decimal("1E+999999"), Decimal("9E-999999"))
def test_numbers_of_all_types_sort_by_value(a: Any, b: Any) -> None:
    check_pair(a, b, encode_value("float", a), encode_value("integer", b))


@given(texts, texts)
@example("a", "a b")
@example("a", "a\x00")
@example("1", "10")
@example("", "\x00")
def test_text_sorts_by_code_point(a: str, b: str) -> None:
    check_pair(a, b, encode_value("text", a), encode_value("text", b))


@given(st.text(min_size=170, max_size=200), st.text(min_size=170, max_size=200))
@example("a" * 179, "a" * 180)
@example("a" * 180, "a" * 181)
@example("a" * 300, "a" * 300 + "b")
def test_long_text_keeps_an_ordered_prefix_and_never_collides(a: str, b: str) -> None:
    check_pair(a, b, encode_value("text", a), encode_value("text", b))


@given(st.binary(max_size=20), st.binary(max_size=20))
@example(b"\x00", b"")
def test_bytes_sort_bytewise(a: bytes, b: bytes) -> None:
    check_pair(a, b, encode_value("bytes", a), encode_value("bytes", b))


@given(datetimes, datetimes)
@example(datetime.min.replace(tzinfo=timezone(timedelta(hours=23))), datetime.min.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=timezone(timedelta(hours=-23))), datetime.max.replace(tzinfo=UTC))
def test_datetimes_sort_by_instant(a: datetime, b: datetime) -> None:
    check_pair(a, b, encode_value("datetime", a), encode_value("datetime", b))


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14, 14))
def test_a_stored_datetime_encodes_as_the_instant_whatever_its_zone(value: datetime, hours: int) -> None:
    try:
        other = value.astimezone(timezone(timedelta(hours=hours)))
    except OverflowError:
        other = value

    assert encode_value("datetime", other.isoformat()) == encode_value("datetime", value)


@given(st.uuids(), st.uuids())
def test_uuids_sort_as_text(a: UUID, b: UUID) -> None:
    check_pair(str(a), str(b), encode_value("uuid", a), encode_value("uuid", str(b).upper()))


def test_kinds_sort_null_booleans_numbers_text_bytes_datetimes() -> None:
    ordered = [
        encode_value("text", None),
        encode_value("boolean", False),
        encode_value("boolean", True),
        encode_value("integer", -(10**40)),
        encode_value("float", 1e300),
        encode_value("text", ""),
        encode_value("text", "\U0010ffff"),
        encode_value("bytes", b""),
        encode_value("datetime", "0001-01-01T00:00:00Z"),
        encode_value("json", {"a": [1]}),
    ]

    assert sorted(ordered, key=order) == ordered


def test_text_that_its_column_cannot_read_stays_text() -> None:
    assert encode_value("datetime", "yesterday") == encode_value("text", "yesterday")
    assert encode_value("datetime", "2026-11-22T10:00:00") == encode_value("text", "2026-11-22T10:00:00")
    assert encode_value("bytes", "!") == encode_value("text", "!")
    assert encode_value("uuid", "no") == encode_value("text", "no")
    assert encode_value("decimal", "NaN") == encode_value("text", "NaN")


def test_a_decimal_column_means_what_was_written() -> None:
    assert encode_value("decimal", 0.1) == encode_value("decimal", "0.10") == encode_value("decimal", Decimal("0.1"))


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, Decimal("NaN"), Decimal("-Infinity"), datetime(2026, 1, 1)],  # noqa: DTZ001
)
def test_what_cannot_be_stored_cannot_be_encoded(value: object) -> None:
    with pytest.raises(ValidationError):
        encode_value("float", value)


def test_an_integer_that_python_cannot_read_back_cannot_be_encoded() -> None:
    assert encode_value("integer", 10**4299) > encode_value("integer", 9 * 10**4298)
    with pytest.raises(ValidationError, match="4,300 digits"):
        encode_value("integer", 10**4300)


tuples = st.tuples(st.one_of(st.none(), st.booleans(), integers, texts), st.one_of(st.none(), integers, texts))


@given(tuples, tuples)
@example(("a", "b"), ("a0", ""))
@example((1, 1), (10, 1))
@example(("a", None), ("a", 0))
def test_several_columns_sort_as_their_tuple(a: tuple[Any, Any], b: tuple[Any, Any]) -> None:
    types = ("text", "text")
    check_pair(
        tuple(comparable("text", v) for v in a),
        tuple(comparable("text", v) for v in b),
        encode_values(types, a),
        encode_values(types, b),
    )


@given(st.text(st.one_of(hostile, st.characters(exclude_categories=("Cs",))), min_size=1, max_size=60))
def test_an_id_reads_back_from_its_part_unless_only_a_hash_is_left(id: str) -> None:
    encoded = encode_id(id)

    assert SAFE.match(encoded)
    assert decode_id(encoded) == (None if len(encoded) > MAX_SYMBOLS else id)


def test_a_long_id_ends_in_a_hash() -> None:
    a, b = encode_id("a" * 400), encode_id("a" * 401)

    assert (len(a), len(b)) == (223, 223)
    assert a[:MAX_SYMBOLS] == b[:MAX_SYMBOLS] == "a" * 180
    assert a != b
    assert decode_id(a) is None


def inside(encoded: str, range: KeyRange) -> bool:
    return range.start <= encoded < range.stop


values = st.one_of(st.none(), st.booleans(), numbers, texts, st.text("ab", min_size=178, max_size=182))


@given(values, values, values, st.booleans(), st.booleans())
def test_a_range_holds_every_value_between_its_bounds_and_of_short_ones_no_other(
    value: Any, low: Any, high: Any, with_low: bool, with_high: bool
) -> None:
    found, lower, upper = (comparable("text", v) for v in (value, low, high))
    if lower[0] != upper[0]:
        return
    between = (
        found[0] == lower[0]
        and (lower <= found if with_low else lower < found)
        and (found <= upper if with_high else found < upper)
    )
    held = inside(encode_value("text", value), bounded_range(lower[0], (lower, with_low), (upper, with_high)))

    if any(len(index.encode_comparable(c)) >= MAX_SYMBOLS for c in (found, lower, upper)):
        assert held >= between
    else:
        assert held == between


def test_what_is_cut_short_is_not_lost_below_a_bound_that_just_fits() -> None:
    """Its hash may begin with the lowest symbol, below any that a value could go on with."""
    bound = "a" * (MAX_SYMBOLS - 1)
    longer = next(text for n in range(1000) if encode_value("text", text := f"{bound}{n}")[MAX_SYMBOLS] == "0")
    above = bounded_range(Kind.TEXT, (comparable("text", bound), False), None)

    assert inside(encode_value("text", longer), above)


@given(values)
def test_an_open_range_holds_its_kind_and_no_other(value: Any) -> None:
    for kind in Kind:
        held = inside(encode_value("text", value), bounded_range(kind, None, None))

        assert held == (comparable("text", value)[0] == kind)


@given(texts, texts)
def test_a_prefix_range_holds_what_begins_with_it(text: str, prefix: str) -> None:
    assert inside(encode_value("text", prefix + text), prefix_range(prefix))
    assert inside(encode_value("text", text), prefix_range(prefix)) == text.startswith(prefix)


@given(tuples, tuples)
def test_leading_columns_find_their_entries(a: tuple[Any, Any], b: tuple[Any, Any]) -> None:
    held = inside(encode_values(("text", "text"), b), equal_range(("text",), a[:1]))

    assert held == (comparable("text", a[0]) == comparable("text", b[0]))


def test_an_indexer_reads_only_its_columns_from_raw_fields() -> None:
    encoded = indexer(
        [
            IndexLayout("age", ("age",), ("integer",)),
            IndexLayout("first name", ("first name",), ("text",)),
            IndexLayout("email", ("email",), ("text",), unique=True),
            IndexLayout("age~email", ("age", "email"), ("integer", "text")),
            IndexLayout("gone", ("gone",), ("text",), unique=True),
        ]
    )

    found = encoded(b'{"first name":"Ann","email":"a@b.c","age":42.0,"other":1e999}')

    assert found == {
        "age": encode_value("integer", 42),
        "first name": "tAnn",
        "email": encode_value("text", "a@b.c"),
        "age~email": encode_value("integer", 42) + "0" + encode_value("text", "a@b.c"),
        "gone": None,
    }
    assert encoded(msgspec.Raw(b"null"))["age"] == index.NULL


def test_an_indexer_says_that_fields_cannot_be_read() -> None:
    encoded = indexer([IndexLayout("age", ("age",), ("integer",))])

    with pytest.raises(CorruptDocumentError, match="age"):
        encoded(b'{"age":1e999}')
    with pytest.raises(CorruptDocumentError):
        encoded(b"[]")
