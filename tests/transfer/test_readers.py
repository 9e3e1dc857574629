"""Readers of import files: every way of cutting the bytes gives the same rows, and a broken row costs only itself."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddao_async.errors import ValidationError
from ddao_async.transfer.delimited import Delimited
from ddao_async.transfer.jsonarray import JSONArray
from ddao_async.transfer.jsonlines import JSONLines
from ddao_async.transfer.row import Reader, Reject, Row


def read(reader: Reader, data: bytes, *, step: int | None = None) -> list[Row | Reject]:
    step = step or max(len(data), 1)
    found: list[Row | Reject] = []
    for start in range(0, len(data), step):
        found.extend(reader.feed(data[start : start + step]))
    return found + reader.close()


def rows(found: list[Row | Reject]) -> list[tuple[int, dict[str, Any]]]:
    return [(row.line, row.fields) for row in found if isinstance(row, Row)]


def rejects(found: list[Row | Reject]) -> list[tuple[int, str]]:
    return [(reject.line, reject.reason) for reject in found if isinstance(reject, Reject)]


CUT_ANYWHERE = pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
MARK = b"\xef\xbb\xbf"


@CUT_ANYWHERE
@pytest.mark.parametrize("mark", [b"", MARK])
def test_json_lines_give_each_object_with_its_line(step: int | None, mark: bytes) -> None:
    data = mark + '{"a": 1}\r\n\n  \n{"a": "é\\n"}\n{"a": 3}'.encode()

    found = read(JSONLines(), data, step=step)

    assert rows(found) == [(1, {"a": 1}), (4, {"a": "é\n"}), (5, {"a": 3})]
    assert rejects(found) == []


@CUT_ANYWHERE
def test_a_broken_json_line_is_rejected_alone(step: int | None) -> None:
    data = b'{"a": 1}\n{"a": 2\n[1]\n"x"\n{"a": \xff}\n{"a": NaN}\n{"a": 1e999}\n{"a": 7}\n{"a": 8'

    found = read(JSONLines(), data, step=step)

    assert rows(found) == [(1, {"a": 1}), (8, {"a": 7})]
    assert [line for line, _ in rejects(found)] == [2, 3, 4, 5, 6, 7, 9]
    assert rejects(found)[1] == (3, "not a row: Expected `object`, got `array`")
    assert rejects(found)[0][1].startswith("not valid JSON")


@CUT_ANYWHERE
def test_a_json_line_over_the_limit_is_rejected_without_being_kept(step: int | None) -> None:
    data = b'{"a": 1}\n' + b'{"a": "' + b"x" * 100 + b'"}\n' + b'{"a": 3}\n'

    found = read(JSONLines(max_row_bytes=50), data, step=step)

    assert rows(found) == [(1, {"a": 1}), (3, {"a": 3})]
    assert rejects(found) == [(2, "longer than 50 bytes")]


@CUT_ANYWHERE
@pytest.mark.parametrize("mark", [b"", MARK])
def test_a_json_array_gives_its_elements_with_their_lines(step: int | None, mark: bytes) -> None:
    data = mark + b' \n[{"a": "]},[{\\""},\n\n {"b": [1, {"c": {}}]}, {"d":\n1}\n]\n '

    found = read(JSONArray(), data, step=step)

    assert rows(found) == [(2, {"a": ']},[{"'}), (4, {"b": [1, {"c": {}}]}), (4, {"d": 1})]
    assert rejects(found) == []


@CUT_ANYWHERE
@pytest.mark.parametrize("data", [b"[]", b" [ \n ] ", b"", b"  \n"])
def test_an_empty_array_or_file_has_no_rows(step: int | None, data: bytes) -> None:
    assert read(JSONArray(), data, step=step) == []


@CUT_ANYWHERE
def test_a_bad_element_of_an_array_is_rejected_alone(step: int | None) -> None:
    data = b'[{"a": 1},\n{"a": nope},\n5,\n,{"a": 4},]'

    found = read(JSONArray(), data, step=step)

    assert rows(found) == [(1, {"a": 1}), (4, {"a": 4})]
    assert [line for line, _ in rejects(found)] == [2, 3, 4, 4]


@CUT_ANYWHERE
@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b'[{"a": 1},\n{"a": ', 2, "the file ends in the middle of the array"),
        (b'[{"a": 1},\n{"a": "x', 2, "the file ends in the middle of the array"),
        (b'[{"a": 1}\n', 1, "the file ends in the middle of the array"),
        (b'[{"a": 1},\n}, {"a": 2}]', 2, "a '}' too many"),
        (b'[{"a": 1}]\n\n[{"a": 2}]', 3, "there is something after the end of the array"),
    ],
)
def test_where_an_array_breaks_the_rest_is_one_reject(step: int | None, data: bytes, line: int, reason: str) -> None:
    found = read(JSONArray(), data, step=step)

    assert rows(found)[:1] == [(1, {"a": 1})] or line == 1
    assert rejects(found)[-1] == (line, f"{reason}; nothing after this line was read")


def test_an_element_over_the_limit_ends_the_array() -> None:
    reader = JSONArray(max_row_bytes=50)

    found = read(reader, b'[{"a": 1},\n{"a": "' + b"x" * 500 + b'"}, {"a": 3}]', step=20)

    assert rows(found) == [(1, {"a": 1})]
    assert rejects(found) == [(2, "an element is longer than 50 bytes; nothing after this line was read")]


def test_a_file_that_is_no_array_says_what_to_do() -> None:
    with pytest.raises(ValidationError, match=r"does not begin with '\['.*jsonl"):
        read(JSONArray(), b'{"a": 1}\n{"a": 2}\n')


@CUT_ANYWHERE
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", MARK])
def test_csv_gives_each_row_with_the_line_it_began_on(step: int | None, end: str, mark: bytes) -> None:
    lines = ["a,b", "1,2", '"x, ""y""",é', "", f'"two{end}lines",5" pipe', ",", "last,row"]

    found = read(Delimited(), mark + end.join(lines).encode(), step=step)

    assert rows(found) == [
        (2, {"a": "1", "b": "2"}),
        (3, {"a": 'x, "y"', "b": "é"}),
        (5, {"a": f"two{end}lines", "b": '5" pipe'}),
        (7, {"a": "", "b": ""}),
        (8, {"a": "last", "b": "row"}),
    ]
    assert rejects(found) == []


