"""
LIST as pages: continuation tokens within one listing, a stop where a server repeats itself, keys without the prefix.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from msgspec.structs import replace

from ..errors import StoreUnavailableError, ValidationError
from ..wire.request import ListAnswer, Request, Response
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
    request = Request(
        operation="list",
        prefix=base + prefix,
        delimiter=delimiter,
        start_after=base + start_after if start_after else None,
        max_keys=page_size,
    )
    seen: set[str] = set()
    following: asyncio.Task[Response] | None = None
    try:
        while True:
            response = await (following if following is not None else exchange.send(request))
            answer = response.listing
            if answer is None:
                return
            token = answer.next_token
            if token in seen:
                raise _endless(request)
            if token is not None:
                seen.add(token)
                # The next page travels while this one is parsed and used.
                following = exchange.loop.create_task(exchange.send(replace(request, continuation_token=token)))
            page = _page(request, answer, len(base))
            if page.objects or page.prefixes:
                yield page
            if token is None:
                return
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait([following])
        elif following is not None and not following.cancelled():
            following.exception()  # looked at, so that nobody complains of it when it is not wanted any more


def _page(request: Request, answer: ListAnswer, cut: int) -> ListPage:
    try:
        keys, sizes, etags, instants = answer.rows()
    except ValueError as exc:
        raise StoreUnavailableError(
            f"Listing {request.prefix!r} failed: {exc}.",
            operation="list",
            key=request.prefix,
            hint="List again; if it stays, this is a fault of the server: report it there.",
        ) from exc
    if cut:
        keys = [key[cut:] for key in keys]
    # One call into C for all rows: 0.06 µs each, where a loop takes 0.5.
    return ListPage(list(map(ObjectInfo, keys, sizes, etags, instants)), [rolled[cut:] for rolled in answer.prefixes])


def _endless(request: Request) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"Listing {request.prefix!r} does not end: the server repeats its continuation token.",
        operation="list",
        key=request.prefix,
        hint="This is a fault of the server: report it there.",
    )
