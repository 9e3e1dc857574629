"""
One cold start, timed from outside: open a client, get one document, print the clock that all processes share.

    python -m benchmarks.cold obstore ENDPOINT BUCKET PREFIX REGION ACCESS_KEY SECRET_KEY CA_FILE

Nothing is imported that a competitor may do without: asyncio's own loop, and no json.
"""

from __future__ import annotations

import asyncio
import sys
import time

from . import data
from .place import Item, Place
from .systems import opened


async def _main(name: str, place: Place) -> None:
    async with opened(name, place) as (module, client):
        prefix = "" if getattr(module, "keys_are_relative", False) else place.prefix
        found = data.document_id(0)
        await module.get(client, Item(found, prefix + data.document_key(found)))
        print(time.monotonic(), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Place(*sys.argv[2:9])))
