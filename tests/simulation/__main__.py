"""
The simulation by hand.

    python -m tests.simulation --schedules 20000                     every scenario, so many schedules in all
    python -m tests.simulation --hours 2                             until the time is over, new seeds each time
    python -m tests.simulation --scenario takeover --seed 17 --trace one schedule again, each request printed
    python -m tests.simulation --mutation no_fence                   search seeds that catch a planted mistake
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from .build import Build, mutant
from .mutation import MUTATIONS
from .run import run
from .scenario import SCENARIOS

CHUNK = 50


def failures(job: tuple[str, int, int, str | None]) -> list[tuple[str, int, str]]:
    """The seeds of one scenario that break something, in a process of its own."""
    name, first, number, mutation = job
    if mutation is None:
        return _failures(Build(), name, range(first, first + number))
    with mutant(MUTATIONS[mutation].edits) as build:
        return _failures(build, name, range(first, first + number))


def _failures(build: Build, name: str, seeds: range) -> list[tuple[str, int, str]]:
    found = []
    for seed in seeds:
        try:
            run(build, name, seed)
        except Exception as error:
            found.append((name, seed, f"{type(error).__name__}: {error}"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.split("\n")[1])
    parser.add_argument("--scenario", choices=list(SCENARIOS), action="append")
    parser.add_argument("--seed", type=int, help="run one schedule; the first one otherwise")
    parser.add_argument("--trace", action="store_true", help="print every request")
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mutation", choices=list(MUTATIONS))
    arguments = parser.parse_args()
    if arguments.trace:
        return trace(arguments)
    names = arguments.scenario or list(SCENARIOS)
    if arguments.mutation and not arguments.scenario:
        names = [MUTATIONS[arguments.mutation].scenario]
    began, done, broken = time.monotonic(), 0, []
    first = arguments.seed or 0
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for number in count():
            if arguments.hours is None and done >= arguments.schedules:
                break
            if arguments.hours is not None and time.monotonic() - began > arguments.hours * 3600:
                break
            jobs = [
                (name, first + (number * arguments.jobs + share) * CHUNK, CHUNK, arguments.mutation)
                for name in names
                for share in range(arguments.jobs)
            ]
            done += CHUNK * len(jobs)
            for found in pool.map(failures, jobs):
                for name, seed, why in found:
                    broken.append(seed)
                    print(f"{name} --seed {seed}: {why}", flush=True)
            if arguments.mutation and broken:
                break
    seconds = time.monotonic() - began
    print(f"{done} schedules, {len(broken)} broken, {seconds:.0f} s ({1000 * seconds / max(1, done):.1f} ms each)")
    return int(bool(broken))


def trace(arguments: argparse.Namespace) -> int:
    """One schedule, aloud."""
    name = (arguments.scenario or [MUTATIONS[arguments.mutation].scenario])[0]
    if arguments.mutation is None:
        run(Build(), name, arguments.seed or 0, trace=True)
    else:
        with mutant(MUTATIONS[arguments.mutation].edits) as build:
            run(build, name, arguments.seed or 0, trace=True)
    print("nothing broke")
    return 0


if __name__ == "__main__":
    sys.exit(main())
