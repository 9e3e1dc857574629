"""
A progress bar on stderr, if stderr is a terminal; nothing at all if not.
"""

from __future__ import annotations

import sys
from typing import Any, Self

from .output import note, printable


class Progress:
    """
    Counts things, and shows how many there are so far, how fast they come, and how much of the bytes is read.

    Args:
        things: What is counted, in the plural.
        total_bytes: Of all that will be read; None where nobody knows.
    """

    def __init__(self, things: str, *, total_bytes: int | None = None) -> None:
        self._things = things
        self._total_bytes = total_bytes
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, count: int, bytes_done: int = 0) -> None:
        """Tell how far it is."""
        if self._bar is not None:
            self._bar.update(self._task, completed=bytes_done if self._total_bytes else count, count=f"{count:,}")

    def print(self, text: str) -> None:
        """A note, above the bar where there is one."""
        if self._bar is None:
            note(text)
        else:
            self._bar.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def _open(self) -> None:
        from rich import progress
        from rich.console import Console

        bar = [progress.BarColumn(), progress.TaskProgressColumn()] if self._total_bytes else [progress.SpinnerColumn()]
        self._bar = progress.Progress(
            *bar,
            progress.TextColumn(f"{{task.fields[count]}} {self._things}"),
            progress.TimeElapsedColumn(),
            *([progress.TextColumn("left:"), progress.TimeRemainingColumn()] if self._total_bytes else []),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=self._total_bytes, count="0")
        self._bar.start()
