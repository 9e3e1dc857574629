"""What may be declared, and what comes of two declarations of one table."""

from __future__ import annotations

import pytest

from ddao_async.errors import SchemaError, ValidationError
from ddao_async.model.schema import Column, Table, check_declared, merged


def test_both_spellings_of_a_type_are_one() -> None:
    assert (Column("a", "real").type, Column("b", "blob").type) == ("float", "bytes")


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        (Table("t", [Column("a", "strng")]), r"t\.a has the unknown type 'strng'"),
        (Table("t", [Column("a", "text"), Column("a", "text")]), "two columns named 'a'"),
        (Table("t", [Column("a", "json", index=True)]), r"t\.a is json"),
        (Table("t", [Column("a b", "text", index=True)]), r"t\.a b cannot stand in a key"),
        (Table("t", [Column("a" * 101, "text", unique=True)]), "cannot stand in a key"),
        (Table("t", [Column("a", "text")], indexes=[("a", "b")]), "cannot have an index"),
        (Table("t", [Column("a", "text")], indexes=[("a",)]), "cannot have an index"),
        (Table("t", [Column("a", "text"), Column("b", "json")], indexes=[("a", "b")]), r"t\.b is json"),
    ],
)
def test_a_declaration_that_breaks_a_rule_names_it(table: Table, rule: str) -> None:
    with pytest.raises(SchemaError, match=rule):
        check_declared(table)


def test_a_table_name_is_checked() -> None:
    with pytest.raises(ValidationError, match="not a table name"):
        Table("_hidden")


def test_a_merge_has_the_columns_of_both_and_does_not_depend_on_who_comes_first() -> None:
    one = Table("t", [Column("a", "text", comment="first"), Column("b", "integer", nullable=True)])
    other = Table("t", [Column("b", "integer", index=True), Column("c", "float", default=1.5)])

    assert merged(one, other).columns == (
        Column("a", "text", comment="first"),
        Column("b", "integer", nullable=True, index=True),
        Column("c", "float", default=1.5),
    )
    assert set(merged(one, other).columns) == set(merged(other, one).columns)
    assert merged(merged(one, other), other) == merged(one, other)


def test_another_type_is_a_clash_that_names_the_column() -> None:
    with pytest.raises(SchemaError, match=r"t\.a is declared as integer, but the bucket holds it as text"):
        merged(Table("t", [Column("a", "text")]), Table("t", [Column("a", "integer")]))


def test_a_stored_type_that_is_unknown_stays_whatever_is_declared() -> None:
    merged_table = merged(Table("t", [Column("a", "varchar")]), Table("t", [Column("a", "text")]))

    assert merged_table["a"].type == "varchar"


def test_indexes_over_several_columns_add_up() -> None:
    columns = [Column("a", "text"), Column("b", "text"), Column("c", "text")]
    both = merged(Table("t", columns, indexes=[("a", "b")]), Table("t", columns, indexes=[("b", "c"), ("a", "b")]))

    assert both.indexes == (("a", "b"), ("b", "c"))
    assert [index.name for index in both.indexed] == ["a~b", "b~c"]
