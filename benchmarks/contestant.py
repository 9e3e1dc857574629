"""The parent's side of one competitor's process: start it, ask it, end it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Self

from .place import Place
from .systems import System

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300.0
"""Seconds that one answer may take before the process is ended."""


class Failed(Exception):
    """A competitor could not do what it was asked; the message says what it said."""


class Contestant:
    """One competitor, open at one place, in a process of its own. A context manager."""

    def __init__(self, system: System, python: Path, place: Place, log: Path) -> None:
        self.system = system
        self.label = system.name
        self.verbs: list[str] = []
        self._python = python
        self._place = place
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "benchmarks.worker", self.system.name, self.system.loop],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env=child_environment(self._place),
            )
        try:
            opened = self._ask({"do": "open", "place": self._place})
        except Failed:
            self.__exit__()
            raise
        self.label, self.verbs = opened["label"], opened["verbs"]
        return self

    def __exit__(self, *exc_info: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def run(self, verb: str, count: int, concurrency: int) -> dict[str, float]:
        """
        One round.

        Raises:
            Failed: The competitor raised, gave a wrong answer, or did not answer in time.
        """
        return self._ask({"do": "run", "verb": verb, "count": count, "concurrency": concurrency})

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise Failed("is not running")
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        if not line:
            raise Failed(f"ended; see {self._log}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer


def child_environment(place: Place) -> dict[str, str]:
    """The environment of a competitor: this one's, less whatever could lead a client elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    kept = {name: value for name, value in kept.items() if not name.startswith("AWS_")}
    return {**kept, **place.environment(), "PYTHONPATH": str(ROOT)}


def introduction(system: System, python: Path) -> dict[str, Any]:
    """
    A competitor's label and versions.

    Raises:
        Failed: It cannot be imported there.
    """
    command = [python, "-m", "benchmarks.worker", system.name, "--introduce"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise Failed(done.stderr.strip().rpartition("\n")[2])
    return json.loads(done.stdout)


def start_seconds(command: list[str | Path], place: Place) -> float:
    """
    From starting a process to the instant that it prints (`time.monotonic`, one clock for all processes).

    Raises:
        Failed: It ended without printing one.
    """
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env=child_environment(place), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode or not done.stdout.strip():
        raise Failed(done.stderr.strip().rpartition("\n")[2] or "printed nothing")
    return float(done.stdout.split()[-1]) - begun
