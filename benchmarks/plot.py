"""A plot of a run, as SVG and PNG: one panel a case, medians as bars from zero, quartiles as whiskers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .case import Case, Measurement
from .report import label_of, order_of
from .summary import spread, three_digits, values_of

OURS, THEIRS, CEILING = "#1b7f5c", "#8a94a6", "#c9a227"
COLUMNS = 2


def draw(
    cases: Sequence[Case], measurements: Sequence[Measurement], labels: dict[str, str], target: Path
) -> list[Path]:
    """
    Draw `target`.svg and `target`.png.

    Raises:
        ImportError: matplotlib is missing (the extra `bench` brings it).
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(case, found) for case in cases if (found := values_of(case, measurements))]
    if not panels:
        return []
    rows = -(-len(panels) // COLUMNS)
    heights = [
        0.9 + 0.25 * max(len(found) for _, found in panels[COLUMNS * row : COLUMNS * (row + 1)]) for row in range(rows)
    ]
    figure, axes = pyplot.subplots(
        rows, COLUMNS, figsize=(13, sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    for axis, panel in zip(axes.flat, [*panels, *[None] * (rows * COLUMNS - len(panels))], strict=True):
        if panel is None:
            axis.set_axis_off()
        else:
            _draw_panel(axis, *panel, labels)
    paths = [target.with_suffix(".svg"), target.with_suffix(".png")]
    for path in paths:
        figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return paths


def _draw_panel(axis: Any, case: Case, values: dict[str, dict[int, float]], labels: dict[str, str]) -> None:
    names = sorted(values, key=order_of, reverse=True)
    found = [spread(values[name].values()) for name in names]
    axis.set_title(f"{case.title} ({case.unit}, less is better)", loc="left", fontsize=9)
    axis.barh(
        [label_of(name, labels) for name in names],
        [each.median for each in found],
        xerr=[[each.median - each.low for each in found], [each.high - each.median for each in found]],
        color=[OURS if name.startswith("ddao") else CEILING if name == "echo" else THEIRS for name in names],
        height=0.7,
        ecolor="#333333",
        capsize=2,
    )
    axis.set_xlim(0, max(each.high for each in found) * 1.12)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    for at, each in enumerate(found):
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
        axis.annotate(three_digits(each.median), (each.high, at), **place)
