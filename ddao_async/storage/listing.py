"""
LIST as pages: continuation tokens within one listing, a stop where a server repeats itself, keys without the prefix.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from ..errors import StoreUnavailableError, ValidationError
from ..wire.request import ListAnswer, Request
from .exchange import Exchange
from .protocol import ListPage, ObjectInfo

MAX_PAGE = 1000


async def pages(
    exchange: Exchange,
    base: str,
    prefix: str,
    *,
    page_size: int,
    delimiter: str | None,
    start_after: str | None,
) -> AsyncGenerator[ListPage, None]:
    """
    List below a prefix.

    Args:
        exchange: Sends the requests.
        base: The store's own prefix; listed keys come without it.
        page_size: The most rows of a page; a server may send fewer.
        start_after: Only keys after this one; without `base`.

    Raises:
        StoreUnavailableError: The server hands out a continuation token that it handed out before.
    """
    if not 1 <= page_size <= MAX_PAGE:
        raise ValidationError("page_size is 1 to 1000.", hint="Leave it out for 1000.")
    cut = len(base)
    token: str | None = None
    seen: set[str] = set()
    while True:
        request = Request(
            operation="list",
            prefix=base + prefix,
            delimiter=delimiter,
            start_after=base + start_after if start_after else None,
            max_keys=page_size,
            continuation_token=token,
        )
        answer = (await exchange.send(request)).listing or ListAnswer([], [], None)
        token = answer.next_token
        if answer.objects or answer.prefixes:
            yield ListPage(
                [ObjectInfo(row.key[cut:], row.size, row.etag, row.last_modified) for row in answer.objects],
                [rolled[cut:] for rolled in answer.prefixes],
            )
        if token is None:
            return
        if token in seen:
            raise StoreUnavailableError(
                f"Listing {prefix!r} does not end: the server repeats its continuation token.",
                operation="list",
                key=base + prefix,
                hint="This is a fault of the server: report it there.",
            )
        seen.add(token)
