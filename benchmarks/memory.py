"""How much memory this process holds and held at most: by Linux's /proc, elsewhere the peak that the system counted."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """What is in memory now."""
    return _status("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """The most that was in memory since the process began (not its parent's, which `getrusage` may count)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    if not _STATUS.exists():
        return 0
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
