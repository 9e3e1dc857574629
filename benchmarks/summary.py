"""
Medians and spread over rounds, and ratios taken within each round. Pure.

A round is one turn of each competitor, one after the other: what slows the machine for seconds slows both sides of a
ratio taken within a round, so the median of ratios is steadier than the ratio of medians.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median, quantiles
from typing import NamedTuple

from .case import Case, Measurement


class Spread(NamedTuple):
    """A median and the quartiles around it, over `rounds` rounds."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Iterable[float]) -> Spread:
    """
    Median and quartiles; of one or two values, their extremes.

    Raises:
        ValueError: No values.
    """
    found = sorted(values)
    if not found:
        raise ValueError("no values")
    if len(found) < 3:
        return Spread(median(found), found[0], found[-1], len(found))
    low, _, high = quantiles(found, n=4, method="inclusive")
    return Spread(median(found), low, high, len(found))


def values_of(case: Case, measurements: Iterable[Measurement]) -> dict[str, dict[int, float]]:
    """What a case quotes, by competitor and round, in the case's unit."""
    found: dict[str, dict[int, float]] = {}
    for measured in measurements:
        if measured.case == case.name:
            found.setdefault(measured.who, {})[measured.round] = getattr(measured, case.metric) / case.scale
    return found


def ratio(theirs: Mapping[int, float], ours: Mapping[int, float]) -> Spread | None:
    """How many times less ours is, by rounds that both took part in; None if there is none."""
    shared = [theirs[number] / ours[number] for number in theirs if ours.get(number)]
    return spread(shared) if shared else None


def three_digits(value: float) -> str:
    """A figure as it is quoted: three digits, no more."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}"


def quoted(found: Spread) -> str:
    """`23.1 (22.8 to 23.9)`; the bare median where one round is all there is."""
    if found.rounds == 1:
        return three_digits(found.median)
    return f"{three_digits(found.median)} ({three_digits(found.low)} to {three_digits(found.high)})"
