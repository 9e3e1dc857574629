"""Each mistake that protocol.md, section 9, lists is made in a copy of the engine, and must be found out."""

from __future__ import annotations

import pytest

from .build import mutant
from .mutation import MUTATIONS
from .run import run


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_is_found_out(name: str):
    mutation = MUTATIONS[name]
    with mutant(mutation.edits) as build:
        caught = [seed for seed in mutation.seeds if _breaks(build, mutation.scenario, seed)]

    assert caught, f"search other seeds: python -m tests.simulation --mutation {name}"


def _breaks(build, scenario: str, seed: int) -> bool:
    try:
        run(build, scenario, seed)
    except Exception:
        return True
    return False
