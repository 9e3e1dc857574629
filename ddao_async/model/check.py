"""
What may be stored: checks of values before they become JSON, where the text would not show any more what was wrong.

A NaN would be written as null, a datetime without a zone as text that Go refuses, an integer over 4,300 digits as one
that Python does not read back. Each check raises a ValidationError that names the path, `users.profile.age`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec
from msgspec import inspect

from ..errors import ValidationError
from .annotation import Shape, alternatives
from .schema import Column
from .value import MAX_INTEGER_DIGITS, Kind, comparable

Check = Callable[[Any, str], None]
"""Raises a ValidationError unless the value, found at this path, may be stored."""

_LIMIT = 10**MAX_INTEGER_DIGITS

_PYTHON_TYPES: dict[type[Shape], tuple[type, ...]] = {
    inspect.BytesType: (bytes,),
    inspect.ByteArrayType: (bytearray,),
    inspect.MemoryViewType: (memoryview,),
    inspect.UUIDType: (UUID,),
    inspect.DateType: (date,),
    inspect.TimeType: (time,),
    inspect.TimeDeltaType: (timedelta,),
}
"""Types that lie in JSON as text: any text that reads would pass the second decoding."""

_SAFE = (inspect.StrType, inspect.BoolType, inspect.IntType, inspect.LiteralType, inspect.NoneType, inspect.EnumType)
_COLLECTIONS = (inspect.ListType, inspect.SetType, inspect.FrozenSetType, inspect.VarTupleType)


def check_for(shape: Shape) -> Check | None:
    """The check that a field of this annotation needs beside decoding what was encoded; None: that alone shows all."""
    parts = alternatives(shape)
    if len(parts) != 1:
        return None if all(_hides_nothing(part) for part in parts) else check_tree
    part = parts[0]
    if isinstance(part, inspect.FloatType):
        return _check_float
    if isinstance(part, inspect.DateTimeType):
        return _check_datetime
    if isinstance(part, inspect.DecimalType):
        return _check_decimal
    if isinstance(part, (inspect.EnumType, inspect.StructType, inspect.DataclassType)):
        return _instance_check((part.cls,))
    if type(part) in _PYTHON_TYPES:
        return _instance_check(_PYTHON_TYPES[type(part)])
    return None if _hides_nothing(part) else check_tree


def is_open(shape: Shape) -> bool:
    """
    Any, or a mapping or list of it: decoding what was encoded gives an equal value if all of it can be stored. (A NaN
    comes back as None, a set as a list, a datetime as text.) Comparing takes a quarter of `check_tree`'s time.
    """
    parts = alternatives(shape)
    if len(parts) != 1:
        return False
    part = parts[0]
    if isinstance(part, inspect.DictType):
        return isinstance(part.key_type, inspect.StrType) and isinstance(part.value_type, inspect.AnyType)
    return isinstance(part, inspect.AnyType) or (
        isinstance(part, inspect.ListType) and isinstance(part.item_type, inspect.AnyType)
    )


def _hides_nothing(shape: Shape) -> bool:
    """No value of this shape holds anything that its JSON does not show."""
    if isinstance(shape, _COLLECTIONS):
        return all(_hides_nothing(part) for part in alternatives(shape.item_type))
    if isinstance(shape, inspect.DictType):
        inner = (*alternatives(shape.key_type), *alternatives(shape.value_type))
        return all(_hides_nothing(part) for part in inner)
    return isinstance(shape, _SAFE)


def _instance_check(types: tuple[type, ...]) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, types):
            raise _mismatch(path, types[0].__name__, value)
        check_tree(value, path)

    return check


def _mismatch(path: str, wanted: str, value: object) -> ValidationError:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return ValidationError(f"{path}: expected {wanted}, got {type(value).__name__} {shown}.", hint="Convert the value.")


def _check_float(value: Any, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValidationError(f"{path}: {value} cannot be stored.", hint="Use a finite number or None.")


def _check_decimal(value: Any, path: str) -> None:
    if not isinstance(value, Decimal):
        raise _mismatch(path, "Decimal", value)
    if not value.is_finite():
        raise ValidationError(f"{path}: {value} cannot be stored.", hint="Use a finite number or None.")


def _check_datetime(value: Any, path: str) -> None:
    if not isinstance(value, datetime):
        raise _mismatch(path, "datetime", value)
    offset = value.utcoffset()
    if offset is None:
        raise ValidationError(
            f"{path}: the datetime {value.isoformat()} has no time zone.", hint="Use an aware one: datetime.now(UTC)."
        )
    if offset.seconds % 60 or offset.microseconds:
        raise ValidationError(
            f"{path}: the time zone of {value.isoformat()} is not a whole number of minutes, which RFC 3339 asks for.",
            hint="Convert it: value.astimezone(UTC).",
        )


def check_tree(value: Any, path: str) -> None:
    """Look for what cannot be stored anywhere inside a value: mappings, sequences, sets and Structs are searched."""
    try:
        _check_tree(value, path)
    except RecursionError as error:
        raise ValidationError(
            f"{path}: nested too deep.", hint="Store a flatter value, or one without cycles."
        ) from error


def _check_tree(value: Any, path: str) -> None:
    if value is None or value is True or value is False:
        return
    kind = value.__class__
    if kind is str:
        if not value.isascii():
            _check_text(value, path)
    elif kind is int:
        if not -_LIMIT < value < _LIMIT:
            raise ValidationError(f"{path}: an integer has more than 4,300 digits.", hint="Store it as text.")
    elif kind is float:
        _check_float(value, path)
    elif kind is dict:
        for key, inner in cast(Mapping[Any, Any], value).items():
            if key.__class__ is str and not key.isascii():
                _check_text(key, path)
            if not _is_simple(inner):
                _check_tree(inner, f"{path}.{key}")
    elif kind is list or kind is tuple or isinstance(value, (set, frozenset)):
        for place, inner in enumerate(cast(Iterable[Any], value)):
            if not _is_simple(inner):
                _check_tree(inner, f"{path}[{place}]")
    else:
        _check_rare(value, path)


def _is_simple(value: Any) -> bool:
    """Nothing to look for, as mostly: spares a frame and a path for each leaf, half of the time of a small tree."""
    kind = value.__class__
    return (kind is str and value.isascii()) or (kind is int and -_LIMIT < value < _LIMIT) or kind is bool


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValidationError(
            f"{path}: text with a lone surrogate cannot be stored.", hint="Decode it with errors='replace'."
        ) from error


def _check_rare(value: Any, path: str) -> None:
    if isinstance(value, datetime):
        _check_datetime(value, path)
    elif isinstance(value, Decimal):
        _check_decimal(value, path)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _check_tree(getattr(value, name), f"{path}.{name}")
    else:
        try:
            plain = msgspec.to_builtins(value, builtin_types=(datetime, Decimal))
        except (TypeError, NotImplementedError, ValueError) as error:
            raise ValidationError(
                f"{path}: a {type(value).__name__} cannot be stored.", hint="Convert it to what JSON can hold."
            ) from error
        if plain is not value:
            _check_tree(plain, path)


def check_column(column: Column, value: object, path: str) -> None:
    """Raise a ValidationError unless the value fits the type of its column; an unknown type takes anything."""
    fits = _FITS.get(column.type)
    if fits is not None and not fits(value):
        raise _mismatch(path, column.type, value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_uuid(value: object) -> bool:
    if isinstance(value, str):
        try:
            UUID(value)
        except ValueError:
            return False
        return True
    return isinstance(value, UUID)


_FITS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: comparable("text", value)[0] is Kind.TEXT,
    "integer": lambda value: _is_number(value) and value == int(value),
    "float": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "datetime": lambda value: comparable("datetime", value)[0] is Kind.DATETIME,
    "bytes": lambda value: comparable("bytes", value)[0] is Kind.BYTES,
    "uuid": _is_uuid,
    "decimal": lambda value: comparable("decimal", value)[0] is Kind.NUMBER,
}
