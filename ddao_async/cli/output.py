"""
What a command prints: data to stdout, everything else to stderr, nothing that could steer a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


def emit(value: Any, *, as_json: bool) -> None:
    """Print one value as JSON: on one line with `as_json`, else indented for reading."""
    text = msgspec.json.encode(value)
    if not as_json:
        text = msgspec.json.format(text, indent=2)
    sys.stdout.write(text.decode() + "\n")


def say(text: str) -> None:
    """Print a line of result that is meant for people."""
    sys.stdout.write(printable(text) + "\n")


def note(text: str) -> None:
    """Print a line that is not data: progress, a warning, a summary."""
    sys.stderr.write(printable(text) + "\n")


def columns(rows: Iterable[Sequence[str]]) -> None:
    """Print rows as left-aligned columns; the first row is the heading."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def printable(text: str) -> str:
    """Control characters as escapes: a key or a server's message may hold any."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)
