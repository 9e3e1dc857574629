"""
How many requests to have in flight at a store that says, or shows, when it has enough of them. Pure.

Additive increase, multiplicative decrease: each answer raises the limit a little (by one for each round of answers; at
the start by one for each answer, until the first sign of trouble), a refusal halves it, and answers that take much
longer than the best ones cut it by a tenth. One cut answers for all that was in flight when it was made.

    limit  ▁▂▃▅▇█▄▄▅▅▆▆▇▇█▄▄▅▅
                ↑503       ↑503
"""

from __future__ import annotations

import msgspec

REFUSED = 0.5
"""What is left of the limit after a refusal."""

SLOW = 0.9
"""What is left of it when answers became slow."""

SLOW_RATIO = 4.0
SLOW_SECONDS = 0.1
"""Answers are slow when they take this many times the best, and this much more: what a busy client adds is no sign."""

_SMOOTHING = 0.05
_FORGETTING = 1.0005
"""The best time of an answer rises by this with every answer, so that a lucky one does not count for ever."""


class Pace(msgspec.Struct, frozen=True):
    """
    The limit, and what it rests on.

    Attributes:
        limit: Requests in flight; whole ones count.
        ceiling: The most it may become; 1 is the least.
        is_starting: No sign of trouble yet.
        usual: How long an answer takes, smoothed, in seconds; 0 before the first.
        best: How long one takes that waits for nobody.
        held_until: No cut before this instant.
    """

    limit: float
    ceiling: int
    is_starting: bool = True
    usual: float = 0.0
    best: float = 0.0
    held_until: float = 0.0


def begun(ceiling: int, *, start: int = 8) -> Pace:
    """The pace to begin with."""
    return Pace(float(min(start, ceiling)), ceiling)


def answered(pace: Pace, seconds: float, now: float) -> Pace:
    """
    The pace after one answer.

    Args:
        seconds: How long it took, repetitions included.
        now: The instant, by any clock that never goes back.
    """
    usual = seconds if pace.usual == 0.0 else pace.usual + _SMOOTHING * (seconds - pace.usual)
    best = seconds if pace.best == 0.0 else min(pace.best * _FORGETTING, seconds)
    limit, is_starting, held_until = pace.limit, pace.is_starting, pace.held_until
    if usual > best * SLOW_RATIO and usual > best + SLOW_SECONDS:
        if now >= held_until:
            limit, is_starting, held_until = max(1.0, limit * SLOW), False, now + usual
    elif limit < pace.ceiling:
        limit = min(float(pace.ceiling), limit + (1.0 if is_starting else 1.0 / limit))
    return Pace(limit, pace.ceiling, is_starting, usual, best, held_until)


def refused(pace: Pace, now: float) -> Pace:
    """The pace after the store refused a request for lack of capacity."""
    if now < pace.held_until:
        return pace
    limit, hold = max(1.0, pace.limit * REFUSED), max(pace.usual, 0.001)
    return msgspec.structs.replace(pace, limit=limit, is_starting=False, held_until=now + hold)


def widened(pace: Pace, ceiling: int) -> Pace:
    """The same pace under another ceiling."""
    return msgspec.structs.replace(pace, ceiling=ceiling, limit=min(pace.limit, float(ceiling)))
