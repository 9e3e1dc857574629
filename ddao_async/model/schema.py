"""
Tables and columns: what is declared, what may be declared, and what comes of two declarations of one table.

Pure values. How they lie in the bucket is known by `model.metadata`, how a record class becomes a table by
`model.annotation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import SchemaError
from .index import IndexLayout
from .keys import check_table
from .value import COLUMN_TYPES

SPELLINGS = {"real": "float", "blob": "bytes"}
"""How Go programs name two of the types; both spellings are one type."""

_INDEXED_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")
"""Names that stand in the keys of entries and claims. `~` joins those of an index over several columns."""

_MAX_INDEX_NAME = 200


class Column(msgspec.Struct, frozen=True):
    """
    One column of a table.

    Attributes:
        type: One of `COLUMN_TYPES`; a type that another tool wrote is kept as it is and not checked.
        nullable: May be null or missing.
        default: What a missing value is taken for when a dynamic object is written; None: no default.
        unique: No two documents share a value of it; nulls do not count.
        index: Key search on it reads index entries instead of scanning.
    """

    name: str
    type: str
    nullable: bool = False
    default: Any = None
    unique: bool = False
    index: bool = False
    comment: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "type", SPELLINGS.get(self.type, self.type))

    @property
    def is_known(self) -> bool:
        """Its type is one that this library checks."""
        return self.type in COLUMN_TYPES


class Table(msgspec.Struct, frozen=True):
    """
    One table.

    Attributes:
        name: See `model.keys.check_table`.
        columns: In the order of declaration. The id is no column, though one named `id` may be among them.
        indexes: Indexes over several columns, each a tuple of names; those over one are the columns' own.
        transactions: False where plain deletes matter more than transactions (protocol.md, section 8).
    """

    name: str
    columns: Sequence[Column] = ()
    indexes: Sequence[Sequence[str]] = ()
    transactions: bool = True
    comment: str = ""

    def __post_init__(self) -> None:
        # Lists are what people write by hand; tuples are what stays as it is.
        msgspec.structs.force_setattr(self, "columns", tuple(self.columns))
        msgspec.structs.force_setattr(self, "indexes", tuple(tuple(columns) for columns in self.indexes))
        check_table(self.name)

    def __getitem__(self, name: str) -> Column:
        """The column of this name; KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def type_of(self, name: str) -> str | None:
        """The type of a column; None where the table has none of this name."""
        return next((column.type for column in self.columns if column.name == name), "text" if name == "id" else None)

    @property
    def indexed(self) -> tuple[IndexLayout, ...]:
        """All indexes that it declares. A column that is both unique and indexed has claims, and entries as `name~`."""
        found: list[IndexLayout] = []
        for column in self.columns:
            if column.name == "id":
                continue
            if column.unique:
                found.append(IndexLayout(column.name, (column.name,), (column.type,), unique=True))
            if column.index:
                name = f"{column.name}~" if column.unique else column.name
                found.append(IndexLayout(name, (column.name,), (column.type,)))
        for columns in self.indexes:
            types = tuple(self[name].type for name in columns)
            found.append(IndexLayout("~".join(columns), tuple(columns), types))
        return tuple(found)


class Schema(msgspec.Struct, frozen=True):
    """All tables of a database, by name."""

    tables: Mapping[str, Table] = msgspec.field(default_factory=dict[str, Table])

    @classmethod
    def of(cls, *declarations: type[Any] | Table) -> Schema:
        """
        The schema of record classes and tables.

        Raises:
            SchemaError: A declaration is not allowed, or two of one table clash.
        """
        from .annotation import table_of

        tables: dict[str, Table] = {}
        for declaration in declarations:
            table = declaration if isinstance(declaration, Table) else table_of(declaration)
            known = tables.get(table.name)
            tables[table.name] = check_declared(table) if known is None else merged(known, table)
        return cls(tables)

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables.values())

    def __len__(self) -> int:
        return len(self.tables)

    def __contains__(self, name: object) -> bool:
        return name in self.tables

    def __getitem__(self, name: str) -> Table:
        """The table of this name; KeyError."""
        return self.tables[name]

    def with_tables(self, tables: Iterable[Table]) -> Schema:
        """The same schema with these tables in place of those of their names."""
        return Schema({**self.tables, **{table.name: table for table in tables}})


