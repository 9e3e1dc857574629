"""
From a record class to its table: what each annotation means as a column.

    email: Annotated[str, Unique()]             Column("email", "text", unique=True)
    born: datetime | None = None                Column("born", "datetime", nullable=True)
    profile: dict[str, Any]                     Column("profile", "json")
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from ..errors import SchemaError
from .record import Declaration, Index, Record, Unique
from .schema import Column, Table, check_declared

Shape = inspect.Type
"""An annotation as msgspec understands it."""

_SCALARS: dict[type[Shape], str] = {
    inspect.StrType: "text",
    inspect.BoolType: "boolean",
    inspect.IntType: "integer",
    inspect.FloatType: "float",
    inspect.DateTimeType: "datetime",
    inspect.DateType: "text",
    inspect.TimeType: "text",
    inspect.TimeDeltaType: "text",
    inspect.BytesType: "bytes",
    inspect.ByteArrayType: "bytes",
    inspect.MemoryViewType: "bytes",
    inspect.UUIDType: "uuid",
    inspect.DecimalType: "decimal",
}


@lru_cache(maxsize=256)
def table_of(record: type[Any]) -> Table:
    """
    The table that a record class declares.

    Raises:
        SchemaError: Not a record with a table, or an annotation that cannot be stored or indexed.
    """
    if not (isinstance(record, type) and issubclass(record, Record)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SchemaError(
            f"{record!r} is not a record class.", hint='Derive it: class User(ddao.Record, table="users").'
        )
    declaration: Declaration = record.__declaration__
    if declaration.table is None:
        raise SchemaError(
            f"Record {record.__name__} names no table.",
            hint=f'Write class {record.__name__}(ddao.Record, table="..."): a table is not inherited.',
        )
    fields = fields_of(record)
    hints = get_type_hints(record, include_extras=True)
    columns = [_column(record, field, hints[field.name]) for field in fields if field.name != "id"]
    return check_declared(Table(declaration.table, columns, declaration.indexes, declaration.transactions))


def fields_of(record: type[Record]) -> tuple[inspect.Field, ...]:
    """The fields of a record class as msgspec understands them, `id` among them; SchemaError if it does not."""
    try:
        shape = inspect.type_info(record)
    except (TypeError, NameError) as error:
        raise SchemaError(
            f"Record {record.__name__} cannot be read: {error}.",
            hint="Declare it at module level, with types that msgspec knows.",
        ) from error
    assert isinstance(shape, inspect.StructType)  # noqa: S101 - a Record is a Struct
    return shape.fields


def _column(record: type[Record], field: inspect.Field, hint: Any) -> Column:
    markers = set(_markers(hint))
    try:
        type_ = _type(field.type)
    except TypeError as error:
        raise SchemaError(
            f"{record.__name__}.{field.name} cannot be stored: {error}.",
            hint="Use str, int, float, bool, datetime, bytes, UUID, Decimal, or what JSON can hold.",
        ) from error
    return Column(
        field.encode_name,
        type_,
        nullable=_is_nullable(field.type),
        default=_plain(field.default),
        unique=Unique in markers,
        index=Index in markers,
    )


def _markers(hint: Any) -> Iterator[type]:
    """Marker classes of an annotation, also of one inside `| None`, given as `Unique()` or as `Unique`."""
    for extra in getattr(hint, "__metadata__", ()):
        marker = extra if isinstance(extra, type) else type(extra)
        if marker in (Unique, Index):
            yield marker
    origin = get_origin(hint)
    if origin is not None and origin not in (dict, list, tuple, set, frozenset):
        for part in get_args(hint):
            yield from _markers(part)


def alternatives(shape: Shape) -> tuple[Shape, ...]:
    """What an annotation may be, null and left-out aside; `Metadata` unwrapped."""
    if isinstance(shape, inspect.Metadata):
        return alternatives(shape.type)
    if isinstance(shape, inspect.UnionType):
        return tuple(part for each in shape.types for part in alternatives(each))
    return () if isinstance(shape, inspect.NoneType) else (shape,)


def _type(shape: Shape) -> str:
    types = {_single(part) for part in alternatives(shape)}
    if types == {"integer", "float"}:
        return "float"
    return types.pop() if len(types) == 1 else "json"


def _single(shape: Shape) -> str:
    known = _SCALARS.get(type(shape))
    if known:
        return known
    if isinstance(shape, inspect.EnumType):
        return _of_values([member.value for member in shape.cls])
    if isinstance(shape, inspect.LiteralType):
        return _of_values(list(shape.values))
    if isinstance(shape, (inspect.CustomType, inspect.ExtType)):
        raise TypeError(f"msgspec does not know {getattr(shape, 'cls', shape)!r}")
    return "json"


def _of_values(values: list[Any]) -> str:
    if all(isinstance(value, str) for value in values):
        return "text"
    return "integer" if all(isinstance(value, int) and not isinstance(value, bool) for value in values) else "json"


def _is_nullable(shape: Shape) -> bool:
    if isinstance(shape, inspect.Metadata):
        return _is_nullable(shape.type)
    if isinstance(shape, inspect.UnionType):
        return shape.includes_none
    return isinstance(shape, (inspect.AnyType, inspect.RawType, inspect.NoneType))


def _plain(default: object) -> Any:
    """A default as a JSON scalar; None where there is none or it is no scalar."""
    if default is msgspec.NODEFAULT:
        return None
    try:
        value = msgspec.to_builtins(default)
    except (TypeError, NotImplementedError):
        return None
    return value if isinstance(value, (str, int, float, bool)) else None
