"""
Values and ids as parts of index keys: encoded texts sort, byte by byte, exactly as the values do.

    _indexes/age/npqbcec/tann/<tag>        age 42 of the document "ann"
    _indexes/name/tAnn1WLee/...            name "Ann Lee" (a space is `1W`)

One letter for the kind, then symbols of `0-9 A-Z _ a-z ~` only: all above `/`, so a value sorts before its
continuations, and servers that sort by directory agree with those that sort by byte. No code of a value begins with
`0`: that symbol ends a part where several columns stand in one index. More than 180 symbols are cut, and a hash of the
whole takes the place of the rest.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from ..errors import CorruptDocumentError, ValidationError
from .value import Comparable, Kind, comparable

SYMBOLS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
"""All that an encoded part is made of, in byte order."""

MAX_SYMBOLS = 180
"""What is kept of a longer encoding, in order; 43 symbols of hash follow. A claim adds `.json`: 228 of 255 bytes."""

END = "\x7f"
"""Sorts after every symbol: `encoded + END` is above everything that begins with `encoded`."""

NULL = "a"
"""The encoding of null and of a missing field."""

_KINDS = {
    Kind.NULL: "a",
    Kind.BOOLEAN: "b",
    Kind.NUMBER: "n",
    Kind.TEXT: "t",
    Kind.BYTES: "x",
    Kind.DATETIME: "z",
    Kind.OTHER: "~",
}
_DIGITS = str.maketrans("0123456789", "abcdefghij")
_HEX = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_COMPLEMENT = str.maketrans("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba")
_BASE64 = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", SYMBOLS.encode())


class IndexLayout(msgspec.Struct, frozen=True):
    """
    One index of a table: what it is called in keys, and which columns it is made of, with their types.

    `unique`: it consists of claims (`_uniques/`), else of entries (`_indexes/`).
    """

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    unique: bool = False


Indexer = Callable[["bytes | msgspec.Raw"], dict[str, str | None]]
"""Raw `fields` of a document -> index name -> encoded value; None: nothing to claim (null in a unique column)."""


class _Codes(dict[int, str]):
    """Code point -> its symbols, in the same order, none the beginning of another; filled for ASCII."""

    def __missing__(self, point: int) -> str:
        if point < 0x800:
            return "~A" + _base64(point, 2)
        return "~B" + _base64(point, 3) if point < 0x10000 else "~C" + _base64(point, 4)


def _base64(number: int, width: int) -> str:
    return "".join(SYMBOLS[number >> (6 * place) & 63] for place in range(width - 1, -1, -1))


def _ascii_codes() -> _Codes:
    codes = _Codes()
    for lead, first, last in (("1", 0x00, 0x31), ("9", 0x39, 0x40), ("_", 0x5B, 0x60), ("~", 0x7B, 0x7F)):
        codes.update({point: lead + SYMBOLS[point - first] for point in range(first, last + 1)})
    plain = (point for point in range(128) if point not in codes)
    codes.update({point: chr(point) for point in plain})
    return codes


_CODES = _ascii_codes()
_CHARACTERS = {code: chr(point) for point, code in _CODES.items()}
_CODE = re.compile(r"~A..|~B...|~C....|[19_~].|.")


def _shortened(encoded: str) -> str:
    if len(encoded) <= MAX_SYMBOLS:
        return encoded
    digest = hashlib.sha256(encoded.encode()).digest()
    return encoded[:MAX_SYMBOLS] + urlsafe_b64encode(digest).rstrip(b"=").translate(_BASE64).decode()


def is_shortened(encoded: str) -> bool:
    """Whether an encoding ends in a hash, so that it tells the order only as far as its prefix goes."""
    return len(encoded) > MAX_SYMBOLS


def encode_id(id: str) -> str:
    """The id as a part of an entry key; a long one ends in a hash and must be read from the entry's body."""
    return _shortened(id.translate(_CODES))


