"""
How the keys under a prefix spread over next characters: prefixes that can be listed side by side.

    objects/                  one key of each group is found by LIST with start-after: a group costs one request
      a…   b…   ö…            where all keys go on alike (ids that begin with the time), the next character is asked
"""

from __future__ import annotations

from ..storage.protocol import ObjectStore

MAX_DEPTH = 40
MAX_PREFIXES = 256
_LAST = "\U0010ffff"


async def prefixes_of(store: ObjectStore, prefix: str) -> list[str]:
    """
    Prefixes that together hold every key under `prefix`, each at least one; one only where keys do not spread.

    Servers that sort by directory agree: they differ on keys of one group only.
    """
    for _ in range(MAX_DEPTH):
        found = await _next_prefixes(store, prefix)
        if len(found) != 1 or found[0] == prefix:
            return found or [prefix]
        prefix = found[0]
    return [prefix]


async def _next_prefixes(store: ObjectStore, prefix: str) -> list[str]:
    found: list[str] = []
    after: str | None = None
    while (key := await _first_key(store, prefix, after)) is not None:
        if len(key) == len(prefix) or len(found) == MAX_PREFIXES:
            return [prefix]  # a key ends here, or it spreads too far to ask: list it as one
        found.append(key[: len(prefix) + 1])
        after = found[-1] + _LAST
    return found


async def _first_key(store: ObjectStore, prefix: str, after: str | None) -> str | None:
    async for page in store.list_pages(prefix, page_size=1, start_after=after):
        for info in page.objects:
            return info.key
    return None
