"""
How far a long command is, on stderr: a bar on a terminal, a line now and then elsewhere (as JSON with `--json`).
"""

from __future__ import annotations

import sys
import time
from typing import Any, Self

import msgspec

from .output import note, printable

LINE_SECONDS = 10.0
"""How often a line says how far it is, where there is no terminal."""

MEGABYTE = 1_000_000


class Progress:
    """
    Counts things, and shows how many there are so far, how fast they come, how much of the bytes is read, what went
    wrong, and how long it will still take where that can be told.

    Args:
        things: What is counted, in the plural.
        total_bytes: Of all that will be read; None where nobody knows.
        as_json: Lines are JSON.
    """

    def __init__(self, things: str, *, total_bytes: int | None = None, as_json: bool = False) -> None:
        self._things = things
        self._total_bytes = total_bytes
        self._as_json = as_json
        self._bar: Any = None
        self._task: Any = None
        self._began = self._told = time.monotonic()
        self._before = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, count: int, bytes_done: int = 0, *, errors: int = 0, before: int = 0) -> None:
        """
        Tell how far it is.

        Args:
            errors: How many of the things went wrong.
            before: How many were done before this command began: they say nothing of the rate.
        """
        now = time.monotonic()
        rate = (count - before) / max(now - self._began, 0.001)
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=bytes_done if self._total_bytes else count,
                count=f"{count:,} {self._things}",
                rate=f"{rate:,.0f}/s",
                bytes=f"{bytes_done / MEGABYTE:,.1f} MB" if bytes_done else "",
                errors=f"{errors:,} rejected" if errors else "",
            )
        elif now - self._told >= LINE_SECONDS:
            self._told = now
            self._line(count, rate, bytes_done, errors, now - self._began)

    def _line(self, count: int, rate: float, bytes_done: int, errors: int, elapsed: float) -> None:
        total = self._total_bytes
        left = elapsed * (total - bytes_done) / bytes_done if total and bytes_done else None
        if self._as_json:
            values = {"bytes": bytes_done, "total_bytes": total, "errors": errors, "seconds_left": left}
            about = {self._things: count, "per_second": round(rate, 1), **values}
            sys.stderr.write(msgspec.json.encode({"progress": about}).decode() + "\n")
            return
        parts = [f"{count:,} {self._things}", f"{rate:,.0f}/s"]
        if bytes_done:
            of = f" of {total / MEGABYTE:,.1f}" if total else ""
            parts.append(f"{bytes_done / MEGABYTE:,.1f}{of} MB")
        if errors:
            parts.append(f"{errors:,} rejected")
        if left is not None:
            parts.append(f"about {max(left, 0):,.0f} s left")
        note(", ".join(parts))

    def print(self, text: str) -> None:
        """A note, above the bar where there is one."""
        if self._bar is None:
            note(text)
        else:
            self._bar.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def _open(self) -> None:
        from rich import progress
        from rich.console import Console

        known = self._total_bytes
        self._bar = progress.Progress(
            *([progress.BarColumn(), progress.TaskProgressColumn()] if known else [progress.SpinnerColumn()]),
            *(progress.TextColumn(f"{{task.fields[{name}]}}") for name in ("count", "rate", "bytes", "errors")),
            progress.TimeElapsedColumn(),
            *([progress.TextColumn("left:"), progress.TimeRemainingColumn()] if known else []),
            console=Console(stderr=True),
            transient=True,
        )
        fields = {"count": f"0 {self._things}", "rate": "", "bytes": "", "errors": ""}
        self._task = self._bar.add_task("", total=known, **fields)
        self._bar.start()