def decode_id(encoded: str) -> str | None:
    """The id of an encoded part; None where only a hash is left of its end."""
    return None if is_shortened(encoded) else _CODE.sub(_character, encoded)


def _character(code: re.Match[str]) -> str:
    symbols = code.group()
    known = _CHARACTERS.get(symbols)
    if known is not None:
        return known
    point = 0
    for symbol in symbols[2:]:
        point = point << 6 | SYMBOLS.index(symbol)
    return chr(point)


def encode_value(type: str | None, value: object) -> str:
    """
    A value of a column as a part of an entry or claim key.

    Args:
        type: Type of the column.
        value: A decoded JSON value, or a Python value of the column's type; None encodes as `NULL`.

    Raises:
        ValidationError: A NaN, an infinity or a naive datetime.
    """
    return _shortened(encode_comparable(comparable(type, value)))


def encode_values(types: Sequence[str | None], values: Sequence[object]) -> str:
    """The values of an index over several columns as one part; sorts as the tuple of the values does."""
    return encode_comparables([comparable(kind, value) for kind, value in zip(types, values, strict=True)])


def encode_comparables(values: Sequence[Comparable]) -> str:
    """The same of values that are comparables already."""
    return _shortened("0".join(map(encode_comparable, values)))


def encode_comparable(value: Comparable) -> str:
    """The whole encoding of a comparable value, not shortened."""
    kind, content = value
    match kind:
        case Kind.TEXT:
            return "t" + content.translate(_CODES)
        case Kind.NUMBER:
            return "n" + _number(content)
        case Kind.DATETIME:
            return "z" + _instant(content)
        case Kind.BYTES:
            return "x" + content.hex().translate(_HEX)
        case Kind.BOOLEAN:
            return "bt" if content else "bf"
        case Kind.NULL:
            return NULL
        case Kind.OTHER:
            return "~" + content.translate(_CODES)


