"""What a run leaves behind: JSON lines of every round, and a Markdown table of medians with their spread."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .case import Case, Measurement
from .contestant import ROOT
from .summary import quoted, ratio, spread, values_of
from .systems import SYSTEMS

OURS = "ddao_wire"
"""Whom the ratios of the table compare with."""


def machine() -> dict[str, Any]:
    """What a figure means nothing without: processor, system, Python, the commit, the time, the load."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "processor": next(
            (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor()
        ),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
    }


def heading(about: dict[str, Any]) -> str:
    """The command, the machine and the versions that the figures below it belong to."""
    found = about["machine"]
    versions = {name: version for each in about["versions"].values() for name, version in each.items()}
    named = {
        system.name: each.get(system.package) for system in SYSTEMS if (each := about["versions"].get(system.name))
    }
    for system in SYSTEMS:
        if named.get(system.name):
            versions[system.package] = named[system.name]
    return (
        f"`{about['command']}`, {found['time']}, commit {found['commit']}: {about['rounds']} interleaved rounds, "
        f"{about['keys']:,} keys to list; {found['cores']} cores, {found['processor']}, {found['system']}, "
        f"load {found['load']:.1f} at the start.\n\n"
        + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        + "."
    )


def line_of(measured: Measurement) -> str:
    """One measurement as one JSON line."""
    return json.dumps(measured._asdict())


def measurements_from(lines: Iterable[str]) -> list[Measurement]:
    """What `line_of` wrote; the first line of a file tells of the machine and is passed over."""
    values = [json.loads(line) for line in lines if line.strip()]
    return [Measurement(**value) for value in values if "case" in value]


def label_of(who: str, labels: dict[str, str]) -> str:
    """How a competitor is called in tables and plots."""
    name, _, more = who.partition(":")
    return labels.get(name, name) + (", known split x8" if more else "")


def order_of(who: str) -> int:
    """Competitors stand in tables as they stand in `systems`."""
    names = [system.name for system in SYSTEMS]
    return 2 * names.index(who.partition(":")[0]) + (":" in who)


def table(cases: Sequence[Case], measurements: Sequence[Measurement], labels: dict[str, str]) -> str:
    """One Markdown table a case: median, quartiles, and how many times what ddao_async's wire lane takes."""
    parts: list[str] = []
    for case in cases:
        values = values_of(case, measurements)
        if not values:
            continue
        rows = [
            f"### {case.title}",
            "",
            f"| | {case.unit}: median (quartiles) | times ddao_async | rounds |",
            "| --- | ---: | ---: | ---: |",
        ]
        for who in sorted(values, key=order_of):
            times = ratio(values[who], values[OURS]) if OURS in values else None
            found = spread(values[who].values())
            rows.append(
                f"| {label_of(who, labels)} | {quoted(found)} | {quoted(times) if times else '–'} | {found.rounds} |"
            )
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def overview(cases: Sequence[Case], measurements: Sequence[Measurement], labels: dict[str, str]) -> str:
    """All cases in one Markdown table, a column each competitor: medians only."""
    values = {case.name: values_of(case, measurements) for case in cases}
    everybody = sorted({who for found in values.values() for who in found}, key=order_of)
    head = "| | " + " | ".join(label_of(who, labels) for who in everybody) + " |"
    rows = [head, "| --- |" + " ---: |" * len(everybody)]
    for case in cases:
        found = values[case.name]
        cells = [quoted(spread(found[who].values())._replace(rounds=1)) if who in found else "" for who in everybody]
        if any(cells):
            rows.append(f"| {case.title}, {case.unit} | " + " | ".join(cells) + " |")
    return "\n".join(rows)