@CUT_ANYWHERE
def test_a_half_written_csv_row_is_rejected_and_the_next_line_read_afresh(step: int | None) -> None:
    data = b'a,b,c\n1,2,3\n4,5\n6,"sev\n7,8,9\n10,"x",12\n13,14,15,16\n\xff,1,2\n17,18,19\n20,"21'

    found = read(Delimited(), data, step=step)

    assert [line for line, _ in rows(found)] == [2, 5, 6, 9]
    assert rejects(found) == [
        (3, "2 cells where the header has 3; the row seems cut"),
        (4, "not valid CSV: ',' expected after '\"'"),
        (7, "4 cells where the header has 3; is a cell with a comma unquoted?"),
        (8, "not UTF-8: invalid start byte"),
        (10, "a quote opened in this row is never closed"),
    ]


@CUT_ANYWHERE
def test_a_quote_that_is_never_closed_costs_one_row(step: int | None) -> None:
    data = b'a,b\n1,"2\n3,4\n5,6\n'

    found = read(Delimited(), data, step=step)

    assert rows(found) == [(3, {"a": "3", "b": "4"}), (4, {"a": "5", "b": "6"})]
    assert rejects(found) == [(2, "a quote opened in this row is never closed")]


@CUT_ANYWHERE
def test_an_open_quote_is_given_up_at_the_limit(step: int | None) -> None:
    data = b'a,b\n1,"2\n' + b"3,4\n" * 30

    found = read(Delimited(max_row_bytes=60), data, step=step)

    assert len(rows(found)) == 30
    assert rejects(found) == [(2, "a quote opened in this row is never closed")]


def test_a_cell_may_be_longer_than_the_csv_modules_own_limit() -> None:
    cell = "x" * 200_000
    before = csv.field_size_limit()

    found = read(Delimited(), f"a,b\n1,{cell}\n".encode())

    assert rows(found) == [(2, {"a": "1", "b": cell})]
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(("data", "mark"), [(b"a;b\n1,5;2\n", ";"), (b"a\tb\n1,5\t2\n", "\t")])
def test_the_header_tells_the_delimiter(data: bytes, mark: str) -> None:
    assert rows(read(Delimited(), data)) == [(2, {"a": "1,5", "b": "2"})]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,,c\n1,2,3\n", "Column 2 of the header"),
        (b"a,b,a\n1,2,3\n", "names column 'a' twice"),
        (b'a,"b\n1,2\n', "header .* is a quote opened"),
        (b"a,\xff\n1,2\n", "header .* is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read(Delimited(), data)


def test_a_file_without_line_ends_is_no_csv() -> None:
    with pytest.raises(ValidationError, match="longer than 100 bytes"):
        read(Delimited(max_row_bytes=100), b"x" * 1000, step=50)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=8), st.integers(1, 9))
def test_what_the_csv_module_writes_is_read_back(table: list[list[str]], step: int) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([["a", "b"], *table])

    found = read(Delimited(), out.getvalue().encode(), step=step)

    assert [list(fields.values()) for _, fields in rows(found)] == table
    assert rejects(found) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), max_size=5)


@given(OBJECTS, st.integers(1, 9))
def test_any_objects_are_read_back_from_an_array_and_from_lines(objects: list[dict[str, Any]], step: int) -> None:
    array = msgspec.json.format(msgspec.json.encode(objects), indent=2)
    lines = b"\n".join(msgspec.json.encode(item) for item in objects)

    assert [fields for _, fields in rows(read(JSONArray(), array, step=step))] == objects
    assert [fields for _, fields in rows(read(JSONLines(), lines, step=step))] == objects
