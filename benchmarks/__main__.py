"""
Compare ddao_async with the other ways to reach S3 from Python, against any server.

    python -m benchmarks                                  MinIO of docker-compose.yml, everything
    python -m benchmarks --server null --quick            two minutes, nothing needed but the extra `bench`
    python -m benchmarks --server rclone                  rclone's own S3 server over memory
    python -m benchmarks --server 's3://bucket?endpoint=http://HOST:PORT&region=us-east-1'
    python -m benchmarks --targets --server null          the promised ratios, and whether they hold

Credentials for a connection string: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else those of docker-compose.yml.
What is written there is below ddao-benchmarks/ of its prefix, and removed afterwards with all that is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from ddao_async.errors import DDAOError

from . import plot, report, server, target
from .case import CASES, Case, Measurement
from .contestant import ROOT, Failed, introduction
from .environment import default_folder, install, interpreter
from .rounds import Entrant, Plan, measure, to_stderr
from .systems import SYSTEMS

AIOBOTOCORE_WITHIN = ("ddao_botocore", "aioboto3", "s3fs")
"""Slow, and told apart by little: left out of a quick run unless they are asked for."""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--server", default=server.MINIO, help="null, rclone or a connection string (default: %(default)s)")
    add(
        "--quick",
        action="store_true",
        help="about two minutes: 3 short rounds, 10,000 keys, without who is aiobotocore within",
    )
    add("--targets", action="store_true", help="only what the promised ratios need, and their table")
    add("--cases", type=_names, metavar="A,B", help=f"only these of {', '.join(case.name for case in CASES)}")
    add("--systems", type=_names, metavar="A,B", help=f"only these of {', '.join(each.name for each in SYSTEMS)}")
    add("--rounds", type=int, help="turns of each competitor in each case (default 11; quick: 3)")
    add("--seconds", type=float, help="length of a turn where calls are small (default 0.4; quick: 0.1)")
    add("--keys", type=int, help="keys to list (default 100,000; quick and real servers: 10,000)")
    add("--documents", type=int, help="documents of the memory case (default 20,000; quick: 1,000)")
    add(
        "--environments",
        type=Path,
        default=default_folder(),
        help="where competitors' own environments are (%(default)s)",
    )
    add("--install", action="store_true", help="make the environments that are missing, by pip")
    add("--output", type=Path, default=ROOT / "benchmarks" / "results", help="default: %(default)s")
    add("--name", default="", help="of the result files (default: null, rclone or server)")
    add("--report", type=Path, metavar="FILE", help="measure nothing: tables and plots from a run's JSON lines")
    arguments = parser.parse_args(given)
    _complain(parser, arguments)
    return arguments


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _complain(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    for option, valid in (("cases", [case.name for case in CASES]), ("systems", [each.name for each in SYSTEMS])):
        unknown = set(getattr(arguments, option) or ()) - set(valid)
        if unknown:
            parser.error(f"--{option}: no {', '.join(sorted(unknown))}; there are {', '.join(valid)}")
    if arguments.server not in ("null", "rclone") and not arguments.server.startswith("s3://"):
        parser.error(f"--server: null, rclone or s3://BUCKET?endpoint=..., not {arguments.server!r}")


def _chosen_cases(arguments: argparse.Namespace) -> list[Case]:
    wanted = arguments.cases or (target.CASES if arguments.targets else [case.name for case in CASES])
    chosen = [case for case in CASES if case.name in wanted]
    able = [case for case in chosen if server.is_served(arguments.server, case.setting)]
    if len(able) < len(chosen):
        left_out = ", ".join(case.name for case in chosen if case not in able)
        to_stderr(f"Left out, as they need a server that is slow or speaks TLS on demand (--server null): {left_out}")
    return able


def _entrants(arguments: argparse.Namespace) -> list[Entrant]:
    everybody = [each.name for each in SYSTEMS if not (arguments.quick and each.name in AIOBOTOCORE_WITHIN)]
    wanted = arguments.systems or (target.SYSTEMS if arguments.targets else everybody)
    found: list[Entrant] = []
    for system in SYSTEMS:
        if system.name not in wanted or (system.name == "echo" and arguments.server != "null"):
            continue
        python = interpreter(system, arguments.environments)
        if python is None and arguments.install:
            to_stderr(f"Installing {system.package} into {arguments.environments / system.name}")
            try:
                python = install(system, arguments.environments)
            except subprocess.CalledProcessError as failure:
                to_stderr(f"{system.name} could not be installed: {failure}")
        if python is None:
            to_stderr(f"{system.name} is left out: not installed (--install makes an environment for it)")
        else:
            found.append(Entrant(system, python))
    return found


def _plan(arguments: argparse.Namespace) -> tuple[Plan, int]:
    quick, null = arguments.quick, arguments.server == "null"
    plan = Plan(
        rounds=arguments.rounds or (3 if quick else 11),
        seconds=arguments.seconds or (0.1 if quick else 0.4),
        poured=arguments.documents or (1_000 if quick else 20_000),
        slow_every=1 if arguments.targets else 3,
    )
    return plan, arguments.keys or (100_000 if null and not quick else 10_000)


def _run(arguments: argparse.Namespace, path: Path) -> list[Measurement]:
    """Measure, one server setting after the other; every measurement is written as it comes."""
    plan, keys = _plan(arguments)
    cases, entrants = _chosen_cases(arguments), _entrants(arguments)
    measurements: list[Measurement] = []

    def takes_part(case: Case, name: str) -> bool:
        return not arguments.targets or name in target.takers(case.name)

    with tempfile.TemporaryDirectory() as scratch, path.open("w") as lines:
        about = {"machine": report.machine(), "server": arguments.server.partition("?")[0], "keys": keys}
        about |= {**plan._asdict(), "command": " ".join(["python -m benchmarks", *sys.argv[1:]])}
        entrants = _introduced(entrants, about)
        lines.write(json.dumps(about) + "\n")
        for setting, group in groupby(sorted(cases, key=lambda case: case.setting), key=lambda case: case.setting):
            with ExitStack() as stack:
                place = stack.enter_context(server.serving(arguments.server, setting, keys, Path(scratch)))
                if arguments.server != "null":
                    stack.enter_context(server.filled(place, keys, create_bucket=arguments.server == "rclone"))
                log = path.with_suffix(".log")
                for measured in measure(list(group), entrants, place, plan, log, to_stderr, takes_part):
                    measurements.append(measured)
                    lines.write(report.line_of(measured) + "\n")
                    lines.flush()
    return measurements


def _introduced(entrants: list[Entrant], about: dict[str, Any]) -> list[Entrant]:
    """Those that can be imported; their labels and versions go into `about`."""
    able: list[Entrant] = []
    about |= {"labels": {}, "versions": {}}
    for entrant in entrants:
        name = entrant.system.name
        try:
            said = introduction(entrant.system, entrant.python)
        except Failed as failure:
            to_stderr(f"{name} is left out: {failure}")
            continue
        about["labels"][name], about["versions"][name] = said["label"], said["versions"]
        able.append(entrant)
    return able


def _show(arguments: argparse.Namespace, path: Path) -> None:
    """Tables to stdout and into a file, plots beside it: all from the JSON lines."""
    lines = path.read_text().splitlines()
    about, measurements = json.loads(lines[0]), report.measurements_from(lines[1:])
    labels = about["labels"]
    if arguments.targets:
        shown = target.table(measurements)
    else:
        shown = f"{report.overview(CASES, measurements, labels)}\n\n{report.table(CASES, measurements, labels)}"
    text = f"{report.heading(about)}\n\n{shown}\n"
    print(text)
    path.with_suffix(".md").write_text(text)
    try:
        drawn = plot.draw(CASES, measurements, labels, path)
    except ImportError as missing:
        to_stderr(f"No plots: {missing}. The extra `bench` brings matplotlib.")
        drawn = []
    for written in (path, path.with_suffix(".md"), *drawn):
        to_stderr(f"wrote {written}")


def main(given: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 1 if nothing could be measured."""
    arguments = _arguments(given)
    if arguments.report:
        _show(arguments, arguments.report)
        return 0
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = arguments.name or (arguments.server if arguments.server in ("null", "rclone") else "server")
    path = arguments.output / f"{name}{'-targets' if arguments.targets else ''}.jsonl"
    try:
        measurements = _run(arguments, path)
    except DDAOError as failure:
        to_stderr(f"{arguments.server} cannot be used: {failure}")
        return 1
    if not measurements:
        to_stderr("Nothing was measured.")
        return 1
    _show(arguments, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
