"""
A sorted store's rows as pages of a list, rolled up at a delimiter: for the stores that hold their keys themselves.

    keys  a  b/1  b/2  c     delimiter "/"  ->  objects [a, c], prefixes [b/]
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from ..errors import ValidationError
from .protocol import ListPage, ObjectInfo

MAX_PAGE = 1000

Fetch = Callable[[str, bool, int], Awaitable[list[ObjectInfo]]]
"""(position, is the position itself wanted, how many) -> the next rows below the prefix, in order."""


async def pages_of(
    fetch: Fetch, prefix: str, *, page_size: int, delimiter: str | None, start_after: str | None
) -> AsyncGenerator[ListPage, None]:
    """
    List below a prefix.

    Args:
        page_size: The most rows and rolled-up prefixes of a page.
        start_after: Only keys after this one.
    """
    if not 1 <= page_size <= MAX_PAGE:
        raise ValidationError("page_size is 1 to 1000.", hint="Leave it out for 1000.")
    position: str | None = prefix if start_after is None or start_after < prefix else start_after
    is_wanted = position != start_after
    while position is not None:
        objects: list[ObjectInfo] = []
        prefixes: list[str] = []
        while position is not None and len(objects) + len(prefixes) < page_size:
            rows = await fetch(position, is_wanted, page_size - len(objects) - len(prefixes))
            if not rows:
                position = None
            for row in rows:
                if prefixes and row.key.startswith(prefixes[-1]):
                    continue
                cut = row.key.find(delimiter, len(prefix)) if delimiter else -1
                if delimiter and cut >= 0:
                    prefixes.append(row.key[: cut + len(delimiter)])
                    position, is_wanted = after_prefix(prefixes[-1]), True
                else:
                    objects.append(row)
                    position, is_wanted = row.key, False
        if objects or prefixes:
            yield ListPage(objects, prefixes)


def after_prefix(prefix: str) -> str | None:
    """
    The least text that is greater than every text with a prefix, by code points; None if there is none.
    """
    while prefix:
        head, last = prefix[:-1], ord(prefix[-1])
        if last < 0x10FFFF:
            return head + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = head
    return None
