"""Which index drives a search, and what it brings by itself."""

from __future__ import annotations

from typing import Any

import pytest

from ddao_async.model.index import IndexLayout, encode_value
from ddao_async.model.predicate import Predicate, condition, field
from ddao_async.model.query import Claims, Entries, Ids, Order, Plan, Scan, order_of, plan

EMAIL = IndexLayout("email", ("email",), ("text",), unique=True)
AGE = IndexLayout("age", ("age",), ("integer",))
COUNTRY = IndexLayout("country", ("country",), ("text",))
PLACE = IndexLayout("country~city", ("country", "city"), ("text", "text"))
ALL = (EMAIL, AGE, COUNTRY, PLACE)
TYPES = {"age": "integer", "email": "text", "country": "text", "city": "text", "id": "text"}
BY_ID = Order(("id",), ("text",))


def planned(*predicates: Predicate, order: str | None = None, indexes: Any = ALL, resumed: Order | None = None) -> Plan:
    conditions = [condition(each, TYPES.get(each.column)) for each in predicates]
    column = order.removeprefix("-") if order else ""
    asked = order_of(column, TYPES.get(column), is_descending=order != column) if order else None
    return plan(conditions, asked, indexes, resumed=resumed)


def drives(chosen: Plan) -> str:
    match chosen.access:
        case Ids(ids):
            return f"ids {' '.join(ids)}"
        case Claims(index, _) | Entries(index, _):
            return index.name
        case Scan(prefix):
            return f"scan {prefix}".strip()


NL = field("country") == "NL"
OLD = field("age") >= 18


@pytest.mark.parametrize(
    ("predicates", "order", "driver", "sorts"),
    [
        ([], None, "scan", False),
        ([], "id", "scan", False),
        ([], "-id", "scan", False),
        ([field("name") == "x"], None, "scan", False),
        ([], "name", "scan", True),
        ([], "age", "age", False),
        ([], "-age", "age", False),
        ([], "email", "scan", True),
        ([field("id") == "a"], None, "ids a", True),
        ([field("id").is_in(["a", "b"]), NL], None, "ids a b", True),
        ([field("id").startswith("a")], None, "scan a", False),
        ([field("email") == "x", NL], None, "email", True),
        ([field("email") == None], None, "scan", False),  # noqa: E711
        ([field("email") > "x"], None, "scan", False),
        ([field("age") == 5], None, "age", False),
        ([OLD], None, "age", False),
        ([OLD, NL], None, "country", False),
        ([OLD, NL], "age", "country", True),
        ([NL], "city", "country~city", False),
        ([NL], "-city", "country~city", False),
        ([NL], "country", "country", False),
        ([NL, field("city") == "A"], None, "country~city", False),
        ([NL, field("city") > "A"], "city", "country~city", False),
        ([field("city") == "A"], None, "scan", False),
        ([field("country").is_in(["NL", "DE"]), OLD], None, "country", False),
        ([field("country").is_in(["NL", "DE"])], "country", "country", False),
        ([field("country").startswith("N")], None, "country", False),
        ([field("country") != "NL"], None, "scan", False),
        ([NL], "id", "country", True),
        ([field("name").is_in([])], None, "ids ", True),
    ],
)
def test_equality_drives_before_is_in_before_ranges_before_order(
    predicates: list[Predicate], order: str | None, driver: str, sorts: bool
) -> None:
    chosen = planned(*predicates, order=order)

    assert (drives(chosen).strip(), chosen.sorts) == (driver.strip(), sorts)


def test_without_usable_indexes_everything_scans() -> None:
    assert drives(planned(NL, OLD, order="age", indexes=())) == "scan"


def test_all_conditions_are_tested_on_what_is_read() -> None:
    assert [each.column for each in planned(NL, OLD).conditions] == ["country", "age"]


def test_bounds_of_one_column_close_in_on_each_other() -> None:
    access = planned(field("age") >= 5, field("age") > 5, field("age") < 30, field("age").between(0, 40)).access

    assert isinstance(access, Entries)
    assert access.ranges[0].start == encode_value("integer", 5) + "1"
    assert access.ranges[0].stop == encode_value("integer", 30)


def test_values_are_listed_once_each_and_in_order() -> None:
    access = planned(field("country").is_in(["NL", "DE", "NL"])).access

    assert isinstance(access, Entries)
    assert [span.start for span in access.ranges] == ["tDE", "tNL"]


def test_of_two_equalities_on_one_column_both_must_hold() -> None:
    chosen = planned(NL, field("country") == "DE")

    assert len(chosen.conditions) == 2


def test_a_page_goes_on_in_the_order_of_the_one_before_whatever_has_become_of_the_index() -> None:
    first = planned(NL, order="city")
    again = planned(NL, order="city", resumed=first.order)
    without = planned(NL, order="city", indexes=(COUNTRY,), resumed=first.order)

    assert first.order == Order(("country", "city"), ("text", "text"))
    assert (again.order, again.sorts) == (first.order, False)
    assert (without.order, without.sorts, drives(without)) == (first.order, True, "country")


def test_a_scan_goes_on_as_a_scan_when_an_index_appears() -> None:
    first = planned(field("email") == "x", indexes=())
    again = planned(field("email") == "x", resumed=first.order)

    assert (first.order, drives(again), again.sorts) == (Order(), "scan", False)


def test_results_of_an_order_without_index_can_go_on_by_a_scan() -> None:
    chosen = planned(field("email") == "x")

    assert (chosen.order, chosen.sorts) == (BY_ID, True)
    assert (planned(field("email") == "x", indexes=(), resumed=chosen.order).order) == BY_ID
