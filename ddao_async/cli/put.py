"""
`ddao-async put`: writes one document, whether or not it exists.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from ..errors import ValidationError
from .option import AsJson, Id, Table, Url
from .output import emit, say

Body = Annotated[
    str,
    typer.Argument(metavar="[JSON|-]", help="The fields as a JSON object; - reads standard input.", show_default=False),
]


def put(table: Table, id: Id, body: Body = "-", url: Url = None, as_json: AsJson = False) -> None:
    """Write one document: insert it, or replace the one with this id."""
    from ..database import Database
    from ..model.record import Object
    from .session import with_database

    fields = _fields(id, sys.stdin.read() if body == "-" else body)

    async def work(db: Database) -> None:
        created = await db.upsert(Object(table, id, fields))
        if as_json:
            emit({"id": id, "created": created}, as_json=True)
        else:
            say(f"{'created' if created else 'replaced'}  {id}")

    with_database(url, work)


def _fields(id: str, text: str) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ValidationError(
            f"The document is not a JSON object: {error}.", hint="""Write it like '{"name": "Ann"}'."""
        ) from error
    if fields.pop("id", id) != id:
        raise ValidationError(f"The document has another id than {id!r}.", hint="Leave the id out of the JSON.")
    return fields
