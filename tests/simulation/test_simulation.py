"""
The engine under seeded schedules: crashes, lost answers, twins, stalls, leaps of the clock (protocol.md, section 9).

A failure names the scenario and the seed; `python -m tests.simulation --scenario NAME --seed N --trace` shows it again,
request by request. More schedules by hand: `python -m tests.simulation --hours 2`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .build import Build
from .run import run
from .scenario import SCENARIOS

ROOT = Path(__file__).parents[2]
BUILD = Build()
SCHEDULES = 250
"""Of each scenario; some 20 s in all on a quiet machine."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_schedule_breaks_an_invariant(name: str):
    for seed in range(SCHEDULES):
        try:
            run(BUILD, name, seed)
        except Exception as error:
            again = f"python -m tests.simulation --scenario {name} --seed {seed} --trace"
            raise AssertionError(f"{error}\nSee it again: {again}") from error


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_seed_is_a_run(name: str, capsys: pytest.CaptureFixture[str]):
    """Every request, fault and instant is the seed's: a failure can be had again."""
    traces = []
    for _ in range(2):
        run(BUILD, name, 17, trace=True)
        traces.append(capsys.readouterr().out)

    assert traces[0] == traces[1]
    assert traces[0]


def test_a_seed_is_a_run_in_every_process():
    """Nor does the order of sets, which differs from process to process, decide anything."""
    command = [sys.executable, "-m", "tests.simulation", "--scenario", "mixed", "--seed", "23", "--trace"]
    traces = [
        subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]

    assert traces[0].stdout == traces[1].stdout
