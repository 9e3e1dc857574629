"""
Records and objects to raw `fields` bytes and back: one encoder and decoder per type.

    User(id="ann", email="a@b.c")  <->  {"email":"a@b.c"}            the id stands outside of `fields`

msgspec checks types only when it decodes, so what is written is encoded, then decoded again: it costs a microsecond or
two, and nothing gets into the bucket that would not read back. What JSON no longer shows is checked by `model.check`.

Reading is one pass. Where that fails, a second looks for what other writers do and a type can still read: JSON text in
a column that asks for an object or array, a whole float in an integer column, an id among the fields.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from ..errors import CorruptDocumentError, ValidationError
from .annotation import Shape, alternatives, fields_of, table_of
from .check import Check, check_column, check_for, check_tree, is_open
from .keys import check_id, object_key
from .record import LeftOut, Object, Record
from .schema import Table
from .value import MAX_INTEGER_DIGITS

R = TypeVar("R", bound=Record)

_encode = msgspec.json.Encoder().encode
_decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode
_decode_text = msgspec.json.Decoder(str).decode

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNWRITABLE = (msgspec.MsgspecError, ValueError, TypeError, NotImplementedError, RecursionError)

_CONTAINERS = (
    inspect.DictType,
    inspect.TypedDictType,
    inspect.StructType,
    inspect.DataclassType,
    inspect.NamedTupleType,
    inspect.ListType,
    inspect.TupleType,
    inspect.VarTupleType,
    inspect.SetType,
    inspect.FrozenSetType,
)


class RecordCodec(Generic[R]):
    """Between records of one class and raw fields."""

    def __init__(self, record: type[R]) -> None:
        self.record = record
        self.table = table_of(record)
        fields = fields_of(record)
        names = {field.name: field.encode_name for field in fields}
        config = record.__struct_config__
        self._decode = msgspec.json.Decoder(record).decode
        self._id = names.pop("id")
        self._id_bytes = len(_encode(self._id)) + 3  # `{`, the name, `:`, the id, `,`
        self._columns = names
        self._known = frozenset(names.values())
        # A tag would come before the id. Defaults must be written: searches read what is stored.
        self._is_plain = config.tag is None and not config.omit_defaults
        self._tag: dict[str, Any] = {} if config.tag is None else {str(config.tag_field): config.tag}
        checks = [(field.name, field.encode_name, check_for(field.type)) for field in fields if not is_open(field.type)]
        self._open = [(field.name, field.encode_name) for field in fields if is_open(field.type)]
        self._checks: list[tuple[str, str, Check]] = [(a, e, c) for a, e, c in checks if c is not None]
        self._containers = {f.encode_name for f in fields if _is_one_of(f.type, _CONTAINERS)}
        self._integers = {f.encode_name for f in fields if _is_one_of(f.type, (inspect.IntType,))}

    def column(self, name: str) -> str:
        """The stored name of a field that a search names by its stored or its Python name."""
        if name in self._known or name == "id":
            return name
        if name in self._columns:
            return self._columns[name]
        raise ValidationError(
            f"Table {self.table.name!r} has no column {name!r}.",
            hint=f"{self.record.__name__} has {', '.join(['id', *sorted(self._known)])}.",
        )

    def id_of(self, record: R) -> str | None:
        """The id of a record, checked; None where it was left out."""
        if record.__class__ is not self.record:
            raise ValidationError(
                f"A {type(record).__name__} cannot be stored as a {self.record.__name__}.",
                hint=f"The repository of table {self.table.name!r} holds {self.record.__name__}.",
            )
        return None if isinstance(record.id, LeftOut) else check_id(record.id)

    def with_id(self, record: R, id: str) -> R:
        """A copy of the record that has this id."""
        return msgspec.structs.replace(record, id=id)

    def encode(self, record: R) -> bytes:
        """
        Raw fields of a record that has an id.

        Raises:
            ValidationError: A value does not fit its type, or cannot be stored; the message names its path.
        """
        name = self.table.name
        for attribute, column, check in self._checks:
            value = getattr(record, attribute)
            if value is not None:
                check(value, f"{name}.{column}")
        try:
            data = _encode(record) if self._is_plain else self._encode_all(record)
            again = self._decode(data)
            changed = [at for at in self._open if getattr(record, at[0]) != getattr(again, at[0])]
        except _UNWRITABLE as error:
            for attribute, column in self._columns.items():
                check_tree(getattr(record, attribute), f"{name}.{column}")
            raise _invalid(name, error) from error
        for attribute, column in changed:
            check_tree(getattr(record, attribute), f"{name}.{column}")
        start = self._id_bytes + len(_encode(record.id))
        return b"{" + data[start:] if len(data) > start else b"{}"

    def _encode_all(self, record: R) -> bytes:
        values: dict[str, Any] = {self._id: record.id, **self._tag}
        for attribute, column in self._columns.items():
            value = getattr(record, attribute)
            if value is not msgspec.UNSET:
                values[column] = value
        return _encode(values)

    def decode(self, id: str, fields: bytes | msgspec.Raw) -> R:
        """
        The record of a document.

        Raises:
            CorruptDocumentError: The fields are not those of this record type; the message names the path.
        """
        try:
            record = self._decode(fields)
        except _UNREADABLE as error:
            record = self._decode_again(id, bytes(fields), error)
        msgspec.structs.force_setattr(record, "id", id)
        return record

    def _decode_again(self, id: str, fields: bytes, first: Exception) -> R:
        try:
            raw = _decode_raw(fields) if fields != b"null" else {}
            raw.pop(self._id, None)
            for name in self._containers & raw.keys():
                raw[name] = _unquoted(raw[name])
            for name in self._integers & raw.keys():
                raw[name] = _whole(raw[name])
            return self._decode(_encode(raw))
        except _UNREADABLE as error:
            raise _corrupt(self.table.name, id, error) from first

    def merge(self, id: str, stored: bytes | msgspec.Raw, new: bytes) -> bytes:
        """
        The new fields, and those of the stored document that the record type does not know.

        Raises:
            CorruptDocumentError: The stored fields are not an object.
        """
        try:
            held = _decode_raw(stored) if bytes(stored) != b"null" else {}
        except _UNREADABLE as error:
            raise _corrupt(self.table.name, id, error) from error
        unknown = {name: value for name, value in held.items() if name not in self._known}
        return _encode({**_decode_raw(new), **unknown}) if unknown else new


def _is_one_of(shape: Shape, kinds: tuple[type[Shape], ...]) -> bool:
    parts = alternatives(shape)
    return bool(parts) and all(isinstance(part, kinds) for part in parts)


def _unquoted(raw: msgspec.Raw) -> msgspec.Raw:
    """The JSON inside a JSON string, if there is an object or array in it."""
    if not bytes(raw).startswith(b'"'):
        return raw
    text = _decode_text(raw).strip()
    return msgspec.Raw(text.encode()) if text[:1] in ("{", "[") else raw


def _whole(raw: msgspec.Raw) -> msgspec.Raw:
    """The integer that a JSON number is, written with a point or an exponent."""
    text = bytes(raw)
    if not text[-1:].isdigit() or not (b"." in text or b"e" in text or b"E" in text):
        return raw
    number = Decimal(text.decode())
    if number.adjusted() >= MAX_INTEGER_DIGITS or number != number.to_integral_value():
        return raw
    return msgspec.Raw(str(int(number)).encode())


class ObjectCodec:
    """Between objects of one table and raw fields, checked by the table's columns where it has them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._columns = [column for column in table.columns if column.name != "id"]
        self._integers = [column.name for column in self._columns if column.type == "integer"]

    def column(self, name: str) -> str:
        """The name itself: an object may have fields that its table does not declare."""
        return name

    def id_of(self, record: Object) -> str | None:
        """The id of an object, checked; None where it was left out."""
        check_object(record)
        if record.table_name != self.table.name:
            raise ValidationError(
                f"An object of table {record.table_name!r} cannot be stored in {self.table.name!r}.",
                hint=f"Use db.repository({record.table_name!r}).",
            )
        return None if isinstance(record.id, LeftOut) else check_id(record.id)

    def with_id(self, record: Object, id: str) -> Object:
        """A copy of the object that has this id."""
        return msgspec.structs.replace(record, id=id)

    def encode(self, record: Object) -> bytes:
        """
        Raw fields of an object; a missing column that has a default gets it.

        Raises:
            ValidationError: A value does not fit its column, or cannot be stored; the message names its path.
        """
        name, fields = self.table.name, record.fields
        if not isinstance(fields, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValidationError(f"{name}: fields are a dict, not a {type(fields).__name__}.", hint="Pass a dict.")
        for field in fields:
            if not isinstance(field, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValidationError(f"{name}: {field!r} is no name of a field.", hint="Names are text.")
        check_tree(fields, name)
        for column in self._columns:
            value = fields.get(column.name)
            if value is not None:
                check_column(column, value, f"{name}.{column.name}")
            elif column.name not in fields and column.default is not None:
                fields = {**fields, column.name: column.default}
            elif not column.nullable:
                raise ValidationError(
                    f"{name}.{column.name} is {'null' if column.name in fields else 'missing'}.",
                    hint="Give it a value; the column is not nullable.",
                )
        try:
            data = _encode(fields)
            _decode_any(data)
        except _UNWRITABLE as error:
            raise _invalid(name, error) from error
        return data

    def decode(self, id: str, fields: bytes | msgspec.Raw) -> Object:
        """
        The object of a document.

        Raises:
            CorruptDocumentError: The fields are not a JSON object.
        """
        try:
            values: dict[str, Any] = _decode_any(fields) if bytes(fields) != b"null" else {}
        except _UNREADABLE as error:
            raise _corrupt(self.table.name, id, error) from error
        for name in self._integers:
            value = values.get(name)
            if isinstance(value, float) and value.is_integer():
                values[name] = int(Decimal(repr(value)))
        return Object(self.table.name, id, values)

    def merge(self, id: str, stored: bytes | msgspec.Raw, new: bytes) -> bytes:  # noqa: ARG002
        """The new fields: an object holds all that there are."""
        return new


def check_object(record: object) -> Object:
    """Return it, or raise a ValidationError unless it is an object."""
    if isinstance(record, Object):
        return record
    raise ValidationError(
        f"A {type(record).__name__} cannot be stored by table name.", hint="Use ddao.Object(table, id, fields)."
    )


def _located(table: str, error: Exception) -> str:
    """`users.profile.age: Expected ...` out of msgspec's `Expected ... - at `$.profile.age``."""
    what, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").replace("$", table, 1) if where else table
    return f"{path}: {what}."


def _invalid(table: str, error: Exception) -> ValidationError:
    return ValidationError(_located(table, error), hint="Nothing was written; correct the value.")


def _corrupt(table: str, id: str, error: Exception) -> CorruptDocumentError:
    return CorruptDocumentError(
        f"{object_key(table, id)!r} cannot be read: {_located('fields', error)}",
        hint="Correct the document, or declare the field as what is stored.",
    )
