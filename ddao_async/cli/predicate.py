"""
The search language of `find`: FIELD, an operator (`=`, `>=`, `>`, `<=`, `<`, or `^=` for "begins with"), VALUE.

Pure. The first operator in the text counts, so a value may hold any of them: `note=a>=b`.
"""

from __future__ import annotations

import re

import msgspec

from ..errors import ValidationError

_TERM = re.compile(r"(?P<field>[^=<>^]+?)\s*(?P<operator>>=|<=|\^=|=|>|<)(?P<value>.*)", re.DOTALL)


class Term(msgspec.Struct, frozen=True):
    """One condition as it was typed: the value is text still."""

    field: str
    operator: str
    value: str


def parse_term(text: str) -> Term:
    """
    One condition of `find`.

    Raises:
        ValidationError: There is no operator, or no field before it.
    """
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValidationError(
            f"{text!r} is not a condition.",
            hint="Write FIELD=VALUE, or one of >= > <= < ^= (begins with) in place of =, in quotes for the shell.",
        )
    return Term(match["field"].strip(), match["operator"], match["value"])
