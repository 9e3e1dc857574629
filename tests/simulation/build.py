"""
Which package a run is made against: `ddao_async` as it stands, or a copy of its source with a mistake in it.

A `Mutation` replaces text that must occur exactly once in a file, so a mutation that no longer fits the code fails
loudly instead of testing nothing. The copy lives in a temporary directory under a package name of its own; relative
imports keep it whole.
"""

from __future__ import annotations

import importlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parents[2] / "ddao_async"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Edit:
    """In `file` (relative to the package) `old`, which occurs exactly once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """
    A mistake.

    Attributes:
        scenario: Where it shows.
        seeds: Schedules of that scenario that break by it.
        edits: What makes it.
    """

    scenario: str
    seeds: tuple[int, ...]
    edits: list[Edit]


class Build:
    """The modules of one build, by the names the simulation knows them by."""

    def __init__(self, package: str = "ddao_async") -> None:
        self.package = package
        self.testing = self.module("testing")
        self.memory = self.module("storage.memory")
        self.protocol = self.module("storage.protocol")
        self.errors = self.module("errors")

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.package}.{name}")


@contextmanager
def mutant(edits: list[Edit]) -> Iterator[Build]:
    """
    A build with these edits.

    Raises:
        ValueError: An edit's text is not there exactly once.
    """
    name = f"ddao_mutant_{next(_numbers)}"
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / name
        shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
        for edit in edits:
            path = root / edit.file
            source = path.read_text()
            if source.count(edit.old) != 1:
                raise ValueError(f"{edit.file} holds {source.count(edit.old)} times, not once:\n{edit.old}")
            path.write_text(source.replace(edit.old, edit.new))
        sys.path.insert(0, directory)
        try:
            yield Build(name)
        finally:
            sys.path.remove(directory)
            for module in [m for m in sys.modules if m == name or m.startswith(name + ".")]:
                del sys.modules[module]
