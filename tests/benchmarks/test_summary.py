"""Medians, spread, ratios and verdicts of the benchmark harness: pure functions, tested with tables."""

from __future__ import annotations

import pytest

from benchmarks import report, target
from benchmarks.case import Measurement, case_named
from benchmarks.rounds import calls_for, turns
from benchmarks.summary import Spread, quoted, ratio, spread, three_digits, values_of


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], Spread(5.0, 5.0, 5.0, 1)),
        ([1.0, 3.0], Spread(2.0, 1.0, 3.0, 2)),
        ([4.0, 1.0, 2.0, 3.0, 5.0], Spread(3.0, 2.0, 4.0, 5)),
        ([1.0, 1.0, 1.0, 1.0, 100.0], Spread(1.0, 1.0, 1.0, 5)),
    ],
)
def test_spread_is_the_median_and_the_quartiles(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


def test_no_values_have_no_spread() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_a_ratio_is_taken_within_rounds_so_that_a_slow_minute_cancels() -> None:
    theirs = {0: 100.0, 1: 1000.0, 2: 100.0}
    ours = {0: 10.0, 1: 100.0, 2: 10.0}

    assert ratio(theirs, ours) == Spread(10.0, 10.0, 10.0, 3)


def test_a_ratio_uses_only_rounds_that_both_were_in() -> None:
    assert ratio({0: 30.0, 1: 50.0}, {1: 10.0, 2: 7.0}) == Spread(5.0, 5.0, 5.0, 1)
    assert ratio({0: 30.0}, {1: 10.0}) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(1234.5, "1,234"), (99.94, "99.9"), (23.0, "23.0"), (2.345, "2.35"), (0.03571, "0.0357")]
)
def test_figures_are_quoted_with_three_digits(value: float, expected: str) -> None:
    assert three_digits(value) == expected


def test_a_single_round_is_quoted_without_spread() -> None:
    assert quoted(Spread(2.0, 2.0, 2.0, 1)) == "2.00"
    assert quoted(Spread(2.0, 1.5, 2.5, 9)) == "2.00 (1.50 to 2.50)"


def test_each_competitor_goes_first_in_turn() -> None:
    assert [turns(3, number) for number in range(4)] == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]
    assert turns(0, 5) == []


@pytest.mark.parametrize(
    ("seconds", "each", "concurrency", "expected"),
    [(0.5, 0.001, 64, 500), (0.5, 0.1, 64, 128), (60.0, 1e-6, 64, 50_000), (0.5, 0.0, 1, 50_000)],
)
def test_a_turn_is_filled_with_calls_within_bounds(
    seconds: float, each: float, concurrency: int, expected: int
) -> None:
    assert calls_for(seconds, each, concurrency) == expected


def _measured(system: str, cpu: float, case: str = "get", verb: str = "get") -> list[Measurement]:
    return [Measurement(case, system, verb, number, 100, cpu=cpu) for number in range(11)]


def test_values_are_in_the_unit_of_their_case_and_a_split_list_is_a_line_of_its_own() -> None:
    measurements = [
        *_measured("ddao_wire", 25e-6),
        Measurement("late_list", "ddao_wire", "list_split", 0, 1, wall=0.25),
    ]

    assert values_of(case_named("get"), measurements)["ddao_wire"][0] == pytest.approx(25.0)
    assert values_of(case_named("late_list"), measurements) == {"ddao_wire:split": {0: 0.25}}


@pytest.mark.parametrize(("median", "expected"), [(29.9, "MISSED"), (30.0, "must"), (44.9, "must"), (45.0, "good")])
def test_a_verdict_is_by_the_median(median: float, expected: str) -> None:
    assert target.verdict(Spread(median, 0, 99, 11), (30, 45)) == expected


def test_the_table_of_targets_names_what_missed_and_what_was_not_measured() -> None:
    measurements = [*_measured("ddao_wire", 20e-6), *_measured("aiobotocore", 1000e-6), *_measured("obstore", 60e-6)]
    lines = target.table(measurements).splitlines()

    assert "| 30 / 45 | 50.0 (50.0 to 50.0) | good | 3.5 / 5 | 3.00 (3.00 to 3.00) | MISSED |" in lines[2]
    assert lines[3].endswith("| 2.2 / 3.5 | – | – |")
    assert len([line for line in lines if line.startswith("| ")]) == 2 + 2 + len(target.ROWS) + len(target.BOUNDS)


def test_measurements_survive_their_json_lines() -> None:
    measurements = _measured("obstore", 0.00011)
    lines = ['{"machine": {}}', *map(report.line_of, measurements)]

    assert report.measurements_from(lines) == measurements


def test_a_table_quotes_each_competitor_against_the_wire_lane() -> None:
    measurements = [*_measured("obstore", 100e-6), *_measured("ddao_wire", 25e-6)]
    lines = report.table([case_named("get")], measurements, {"ddao_wire": "ours"}).splitlines()

    assert lines[4].startswith("| ours | 25.0")
    assert lines[5] == "| obstore | 100 (100 to 100) | 4.00 (4.00 to 4.00) | 11 |"
