"""What goes wrong in one run, as values; all of it drawn from the run's random source."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True)
class Leap:
    """How the clock moves between steps: a chance for each step, and by how many seconds."""

    chance: float = 0.0
    seconds: tuple[float, ...] = (0.5,)


@dataclass
class Misfortune:
    """What goes wrong in one run."""

    budget: int = 0
    chance: float = 0.0
    aim: str | None = None
    """Faults hit keys with this part only."""
    victim: int | None = None
    """Faults hit this client only."""
    fates: tuple[float, float] = (0.45, 0.45)
    """Of the writes without an answer: the share that was applied, and that becomes a twin."""
    crash: float = 0.35
    """Share of the faults that are the client's last."""
    twin: float = 0.08
    """Chance of each step that a twin lands."""
    sticky: float = 0.5
    """How often the same client goes on."""
    frozen: int | None = None
    freeze: tuple[int, int] = (0, 0)
    leap: Leap = field(default_factory=Leap)
    hold: float = 0.0
    late: float = 0.0
    busy: float = 0.0
    """Share of requests answered 503 or 409."""


def drawn(rng: random.Random, *, has_claims: bool, is_timed: bool) -> Misfortune:
    """What goes wrong in this run: faults at some keys, a client that freezes, a clock that leaps."""
    plan = Misfortune(
        budget=rng.choice((0, 0, 1, 1, 2, 2, 3, 4)),
        chance=rng.choice((0.03, 0.06, 0.12)),
        aim=rng.choice((None, None, "_transactions/", "/objects/", "/_uniques/" if has_claims else None)),
        fates=rng.choice(((0.45, 0.45), (0.45, 0.45), (0.0, 1.0), (1.0, 0.0))),
        crash=rng.choice((0.35, 0.35, 0.0, 0.8)),
        twin=rng.choice((0.02, 0.08, 0.08, 0.25)),
        sticky=rng.choice((0.0, 0.5, 0.85, 0.95)),
        frozen=rng.choice((None, None, 0, 1, 2)),
        freeze=(rng.randrange(40), rng.randrange(20, 120)),
        busy=rng.choice((0.0, 0.0, 0.0, 0.1)),
    )
    if plan.aim:
        plan.chance = 0.3
    if is_timed:
        minutes = rng.choice(((0.5, 2, 5), (0.5, 2, 14, 17), (0.5, 2, 10, 17, 30, 1500), (2, 10, 40, 1500)))
        plan.leap = Leap(rng.choice((0.02, 0.05, 0.15)), tuple(m * MINUTE for m in minutes))
        plan.hold = rng.choice((0.0, 0.02, 0.1))
        plan.late = rng.choice((0.0, 0.02, 0.1))
    else:
        plan.leap = Leap(rng.choice((0.0, 0.02)), (0.5, 3.0, 11.0))
    return plan


def stalls(rng: random.Random) -> dict[int, int]:
    """Points where a client stands still, so that the others get far meanwhile."""
    if rng.random() < 0.5:
        return {}
    return {rng.randrange(1, 16): rng.randrange(3, 40) for _ in range(rng.randrange(1, 4))}