def _number(value: int | float | Decimal) -> str:
    """Sign, decimal exponent, digits: of 0.d1d2d3... times ten to the exponent. `m` < `o` (zero) < `p`."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else Decimal(value)
    if not value:
        return "o"
    if isinstance(value, int):
        is_negative = value < 0
        digits = _integer_digits(abs(value))
        exponent = len(digits)
    else:
        sign, places, scale = value.as_tuple()
        is_negative = sign == 1
        digits = "".join(map(str, places)).lstrip("0")
        exponent = len(digits) + int(scale)
    magnitude = _exponent(exponent) + digits.rstrip("0").translate(_DIGITS)
    return "m" + magnitude.translate(_COMPLEMENT) + "~" if is_negative else "p" + magnitude


def _integer_digits(value: int) -> str:
    try:
        return str(value)
    except ValueError as error:
        raise ValidationError("An integer has more than 4,300 digits.", hint="Store it as text.") from error


def _exponent(exponent: int) -> str:
    digits = str(abs(exponent))
    length = chr(ord("a") + len(digits))
    if exponent > 0:
        return "q" + length + digits.translate(_DIGITS)
    return "m" + (length + digits.translate(_DIGITS)).translate(_COMPLEMENT)


def _instant(value: datetime) -> str:
    """Microseconds since two days before year 1, in 18 digits: an offset may reach a day below it."""
    offset = value.utcoffset()
    seconds = value.toordinal() * 86400 + value.hour * 3600 + value.minute * 60 + value.second + 2 * 86400
    micros = seconds * 1_000_000 + value.microsecond
    if offset:
        micros -= (offset.days * 86400 + offset.seconds) * 1_000_000 + offset.microseconds
    return f"{micros:018d}".translate(_DIGITS)


def indexer(indexes: Sequence[IndexLayout]) -> Indexer:
    """
    A function that reads the indexed values out of raw `fields`, decoding those columns only.

    Raises (the function):
        CorruptDocumentError: `fields` is not an object, or a number in an indexed column is out of range.
    """
    columns = list(dict.fromkeys(column for index in indexes for column in index.columns))
    decoder = column_decoder(columns)
    plan = [(i.name, i.unique, i.types, [columns.index(column) for column in i.columns]) for i in indexes]

    def encoded(fields: bytes | msgspec.Raw) -> dict[str, str | None]:
        values = decoder(fields)
        found: dict[str, str | None] = {}
        for name, is_unique, types, places in plan:
            if len(places) == 1:
                value = values[places[0]]
                found[name] = None if is_unique and value is None else encode_value(types[0], value)
            else:
                several = [values[place] for place in places]
                found[name] = None if is_unique and None in several else encode_values(types, several)
        return found

    return encoded


def column_decoder(columns: Sequence[str]) -> Callable[[bytes | msgspec.Raw], tuple[Any, ...]]:
    """
    A function from raw `fields` to the values of these columns, missing ones as None; nothing else is decoded.

    Raises (the function):
        CorruptDocumentError: `fields` is not an object, or one of these values cannot be read.
    """
    names = [f"c{place}" for place in range(len(columns))]
    shape = msgspec.defstruct(
        "Columns",
        [(name, Any, None) for name in names],
        rename=dict(zip(names, columns, strict=True)),
    )
    decoder = msgspec.json.Decoder(shape)

    def decode(fields: bytes | msgspec.Raw) -> tuple[Any, ...]:
        try:
            return msgspec.structs.astuple(decoder.decode(fields))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if bytes(fields) == b"null":
                return (None,) * len(columns)
            raise CorruptDocumentError(
                f"The fields of a document cannot be read: {error}.", hint="Look at the object, and write it again."
            ) from error

    return decode


class KeyRange(msgspec.Struct, frozen=True):
    """Encoded values from `start`, inclusive, to `stop`, exclusive, compared as text. What it holds must be tested."""

    start: str
    stop: str


def equal_range(types: Sequence[str | None], values: Sequence[object]) -> KeyRange:
    """Where the entries lie whose leading columns have these values (all columns of the index, or fewer)."""
    return range_of([comparable(kind, value) for kind, value in zip(types, values, strict=True)])


def range_of(values: Sequence[Comparable]) -> KeyRange:
    """The same of values that are comparables already."""
    encoded = encode_comparables(values)
    if is_shortened(encoded):
        return KeyRange(encoded[:MAX_SYMBOLS], encoded[:MAX_SYMBOLS] + END)
    return KeyRange(encoded, encoded + "1")


def leading(values: Sequence[Comparable]) -> str:
    """What every entry begins with whose leading columns have these values and another column follows."""
    return "".join(encode_comparable(value) + "0" for value in values)


def bounded_range(
    kind: Kind, lower: tuple[Comparable, bool] | None, upper: tuple[Comparable, bool] | None, *, lead: str = ""
) -> KeyRange:
    """
    Where the entries lie of one kind between two values.

    Args:
        kind: The kind of the bounds; without a bound the range ends where the kind does.
        lower: Comparable and whether it is inside; None for no bound.
        upper: The same from above.
        lead: The encoded leading columns of an index over several, as `leading` makes it.
    """
    start = lead + _KINDS[kind]
    stop = start + END
    if lower is not None:
        start = lead + encode_comparable(lower[0])
        # At the limit or over it the order of the rest is lost: begin with all that share the prefix.
        start = start + "1" if not lower[1] and len(start) < MAX_SYMBOLS else start[:MAX_SYMBOLS]
    if upper is not None:
        stop = lead + encode_comparable(upper[0])
        if len(stop) > MAX_SYMBOLS:
            stop = stop[:MAX_SYMBOLS] + END
        elif upper[1]:
            stop += "1"
    return KeyRange(start, stop)


def prefix_range(prefix: str, *, lead: str = "") -> KeyRange:
    """Where the entries lie of texts that begin with `prefix`."""
    start = (lead + "t" + prefix.translate(_CODES))[:MAX_SYMBOLS]
    return KeyRange(start, start + END)
