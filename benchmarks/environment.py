"""
Which Python runs which competitor: this one if the competitor is installed here, else an environment of its own.

aioboto3 pins an old aiobotocore, so it always gets its own. Environments are made with `--install` only, by pip, below
a cache directory (`--environments`), one folder for each competitor, and kept for the next run.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

from .systems import System


def default_folder() -> Path:
    """Where environments are kept: `$XDG_CACHE_HOME/ddao-async-benchmarks`."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ddao-async-benchmarks"


def interpreter(system: System, folder: Path) -> Path | None:
    """The Python that has this competitor; None: not installed."""
    if not system.own_environment and importlib.util.find_spec(system.imports):
        return Path(sys.executable)
    own = folder / system.name / "bin" / "python"
    return own if own.exists() else None


def install(system: System, folder: Path) -> Path:
    """
    Make the competitor's own environment.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why on stderr.
    """
    place = folder / system.name
    venv.create(place, with_pip=True, clear=True)
    python = place / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", system.package, "uvloop"], check=True)
    return python
