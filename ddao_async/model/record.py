"""
What a program holds of a document: a `Record` of its own class, or an `Object` of a table by name.

    class User(Record, table="users"):
        email: Annotated[str, Unique()]
        country: Annotated[str, Index()] = "NL"

A record class knows nothing of storage: it is a msgspec Struct whose annotations name the table and its indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

import msgspec

from ..errors import SchemaError, ValidationError

if TYPE_CHECKING:
    from msgspec import StructMeta
else:
    StructMeta = type(msgspec.Struct)  # its public name came after msgspec 0.20


class LeftOut(str):
    """The id of a record or object that was given none: `insert` fills one in."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<filled in by insert>"


LEFT_OUT = LeftOut()


class Unique(msgspec.Struct, frozen=True):
    """Marks a column, `Annotated[str, Unique()]`: no two documents of the table share a value; nulls do not count."""


class Index(msgspec.Struct, frozen=True):
    """Marks a column, `Annotated[str, Index()]`: searches and orders by it read an index instead of the whole table."""


class Declaration(msgspec.Struct, frozen=True):
    """What a record class says of its table in its class line; `table` is None for a base of other records."""

    table: str | None
    transactions: bool = True
    indexes: tuple[tuple[str, ...], ...] = ()


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))
class RecordMeta(StructMeta):
    """Makes record classes: keyword-only Structs that remember the table of their class line."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        table: str | None = None,
        transactions: bool = True,
        indexes: Sequence[Sequence[str]] = (),
        **options: Any,
    ) -> Any:
        if options.get("array_like"):
            raise SchemaError(f"Record {name} is array_like; fields lie by name.", hint="Leave the option out.")
        options.setdefault("kw_only", True)
        cls: Any = super().__new__(mcls, name, bases, namespace, **options)
        cls.__declaration__ = Declaration(table, transactions, tuple(tuple(columns) for columns in indexes))
        return cls


@dataclass_transform(kw_only_default=True, field_specifiers=(msgspec.field,))  # again: mypy looks at classes first
class Record(msgspec.Struct, metaclass=RecordMeta):
    """
    Base of a typed document: a keyword-only Struct; Struct options (`frozen=True`, ...) go into the class line.

    Class options:
        table: Name of its table; without one the class is a base of other records.
        transactions: False where plain deletes matter more than transactions (protocol.md, section 8).
        indexes: Indexes over several columns: `indexes=[("country", "city")]`.
    """

    if TYPE_CHECKING:

        def __init_subclass__(
            cls,
            *,
            table: str | None = None,
            transactions: bool = True,
            indexes: Sequence[Sequence[str]] = (),
            tag: bool | str | int | Callable[[str], str | int] | None = None,
            tag_field: str | None = None,
            rename: Any = None,
            omit_defaults: bool = False,
            forbid_unknown_fields: bool = False,
            frozen: bool = False,
            eq: bool = True,
            order: bool = False,
            kw_only: bool = True,
            repr_omit_defaults: bool = False,
            array_like: bool = False,
            gc: bool = True,
            weakref: bool = False,
            dict: bool = False,
            cache_hash: bool = False,
        ) -> None: ...

    __declaration__: ClassVar[Declaration]

    id: str = msgspec.field(default_factory=lambda: LEFT_OUT)  # a factory: a JSON schema then shows no default


class Object(msgspec.Struct):
    """
    A document of a table by name: its fields as JSON values, datetimes and bytes as the text that is stored.

    An id left out is filled in by `insert`. `obj["field"]` is a KeyError where there is none; the `get_` methods answer
    None (or `default`) for a missing or null field, and a ValidationError for one of another type.
    """

    table_name: str
    id: str = LEFT_OUT
    fields: dict[str, Any] = {}

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]

    def __setitem__(self, field: str, value: Any) -> None:
        self.fields[field] = value

    def __contains__(self, field: object) -> bool:
        return field in self.fields

    def get_string(self, field: str, default: str | None = None) -> str | None:
        return self._get(field, str, default)

    def get_int(self, field: str, default: int | None = None) -> int | None:
        """An integer, or a float that is whole."""
        value = self.fields.get(field)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return self._get(field, int, default)

    def get_float(self, field: str, default: float | None = None) -> float | None:
        """A float, or an integer as one."""
        value = self.fields.get(field)
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return self._get(field, float, default)

    def get_bool(self, field: str, default: bool | None = None) -> bool | None:
        return self._get(field, bool, default)

    def get_datetime(self, field: str, default: datetime | None = None) -> datetime | None:
        """An instant: stored RFC 3339 text with a zone, read with its zone."""
        return self._get(field, datetime, default)

    def _get(self, field: str, wanted: type[Any], default: Any) -> Any:
        value = self.fields.get(field)
        if value is None:
            return default
        try:
            found = msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            raise ValidationError(
                f"{self.table_name}.{field} of {self.id!r} is not a {wanted.__name__}: {error}.",
                hint=f"Read it as it is: obj[{field!r}].",
            ) from error
        if isinstance(found, datetime) and found.tzinfo is None:
            raise ValidationError(
                f"{self.table_name}.{field} of {self.id!r} has no time zone.", hint=f"Read it as it is: obj[{field!r}]."
            )
        return found
