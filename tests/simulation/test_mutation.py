"""Each mistake that protocol.md, section 9, lists is made in a copy of the engine, and must be found out."""

from __future__ import annotations

from itertools import chain

import pytest

from .build import Build, mutant
from .mutation import MUTATIONS
from .run import run

SEARCHED = 1500
"""Schedules tried where none of the seeds breaks any more, as the engine sends its requests in another order now."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_is_found_out(name: str):
    mutation = MUTATIONS[name]
    with mutant(mutation.edits) as build:
        tried = chain(mutation.seeds, range(SEARCHED))
        caught = next((seed for seed in tried if _breaks(build, mutation.scenario, seed)), None)

    assert caught is not None, f"search seeds: python -m tests.simulation --mutation {name} --schedules 20000"


def test_the_engine_without_a_mistake_breaks_at_none_of_these_schedules():
    build = Build()
    schedules = {(mutation.scenario, seed) for mutation in MUTATIONS.values() for seed in mutation.seeds}

    assert [schedule for schedule in sorted(schedules) if _breaks(build, *schedule)] == []


def _breaks(build: Build, scenario: str, seed: int) -> bool:
    try:
        run(build, scenario, seed)
    except Exception:
        return True
    return False
