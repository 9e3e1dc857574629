"""
Mistakes made on purpose, one for each that protocol.md, section 9, says a test must catch.

Each is a few edits of the engine's source (`build.Edit`) and the scenario that finds it out, with seeds that do.
`python -m tests.simulation --mutation NAME` searches others.
"""

from __future__ import annotations

from dataclasses import dataclass

from .build import Edit


@dataclass(frozen=True)
class Mutation:
    """
    A mistake.

    Attributes:
        edits: What makes it.
        scenario: Where it shows.
        seeds: Schedules of that scenario that break by it.
    """

    edits: list[Edit]
    scenario: str
    seeds: tuple[int, ...] = ()


MUTATIONS: dict[str, Mutation] = {}
