"""
The competitors: one module each, all with the same names, so that the worker knows none of them.

    label                       what the tables call it
    open(place) -> client       `close(client)` ends it
    get, insert, create, head, delete (client, item)      `insert` writes with metadata, `create` only where nothing is
    list(client, item) -> int   keys below `item.key`; `list_split` asks for the known parts at once
    upload, read, stream (client, item)                    large objects: to a new buffer, or chunk by chunk
    pour(client, items) -> int  as many documents as the iterator gives, 64 at a time
    prepare(item)               an item made ready before the clock starts (a typed record, say)

A module leaves out what its library cannot do. `keys_are_relative`: it takes keys below the prefix.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from ..place import Place


class System(NamedTuple):
    """
    One competitor: its module here, what pip calls it, and what Python imports.

    `loop`: the event loop it runs on. `own_environment`: it pins other versions of what ddao_async uses, so it is
    never installed beside it.
    """

    name: str
    package: str
    imports: str
    loop: str = "uvloop"
    own_environment: bool = False


SYSTEMS = (
    System("ddao_wire", "ddao-async", "ddao_async"),
    System("ddao_repository", "ddao-async", "ddao_async"),
    System("ddao_botocore", "ddao-async", "ddao_async"),
    System("ddao_stock_loop", "ddao-async", "ddao_async", loop="asyncio"),
    System("obstore", "obstore", "obstore.store"),
    System("aiohttp_s3_client", "aiohttp-s3-client", "aiohttp_s3_client"),
    System("miniopy", "miniopy-async", "miniopy_async"),
    System("boto3_threads", "boto3", "boto3"),
    System("aiobotocore", "aiobotocore", "aiobotocore.session"),
    System("aioboto3", "aioboto3", "aioboto3", own_environment=True),
    System("s3fs", "s3fs", "s3fs"),
    System("echo", "", "asyncio"),
)


@asynccontextmanager
async def opened(name: str, place: Place) -> AsyncIterator[tuple[Any, Any]]:
    """A competitor's module and its open client."""
    module = importlib.import_module(f"{__package__}.{name}")
    client = await module.open(place)
    try:
        yield module, client
    finally:
        await module.close(client)
