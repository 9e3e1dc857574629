"""What the library promises of its speed, row by row, and whether a run holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .case import Measurement, case_named
from .summary import Spread, quoted, ratio, spread, values_of

Goal = tuple[float, float]
"""Must, good."""


class Row(NamedTuple):
    """One promise: so many times less than aiobotocore, and than obstore, in one case."""

    title: str
    case: str
    ours: str
    aiobotocore: Goal
    obstore: Goal


class Bound(NamedTuple):
    """One promise of an absolute figure, or of a ratio to somebody else: at most, in the case's unit."""

    title: str
    case: str
    ours: str
    most: float
    against: str = ""


ROWS = (
    Row("`store.get` small, CPU", "get", "ddao_wire", (30, 45), (3.5, 5)),
    Row("`store.put` small, with metadata and checksum, CPU", "put", "ddao_wire", (20, 35), (2.2, 3.5)),
    Row("`store.put(if_none_match=True)`, CPU", "create", "ddao_wire", (20, 35), (2.2, 3.5)),
    Row("`store.head`, CPU", "head", "ddao_wire", (30, 45), (3, 4)),
    Row("`store.delete`, CPU", "delete", "ddao_wire", (30, 45), (3, 4)),
    Row("`repository.get` typed, CPU, against plain get", "get", "ddao_repository", (15, 25), (1.7, 2.5)),
    Row("`repository.insert` typed, CPU, against plain put", "put", "ddao_repository", (15, 25), (1.7, 2.5)),
    Row("TLS GET, CPU", "tls_get", "ddao_wire", (20, 30), (2.5, 3.5)),
    Row("TLS PUT, CPU", "tls_put", "ddao_wire", (20, 30), (2.5, 3.5)),
    Row("wall, 15 ms away, 256 at a time", "late_256", "ddao_wire", (15, 18), (1.4, 1.8)),
    Row("`list` of 100,000 keys, CPU", "list", "ddao_wire", (25, 35), (2, 3)),
    Row("the same, 20 ms away, known split x8, wall", "late_list", "ddao_wire:split", (20, 30), (5, 8)),
    Row("64 MiB `upload` over TLS, CPU", "tls_upload", "ddao_wire", (5, 8), (2, 3)),
    Row("64 MiB `upload` over plain HTTP, CPU", "upload", "ddao_wire", (5, 8), (2, 3)),
    Row("64 MiB read to a new buffer, CPU", "read", "ddao_wire", (1.5, 1.5), (1.1, 1.5)),
    Row("64 MiB streamed, CPU", "stream", "ddao_wire", (1.5, 1.5), (1.1, 1.5)),
)

BOUNDS = (
    Bound("`import ddao_async`, ms from process start", "import", "ddao_wire", 100),
    Bound("connect + first get against aioboto3's, times", "cold", "ddao_wire", 1 / 3, "aioboto3"),
    Bound("GET without uvloop against with, times", "get", "ddao_stock_loop", 1.5, "ddao_wire"),
    Bound("PUT without uvloop against with, times", "put", "ddao_stock_loop", 1.5, "ddao_wire"),
    Bound("20,000 documents poured in by `put_many`, MiB above the interpreter", "memory", "ddao_wire", 100),
    Bound("20,000 records by `insert_many`, MiB above the interpreter", "memory", "ddao_repository", 100),
)

CASES = tuple(dict.fromkeys(row.case for row in (*ROWS, *BOUNDS)))


def takers(case: str) -> set[str]:
    """Who must take part in a case for the table to be complete."""
    rows = [row for row in ROWS if row.case == case]
    bounds = [bound for bound in BOUNDS if bound.case == case]
    named = {row.ours.partition(":")[0] for row in (*rows, *bounds)} | {bound.against for bound in bounds}
    return (named | ({"aiobotocore", "obstore"} if rows else set())) - {""}


SYSTEMS = tuple(sorted(set().union(*map(takers, CASES))))


def verdict(found: Spread | None, goal: Goal) -> str:
    """`good`, `must` or `MISSED` by the median; `–` where it was not measured."""
    if found is None:
        return "–"
    return "good" if found.median >= goal[1] else "must" if found.median >= goal[0] else "MISSED"


def table(measurements: Sequence[Measurement]) -> str:
    """The promises and what was measured, as Markdown."""
    lines = [
        "| times less than | aiobotocore: must / good | measured (quartiles) | | obstore: must / good | measured | |",
        "| --- | ---: | ---: | --- | ---: | ---: | --- |",
    ]
    for row in ROWS:
        values = values_of(case_named(row.case), measurements)
        ours = values.get(row.ours, {})
        cells: list[str] = []
        for rival, goal in (("aiobotocore", row.aiobotocore), ("obstore", row.obstore)):
            found = ratio(values.get(rival, {}), ours)
            cells += [f"{goal[0]:g} / {goal[1]:g}", quoted(found) if found else "–", verdict(found, goal)]
        lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_bounds(measurements)])


def _bounds(measurements: Sequence[Measurement]) -> list[str]:
    lines = ["| at most | bound | measured (quartiles) | |", "| --- | ---: | ---: | --- |"]
    for bound in BOUNDS:
        values = values_of(case_named(bound.case), measurements)
        ours = values.get(bound.ours, {})
        found = spread(ours.values()) if ours else None
        if bound.against:
            found = ratio(ours, values.get(bound.against, {}))
        said = "–" if found is None else "held" if found.median <= bound.most else "MISSED"
        lines.append(f"| {bound.title} | {bound.most:.3g} | {quoted(found) if found else '–'} | {said} |")
    return lines
