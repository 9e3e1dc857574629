"""
The options and arguments that commands share, and how a wrong one is reported.
"""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="DDAO_URL",
        metavar="URL",
        help="Where the data is, e.g. s3://bucket/prefix?endpoint=http://127.0.0.1:9000 or sqlite:///file.db.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value a line.")]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="Name of the table.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the document.", show_default=False)]


def required_url(url: str | None) -> str:
    """The connection string, or a usage error where neither `--url` nor `DDAO_URL` gives one."""
    if not url:
        raise typer.BadParameter("No database is named: give --url, or set DDAO_URL in the environment.")
    return url
