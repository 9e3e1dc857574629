"""
The plan that answers a search with the fewest requests.

    country == "NL", age >= 18             the index on country drives, age is tested on each document
    country == "NL" ordered by city        an index over (country, city) drives and orders
    name == "Ann" without an index         scan: every document is read

What is tested on each document are all conditions, those that drove too: entries may be out of date, and long values
stand in keys cut short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from .index import (
    END,
    IndexLayout,
    KeyRange,
    bounded_range,
    encode_comparables,
    leading,
    prefix_range,
    range_of,
)
from .predicate import Bound, Condition
from .value import Comparable, Kind


class Order(msgspec.Struct, frozen=True):
    """
    What results are sorted by: columns and their types, then the id. No columns: the order of the keys.

    `("id",)` is the order of the keys too, but made in memory.
    """

    columns: tuple[str, ...] = ()
    types: tuple[str | None, ...] = ()
    is_descending: bool = False


class Ids(msgspec.Struct, frozen=True):
    """Answer by GET of these ids."""

    ids: tuple[str, ...]


class Claims(msgspec.Struct, frozen=True):
    """Answer by GET of the claims of these encoded values, then of the documents."""

    index: IndexLayout
    values: tuple[str, ...]


class Entries(msgspec.Struct, frozen=True):
    """
    Answer by LIST of the entries in these ranges, which ascend and do not overlap, then GET of each document.

    `leading` columns of the index have one value each throughout.
    """

    index: IndexLayout
    ranges: tuple[KeyRange, ...]
    leading: int = 0


class Scan(msgspec.Struct, frozen=True):
    """Answer by LIST of all keys whose id begins with `prefix`, and GET of each document."""

    prefix: str = ""


Access = Ids | Claims | Entries | Scan


class Plan(msgspec.Struct, frozen=True):
    """
    How a search is answered.

    Attributes:
        access: Which documents are read.
        order: What they come sorted by.
        sorts: They must be sorted in memory for that.
        conditions: What is tested on each document read.
    """

    access: Access
    order: Order
    sorts: bool
    conditions: tuple[Condition, ...] = ()


def plan(
    conditions: Sequence[Condition],
    order: Order | None,
    indexes: Sequence[IndexLayout],
    *,
    resumed: Order | None = None,
) -> Plan:
    """
    Choose what drives: ids, then claims, equality, `is_in`, ranges and prefixes, the order; a scan where nothing can.

    Args:
        conditions: All of them must hold.
        order: What was asked for; None: any.
        indexes: Those that may be used now.
        resumed: The order of the page before, which this one must continue.
    """
    wanted = resumed or order
    if resumed is not None and not resumed.columns:
        access: Access = _scan(conditions)
    else:
        access = _direct(conditions, indexes) or _by_entries(conditions, wanted, indexes) or _scan(conditions)
    natural = _natural(access, wanted)
    if natural is not None:
        return Plan(access, natural, False, tuple(conditions))
    if wanted is None or not wanted.columns:
        # Few documents come in no order of their own: by id, so that a page can go on where the last one ended.
        wanted = Order(("id",), ("text",), wanted is not None and wanted.is_descending)
    return Plan(access, wanted, True, tuple(conditions))


def _scan(conditions: Sequence[Condition]) -> Scan:
    prefixes = (each.prefix for each in conditions if each.column == "id" and each.prefix is not None)
    return Scan(max(prefixes, key=len, default=""))


def _equalities(conditions: Sequence[Condition]) -> dict[str, tuple[Comparable, ...]]:
    found: dict[str, tuple[Comparable, ...]] = {}
    for each in conditions:
        if each.equals is not None and (each.column not in found or len(each.equals) < len(found[each.column])):
            found[each.column] = each.equals
    return found


def _direct(conditions: Sequence[Condition], indexes: Sequence[IndexLayout]) -> Ids | Claims | None:
    equal = _equalities(conditions)
    if () in equal.values():
        return Ids(())
    if "id" in equal:
        return Ids(tuple(value for kind, value in equal["id"] if kind is Kind.TEXT))
    for index in indexes:
        values = equal.get(index.columns[0])
        if index.unique and len(index.columns) == 1 and values is not None and (Kind.NULL, None) not in values:
            return Claims(index, tuple(encode_comparables([value]) for value in values))
    return None


def _by_entries(conditions: Sequence[Condition], order: Order | None, indexes: Sequence[IndexLayout]) -> Entries | None:
    """The best index: the most columns held fast, then values, then a range on the next one, then the order."""
    best, best_score = None, (0, 0, False)
    for index in indexes:
        if index.unique:
            continue
        access, bound = _entries_of(index, conditions)
        score = (access.leading, bound, order is not None and bool(order.columns) and _orders(access, order))
        if score > best_score:
            best, best_score = access, score
    return best


def _entries_of(index: IndexLayout, conditions: Sequence[Condition]) -> tuple[Entries, int]:
    """The ranges of an index, and how its first column that is not held fast is bounded: 2 by values, 1 or 0."""
    equal = _equalities(conditions)
    lead: list[Comparable] = []
    for column in index.columns:
        if len(equal.get(column, ())) != 1:
            break
        lead.append(equal[column][0])
    if len(lead) == len(index.columns):
        return Entries(index, (range_of(lead),), len(lead)), 0
    ranges, bound = _ranges(index.columns[len(lead)], lead, conditions, equal)
    return Entries(index, ranges, len(lead)), bound


def _ranges(
    column: str,
    lead: list[Comparable],
    conditions: Sequence[Condition],
    equal: Mapping[str, tuple[Comparable, ...]],
) -> tuple[tuple[KeyRange, ...], int]:
    if column in equal:
        ranges = {range_of([*lead, value]) for value in equal[column]}
        return tuple(sorted(ranges, key=lambda each: each.start)), 2
    prefixes = [each.prefix for each in conditions if each.column == column and each.prefix is not None]
    if prefixes:
        return (prefix_range(max(prefixes, key=len), lead=leading(lead)),), 1
    lower, upper = _tightest(column, conditions)
    bound = lower or upper
    if bound is not None:
        return (bounded_range(bound[0][0], lower, upper, lead=leading(lead)),), 1
    return (range_of(lead) if lead else KeyRange("", END),), 0


def _tightest(column: str, conditions: Sequence[Condition]) -> tuple[Bound | None, Bound | None]:
    """The narrowest bounds on a column. Of bounds of several kinds, which nothing satisfies, those of the first."""
    lowers = [each.lower for each in conditions if each.column == column and each.lower]
    uppers = [each.upper for each in conditions if each.column == column and each.upper]
    kind = next((bound[0][0] for bound in (*lowers, *uppers)), None)
    lower = max((b for b in lowers if b[0][0] is kind), key=lambda b: (b[0][1], not b[1]), default=None)
    upper = min((b for b in uppers if b[0][0] is kind), key=lambda b: (b[0][1], b[1]), default=None)
    return lower, upper


def _orders(access: Entries, wanted: Order) -> bool:
    """These entries come sorted as wanted."""
    columns, at = access.index.columns, access.leading
    return wanted.columns in (columns, columns[at : at + 1]) or set(wanted.columns) <= set(columns[:at])


def _natural(access: Access, wanted: Order | None) -> Order | None:
    """The order that an access brings by itself, turned as wanted; None: none, or not the one that is wanted."""
    is_descending = wanted is not None and wanted.is_descending
    match access:
        case Scan():
            return Order((), (), is_descending) if wanted is None or not wanted.columns else None
        case Entries(index):
            if wanted is None or (wanted.columns and _orders(access, wanted)):
                return Order(index.columns, index.types, is_descending)
            return None
        case _:
            return None


def order_of(column: str, type: str | None, *, is_descending: bool) -> Order:
    """The order by a column of this type; by `id`, that of the keys."""
    return Order((), (), is_descending) if column == "id" else Order((column,), (type,), is_descending)


def in_memory(plan: Plan) -> Plan:
    """The same plan, its results sorted in memory: where some are found another way."""
    order = plan.order if plan.order.columns else Order(("id",), ("text",), plan.order.is_descending)
    return msgspec.structs.replace(plan, order=order, sorts=True)
