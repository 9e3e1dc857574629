"""
Where a page of results ended, as an opaque text: URL-safe base64 of the order, the last position and the question.

The position is what the results were sorted by, not a count: pages stay right while others write.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import msgspec

from ..errors import ValidationError
from .predicate import Predicate
from .query import Order


class Position(msgspec.Struct, frozen=True):
    """
    A place in an order.

    Attributes:
        value: Encoded value of the columns that sort; empty where the keys do.
        id: The document.
    """

    value: str
    id: str


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The end of one page. `question` tells the search that it belongs to."""

    order: Order
    position: Position
    question: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Cursor)


def question(table: str, predicates: Sequence[Predicate], order: str | None) -> str:
    """A fingerprint of a search: a cursor of another one is refused."""
    asked = repr((table, sorted(map(_asked, predicates)), order))
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _asked(predicate: Predicate) -> str:
    operands = [repr(operand) for operand in predicate.operands]
    return repr((predicate.column, predicate.operator, sorted(operands) if predicate.operator == "in" else operands))


def format_cursor(cursor: Cursor) -> str:
    return urlsafe_b64encode(_encoder.encode(cursor)).rstrip(b"=").decode()


def parse_cursor(text: str, question: str) -> Cursor:
    """
    The cursor in a text.

    Raises:
        ValidationError: Not a cursor, or that of another search.
    """
    try:
        cursor = _decoder.decode(urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (msgspec.DecodeError, binascii.Error, UnicodeError, ValueError, AttributeError, TypeError) as error:
        raise ValidationError("`after` is not a cursor.", hint="Pass the `next` of the page before.") from error
    if cursor.question != question:
        raise ValidationError(
            "This cursor belongs to another search.", hint="Ask with the predicates and order that it came from."
        )
    return cursor
