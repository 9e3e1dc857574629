"""
The commands, put together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.main import get_command

from . import copies, demo, doctor, exports, find, get, imports, ls, put, reindex, rm, tables, vacuum

Abort = typer.Abort
UsageFault: Any = typer.BadParameter.__mro__[2]
"""click's ClickException, which typer does not export: newer versions bring a click of their own."""

_COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "doctor": doctor.doctor,
    "tables": tables.tables,
    "get": get.get,
    "put": put.put,
    "find": find.find,
    "rm": rm.remove,
    "ls": ls.list_keys,
    "import": imports.import_file,
    "export": exports.export_table,
    "copy": copies.copy,
    "reindex": reindex.reindex,
    "vacuum": vacuum.vacuum,
}


def _build() -> typer.Typer:
    app = typer.Typer(
        help="A document database in an S3 bucket, a SQLite file or memory. "
        "Data goes to stdout, notes to stderr; exit status 0: done, 1: failed, 2: wrong usage.",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, command in _COMMANDS.items():
        app.command(name)(command)
    return app


command_line: Callable[..., Any] = get_command(_build())