def check_declared(table: Table) -> Table:
    """
    Return the table, or raise a SchemaError that names the column and the rule that it breaks.

    For what is declared by a program; what lies in a bucket is taken as it is.
    """
    names = [column.name for column in table.columns]
    for name in names:
        if not name or names.count(name) > 1:
            raise SchemaError(f"Table {table.name!r} has two columns named {name!r}.", hint="Give each its own name.")
    for column in table.columns:
        if not column.is_known:
            raise SchemaError(
                f"Column {table.name}.{column.name} has the unknown type {column.type!r}.",
                hint=f"Use one of {', '.join(COLUMN_TYPES)}.",
            )
    for columns in table.indexes:
        _check_several(table, columns)
    for index in table.indexed:
        _check_index(table, index)
    return table


def _check_several(table: Table, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name == "id" or table.type_of(name) is None]
    if missing or len(columns) < 2 or len(set(columns)) < len(columns):
        raise SchemaError(
            f"Table {table.name!r} cannot have an index over {list(columns)}.",
            hint="Name two or more different columns of the table; for one alone use Index().",
        )


def _check_index(table: Table, index: IndexLayout) -> None:
    for name, type in zip(index.columns, index.types, strict=True):  # noqa: A001
        if type == "json":
            raise SchemaError(
                f"Column {table.name}.{name} is json and cannot be indexed.",
                hint="Index a column of its own that holds what you search for.",
            )
        if not _INDEXED_NAME.match(name):
            raise SchemaError(
                f"The indexed column {table.name}.{name} cannot stand in a key.",
                hint="Name it with up to 100 letters, digits, '_' and '-' of ASCII (msgspec's `rename` helps).",
            )
    if len(index.name) > _MAX_INDEX_NAME:
        raise SchemaError(
            f"The index {index.name!r} of table {table.name!r} has too long a name.", hint="Use shorter column names."
        )


def merged(stored: Table, declared: Table) -> Table:
    """
    One table out of what is stored and what is declared: every column of both.

    What is stored stays and is completed: a column that is nullable, unique or indexed in either is so in both, so
    that two programs with different declarations do not overwrite each other at every start.

    Raises:
        SchemaError: A column has another type, or the declaration itself is not allowed.
    """
    held = {column.name: column for column in stored.columns}
    fresh = [column for column in declared.columns if column.name not in held]
    known = {column.name: column for column in declared.columns}
    columns = [_merged_column(stored.name, column, known.get(column.name)) for column in stored.columns]
    check_declared(Table(declared.name, [c for c in declared.columns if c.is_known]))
    check_declared(Table(declared.name, fresh))
    # An index may be over columns that only the bucket knows; what else lies there is taken as it is.
    bare = [Column(column.name, column.type) for column in (*columns, *fresh) if column.is_known]
    check_declared(Table(stored.name, bare, declared.indexes))
    extra = [index for index in declared.indexes if index not in stored.indexes]
    return Table(
        stored.name,
        (*columns, *fresh),
        indexes=(*stored.indexes, *extra),
        transactions=declared.transactions,
        comment=stored.comment or declared.comment,
    )


def without_index(table: Table, name: str) -> Table:
    """The same table, not declaring the index of this name."""
    replace = msgspec.structs.replace
    layouts = {index.name: index for index in table.indexed}
    gone = layouts.get(name)
    if gone is None:
        return table
    if len(gone.columns) > 1:
        return replace(table, indexes=[columns for columns in table.indexes if columns != gone.columns])
    flags = {"unique": False} if gone.unique else {"index": False}
    columns = [replace(column, **flags) if column.name in gone.columns else column for column in table.columns]
    return replace(table, columns=columns)


def _merged_column(table: str, stored: Column, declared: Column | None) -> Column:
    if declared is None:
        return stored
    if stored.is_known and declared.type != stored.type:
        raise SchemaError(
            f"Column {table}.{stored.name} is declared as {declared.type}, but the bucket holds it as {stored.type}.",
            hint="Declare the type that is stored, or use another column name.",
        )
    return Column(
        stored.name,
        stored.type,
        nullable=stored.nullable or declared.nullable,
        default=declared.default if stored.default is None else stored.default,
        unique=stored.unique or declared.unique,
        index=stored.index or declared.index,
        comment=stored.comment or declared.comment,
    )
