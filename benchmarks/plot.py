"""A plot of a run, as SVG and PNG: one panel a case, medians as bars, quartiles as whiskers, logarithmic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .case import Case, Measurement
from .report import label_of, order_of
from .summary import Spread, spread, three_digits, values_of

OURS, THEIRS, CEILING = "#1b7f5c", "#8a94a6", "#c9a227"


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
    heights = [0.9 + 0.28 * len(found) for _, found in panels]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(9, sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    for (case, found), axis in zip(panels, axes[:, 0], strict=True):
        names = sorted(found, key=order_of, reverse=True)
        _panel(
            axis, case, [label_of(name, labels) for name in names], names, [spread(found[n].values()) for n in names]
        )
    paths = [target.with_suffix(".svg"), target.with_suffix(".png")]
    for path in paths:
        figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return paths


def _panel(axis: object, case: Case, labels: list[str], names: list[str], found: list[Spread]) -> None:
    axis.set_title(f"{case.title} ({case.unit}, less is better)", loc="left", fontsize=10)  # type: ignore[attr-defined]
    colours = [OURS if name.startswith("ddao") else CEILING if name == "echo" else THEIRS for name in names]
    medians = [value.median for value in found]
    whiskers = [[value.median - value.low for value in found], [value.high - value.median for value in found]]
    axis.barh(labels, medians, xerr=whiskers, color=colours, height=0.7, ecolor="#333333", capsize=2)  # type: ignore[attr-defined]
    axis.set_xscale("log")  # type: ignore[attr-defined]
    axis.margins(x=0.12)  # type: ignore[attr-defined]
    axis.tick_params(labelsize=8)  # type: ignore[attr-defined]
    axis.spines[["top", "right"]].set_visible(False)  # type: ignore[attr-defined]
    for at, value in enumerate(found):
        axis.annotate(
            three_digits(value.median), (value.high, at), (4, 0), textcoords="offset points", va="center", fontsize=8
        )  # type: ignore[attr-defined]
