"""
The order of a run: for each case, rounds; in each round every competitor once, a different one first each time.

Competitors of one setting stay open over its cases: an idle process costs the others nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from .case import Case, Measurement
from .contestant import Contestant, Failed, start_seconds
from .place import Place
from .systems import System

Say = Callable[[str], None]

SLOW_SECONDS = 3.0


class Plan(NamedTuple):
    """
    How much is measured.

    Attributes:
        rounds: Turns of each competitor in each case.
        seconds: The length of a turn, where the number of calls is not fixed.
        poured: Documents of the memory case.
        slow_every: A competitor whose turn takes longer than `SLOW_SECONDS` takes every so many of its turns.
    """

    rounds: int
    seconds: float
    poured: int
    slow_every: int = 1


class Entrant(NamedTuple):
    """A competitor and the Python that has it."""

    system: System
    python: Path


def measure(
    cases: Sequence[Case],
    entrants: Sequence[Entrant],
    place: Place,
    plan: Plan,
    log: Path,
    say: Say,
    takes_part: Callable[[Case, str], bool],
) -> Iterator[Measurement]:
    """
    Run cases of one setting at its place, a round at a time.

    Args:
        log: What the competitors' processes say on stderr is appended here.
        say: Gets a line about each case, and about who is left out.
        takes_part: Whether a competitor, by name, is measured in a case.
    """
    fresh = [case for case in cases if case.metric in ("start", "memory")]
    with ExitStack() as stack:
        open_ones: list[Contestant] = []
        for entrant in entrants:
            if not any(takes_part(case, entrant.system.name) for case in cases if case not in fresh):
                continue
            contestant = Contestant(entrant.system, entrant.python, place, log)
            try:
                open_ones.append(stack.enter_context(contestant))
            except Failed as failure:
                say(f"{entrant.system.name} is left out: it {failure}")
        for case in cases:
            if case not in fresh:
                say(case.title)
                able = [each for each in open_ones if takes_part(case, each.system.name)]
                yield from _timed(case, able, plan, say)
    for case in fresh:
        say(case.title)
        able = [each for each in entrants if takes_part(case, each.system.name)]
        yield from _fresh(case, able, place, plan, log, say)


def turns(count: int, round_number: int) -> list[int]:
    """Who goes when: everybody once, beginning one further each round."""
    first = round_number % count if count else 0
    return [*range(first, count), *range(first)]


def calls_for(seconds: float, seconds_per_call: float, concurrency: int) -> int:
    """Calls that fill a turn: at least two for each that is in flight, and no more than 50,000."""
    return max(2 * concurrency, min(50_000, int(seconds / max(seconds_per_call, 1e-7))))


def _timed(case: Case, contestants: Sequence[Contestant], plan: Plan, say: Say) -> Iterator[Measurement]:
    """Rounds of a case over open clients. The first, unmeasured turn tells how many calls fill a turn."""
    lanes: list[tuple[Contestant, str, int, int]] = []
    for contestant in contestants:
        for verb in case.verbs:
            if verb in contestant.verbs:
                try:
                    lanes.append((contestant, verb, *_warm(case, contestant, verb, plan)))
                except Failed as failure:
                    say(f"  {contestant.label} is left out of {verb}: {failure}")
    for number in range(plan.rounds):
        for at in turns(len(lanes), number):
            contestant, verb, count, every = lanes[at]
            if number % every:
                continue
            try:
                measured = contestant.run(verb, count, case.concurrency)
            except Failed as failure:
                say(f"  {contestant.label} failed in round {number}: {failure}")
                continue
            cpu, wall = measured["cpu"] / count, measured["wall"] / count
            yield Measurement(
                case.name, contestant.system.name, verb, number, count, cpu, wall, int(measured["memory"])
            )


def _warm(case: Case, contestant: Contestant, verb: str, plan: Plan) -> tuple[int, int]:
    """Open the connections and take a first measure: the calls of a turn, and every how many rounds there is one."""
    first = case.counted or 2 * case.concurrency
    for _ in range(1 if case.counted else 2):
        measured = contestant.run(verb, first, case.concurrency)
    if case.counted:
        return case.counted, plan.slow_every if measured["wall"] > SLOW_SECONDS else 1
    return calls_for(plan.seconds, measured["wall"] / first, case.concurrency), 1


def _fresh(
    case: Case, entrants: Sequence[Entrant], place: Place, plan: Plan, log: Path, say: Say
) -> Iterator[Measurement]:
    """Rounds of a case that wants a new process each time."""
    able = [entrant for entrant in entrants if entrant.system.name not in ("echo", "ddao_stock_loop")]
    rounds = plan.rounds if case.metric == "start" else (plan.rounds + 8) // 9  # memory is much the same each time
    for number in range(rounds):
        for at in turns(len(able), number):
            entrant = able[at]
            name = entrant.system.name
            try:
                if case.metric == "memory":
                    yield _poured(case, entrant, place, plan, number, log)
                else:
                    seconds = start_seconds(_command(case, entrant, place), place)
                    yield Measurement(case.name, name, case.verbs[0], number, 1, start=seconds)
            except Failed as failure:
                say(f"  {name} is left out of {case.name}: {failure}")
                able = [other for other in able if other is not entrant]
                break


def _command(case: Case, entrant: Entrant, place: Place) -> list[str | Path]:
    if case.name == "import":
        return [entrant.python, "-c", f"import {entrant.system.imports}, time; print(time.monotonic())"]
    return [entrant.python, "-m", "benchmarks.cold", entrant.system.name, *place[:7]]


def _poured(case: Case, entrant: Entrant, place: Place, plan: Plan, number: int, log: Path) -> Measurement:
    with Contestant(entrant.system, entrant.python, place, log) as contestant:
        if "insert" not in contestant.verbs:
            raise Failed("has no insert")
        measured = contestant.run("pour", plan.poured, case.concurrency)
    count = plan.poured
    cpu, wall = measured["cpu"] / count, measured["wall"] / count
    return Measurement(case.name, entrant.system.name, "pour", number, count, cpu, wall, int(measured["memory"]))


def to_stderr(line: str) -> None:
    """Where progress goes: results are on stdout."""
    print(line, file=sys.stderr, flush=True)
