"""
One cold start, timed from outside: open a client, get one document, print the clock that all processes share.

    python -m benchmarks.cold obstore '[place]'

asyncio's own loop, for all alike: importing uvloop would be part of the time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from . import data
from .place import Item, Place


async def _main(name: str, place: Place) -> None:
    from .worker import opened

    async with opened(name, place) as (module, client):
        prefix = "" if getattr(module, "keys_are_relative", False) else place.prefix
        found = data.document_id(0)
        await module.get(client, Item(found, prefix + data.document_key(found)))
        print(time.monotonic(), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Place(*json.loads(sys.argv[2]))))
