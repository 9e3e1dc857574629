"""
`ddao-async find`: the documents of a table that meet every condition.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ..model.predicate import Operator, Predicate
from ..model.schema import Table as TableDeclaration
from ..transfer.literal import literal
from .option import AsJson, Table, Url
from .output import emit, note
from .predicate import Term, parse_term

_OPERATORS: dict[str, Operator] = {"=": "==", ">=": ">=", ">": ">", "<=": "<=", "<": "<"}

Terms = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FIELD=VALUE...]",
        help="Conditions that must all hold: = >= > <= <, or ^= for 'begins with'.",
        show_default=False,
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=0, metavar="N", help="At most so many.", show_default=False)]
Order = Annotated[
    str | None,
    typer.Option("--order", metavar="FIELD", help="Sort by this field; -FIELD: downwards.", show_default=False),
]
Explain = Annotated[bool, typer.Option("--explain", help="Say how it would be found, and find nothing.")]


def find(
    table: Table,
    terms: Terms = None,
    limit: Limit = None,
    order: Order = None,
    explain: Explain = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Print the documents that meet every condition."""
    from ..database import Database
    from ..transfer.exports import plain
    from .session import with_database

    parsed = [parse_term(term) for term in terms or []]

    async def work(db: Database) -> None:
        declared = await db.table(table)
        query = db.repository(table).find(*[_predicate(declared, term) for term in parsed])
        if order is not None:
            query = query.order_by(order)
        if limit is not None:
            query = query.limit(limit)
        if explain:
            emit(await query.explain(), as_json=as_json)
            return
        async for document in query:
            emit(plain(document), as_json=as_json)
        for key, problem in query.problems.items():
            note(f"{key}: {problem}")

    with_database(url, work)


def _predicate(table: TableDeclaration, term: Term) -> Predicate:
    if term.operator == "^=":
        return Predicate(term.field, "startswith", (term.value,))
    return Predicate(term.field, _OPERATORS[term.operator], (literal(table.type_of(term.field) or "text", term.value),))
