"""What bends the misfortune of a run towards what its scenario is about."""

from __future__ import annotations

import random
from collections.abc import Callable

from .misfortune import MINUTE, Leap, Misfortune

Focus = Callable[[Misfortune, random.Random], None]


def lost_update(plan: Misfortune, rng: random.Random) -> None:
    """The second client's first write of `a` arrives late."""
    plan.victim, plan.aim, plan.budget, plan.chance = 1, "/objects/a", 1, 0.9
    plan.fates, plan.crash, plan.twin, plan.sticky = (0.0, 1.0), 0.0, 0.15, rng.choice((0.0, 0.5))


def lost_decision(plan: Misfortune, rng: random.Random) -> None:
    """Lose the decision while the reader sleeps."""
    if rng.random() < 0.6:
        plan.aim, plan.budget, plan.chance, plan.frozen = "_transactions/", 2, 0.5, None
        plan.fates, plan.crash, plan.twin = (0.0, 1.0), 0.0, rng.choice((0.02, 0.08))


def quick_changes(plan: Misfortune, rng: random.Random) -> None:
    """Whoever does not stand still goes on: the others get far in between."""
    plan.sticky, plan.budget = rng.choice((0.0, 0.3)), rng.choice((0, 0, 1))


def late_twin(part: str) -> Focus:
    """A write of one key lands late, or once more."""

    def focus(plan: Misfortune, rng: random.Random) -> None:
        if rng.random() < 0.4:
            plan.aim, plan.budget, plan.chance = part, 1, 0.5
            plan.fates, plan.crash, plan.twin = (0.0, 1.0), 0.0, rng.choice((0.08, 0.25))

    return focus


def late_under_new_index(plan: Misfortune, rng: random.Random) -> None:
    """A write lands late, and the copy of `_state.json` that it was made by is old."""
    late_twin("/objects/a")(plan, rng)
    plan.leap = Leap(rng.choice((0.05, 0.15, 0.3)), (0.5 * MINUTE, MINUTE, 2 * MINUTE))


def small_leaps(plan: Misfortune, rng: random.Random) -> None:
    """Minutes only: who sleeps for most of an hour wakes up again within it."""
    plan.leap = Leap(rng.choice((0.0, 0.02, 0.05)), (0.5 * MINUTE, 2 * MINUTE, 5 * MINUTE))


def sometimes_small_leaps(plan: Misfortune, rng: random.Random) -> None:
    """Minutes only, in some of the runs."""
    if rng.random() < 0.4:
        small_leaps(plan, rng)


def quiet(plan: Misfortune, rng: random.Random) -> None:
    """The clock moves by sleeping only, and whoever does not stand still goes on."""
    plan.leap, plan.hold, plan.late = Leap(), 0.0, 0.0
    plan.budget, plan.sticky = rng.choice((0, 0, 1)), rng.choice((0.0, 0.5))
