"""
Predicates: what a search asks of one column, and whether a stored value answers it.

    field("age") >= 18                     Predicate("age", ">=", (18,))

All predicates of a search must hold. A range matches values of its operand's own kind only; a missing field is null.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from ..errors import ValidationError
from .value import Comparable, Kind, comparable

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "between", "startswith", "in"]

Bound = tuple[Comparable, bool]
"""A value, and whether it is inside."""


class Predicate(msgspec.Struct, frozen=True):
    """One condition on one column, as `field` makes it."""

    column: str
    operator: Operator
    operands: tuple[Any, ...]


class Field:
    """A column to compare: `field("age") >= 18`. Comparing makes a `Predicate`."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # == makes a predicate, so it tells nothing about equality

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"field({self.name!r})"

    def __eq__(self, value: object) -> Predicate:  # type: ignore[override]
        return Predicate(self.name, "==", (value,))

    def __ne__(self, value: object) -> Predicate:  # type: ignore[override]
        """Also holds where the field is null or missing, or of another kind."""
        return Predicate(self.name, "!=", (value,))

    def __lt__(self, value: object) -> Predicate:
        return Predicate(self.name, "<", (value,))

    def __le__(self, value: object) -> Predicate:
        return Predicate(self.name, "<=", (value,))

    def __gt__(self, value: object) -> Predicate:
        return Predicate(self.name, ">", (value,))

    def __ge__(self, value: object) -> Predicate:
        return Predicate(self.name, ">=", (value,))

    def between(self, low: object, high: object) -> Predicate:
        """From `low` to `high`, both inside."""
        return Predicate(self.name, "between", (low, high))

    def startswith(self, prefix: str) -> Predicate:
        """Text that begins with `prefix`."""
        return Predicate(self.name, "startswith", (prefix,))

    def is_in(self, values: Collection[object]) -> Predicate:
        """Equal to one of the values; an empty collection matches nothing."""
        if isinstance(values, (str, bytes)):
            raise ValidationError(f"{self.name}.is_in takes a list of values.", hint=f"Write .is_in([{values!r}]).")
        return Predicate(self.name, "in", tuple(values))


def field(name: str) -> Field:
    """The column of this name, to be compared."""
    return Field(name)


class Condition(msgspec.Struct, frozen=True):
    """
    A predicate whose operands are comparables. Of the members after `type`, one is set (or both bounds).

    Attributes:
        type: How stored values of the column are read: its type, else what the operand asks for.
    """

    column: str
    type: str | None
    equals: tuple[Comparable, ...] | None = None
    differs: Comparable | None = None
    lower: Bound | None = None
    upper: Bound | None = None
    prefix: str | None = None

    def holds(self, stored: object) -> bool:
        """Whether it holds for a stored value, a decoded JSON one."""
        value = comparable(self.type, stored)
        if self.equals is not None:
            return value in self.equals
        if self.differs is not None:
            return value != self.differs
        if self.prefix is not None:
            return value[0] is Kind.TEXT and value[1].startswith(self.prefix)
        return self._is_above(value) and self._is_below(value)

    def _is_above(self, value: Comparable) -> bool:
        if self.lower is None:
            return True
        low, inside = self.lower
        return value[0] is low[0] and (value[1] >= low[1] if inside else value[1] > low[1])

    def _is_below(self, value: Comparable) -> bool:
        if self.upper is None:
            return True
        high, inside = self.upper
        return value[0] is high[0] and (value[1] <= high[1] if inside else value[1] < high[1])


def condition(predicate: Predicate, type: str | None) -> Condition:
    """
    The condition of a predicate on a column of this type; None: the table does not declare the column.

    Raises:
        ValidationError: An operand has no order, or cannot be stored.
    """
    column, operator = predicate.column, predicate.operator
    type = type or next((_meant(value) for value in predicate.operands if _meant(value)), None)  # noqa: A001
    values = [comparable(type, value) for value in predicate.operands]
    if operator in ("==", "in"):
        return Condition(column, type, equals=tuple(dict.fromkeys(values)))
    if operator == "!=":
        return Condition(column, type, differs=values[0])
    if operator == "startswith":
        if values[0][0] is not Kind.TEXT:
            raise ValidationError(f"{column}.startswith takes text.", hint="Compare other types with < and >.")
        return Condition(column, type, prefix=values[0][1])
    for kind, _ in values:
        if kind in (Kind.NULL, Kind.OTHER) or kind is not values[0][0]:
            raise ValidationError(
                f"{column} cannot be compared by {operator} with {', '.join(map(repr, predicate.operands))}.",
                hint="Compare with values of one kind that has an order.",
            )
    if operator == "between":
        return Condition(column, type, lower=(values[0], True), upper=(values[1], True))
    bound = (values[0], operator in ("<=", ">="))
    return Condition(column, type, upper=bound) if operator[0] == "<" else Condition(column, type, lower=bound)


def _meant(operand: object) -> str | None:
    """How a column without a type must be read to be compared with this operand."""
    match operand:
        case datetime():
            return "datetime"
        case bytes():
            return "bytes"
        case Decimal():
            return "decimal"
        case _:
            return None
