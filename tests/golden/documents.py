"""
The golden documents: what this library writes for given records at a given instant, byte by byte.

Changing a line of `documents.json` is a decision about the layout: other programs, and other languages, read these.
Run this file to see what is written now.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import ddao_async as ddao
from ddao_async.catalog import Catalog, known_table
from ddao_async.engine import Engine
from ddao_async.model.codec import RecordCodec
from ddao_async.tables import create_tables

GOLDEN = Path(__file__).with_name("documents.json")
INSTANT = datetime(2026, 11, 22, 10, 17, 41, 946289, UTC).timestamp()


class Thing(ddao.Record, table="things"):
    email: Annotated[str, ddao.Unique()]
    name: str
    country: Annotated[str, ddao.Index()] = "NL"
    count: Annotated[int | None, ddao.Index()] = None
    ratio: Annotated[float | None, ddao.Index()] = None
    active: bool = True
    born: Annotated[datetime | None, ddao.Index()] = None
    picture: bytes = b""
    owner: UUID | None = None
    price: Annotated[Decimal | None, ddao.Index()] = None
    day: date | None = None
    profile: dict[str, Any] | None = None


THINGS = [
    Thing(id="plain", email="ann@example.com", name="Ann"),
    Thing(
        id="full",
        email="zoë@example.com",
        name='quote " backslash \\ html <a>&amp;</a> tab \t nul \x00 line \u2028 emoji 👩‍🚀',
        country="DE",
        count=-(10**30),
        ratio=0.1,
        active=False,
        born=datetime(1999, 12, 31, 23, 59, 59, 500000, timezone(timedelta(hours=5, minutes=30))),
        picture=b"\x00\xff",
        owner=UUID("12345678-1234-5678-1234-567812345678"),
        price=Decimal("19.90"),
        day=date(2026, 11, 22),
        profile={"likes": ["tea", 1, 1.5, True, None, {}], "größe": 175},
    ),
    Thing(id="odd id/with+%?#é'\"", email="odd@example.com", name="", count=0, ratio=-0.0),
]


def nonces() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"nonce{number}"


async def written() -> list[dict[str, Any]]:
    """The bucket, less the table's state, after each thing was inserted and the first one updated."""
    store = ddao.MemoryAdapter(clock=lambda: INSTANT)
    drawn = nonces()
    engine = Engine(store, clock=lambda: INSTANT, nonce=lambda: next(drawn))
    catalog = Catalog(engine)
    await create_tables(catalog, ddao.Schema.of(Thing))
    documents = catalog.documents(await known_table(catalog, Thing))
    codec = RecordCodec(Thing)
    for thing in THINGS:
        await documents.insert(thing.id, codec.encode(thing))
    changed = Thing(id="plain", email="ann@example.com", name="Ann B.", country="BE")
    await documents.update("plain", lambda held: codec.merge("plain", held.fields, codec.encode(changed)))
    found: list[dict[str, Any]] = []
    async for info in store.list():
        if info.key.endswith("/_state.json"):
            continue
        item = await store.get(info.key)
        assert item is not None
        found.append({"key": info.key, "metadata": item.info.metadata, "body": item.data.decode()})
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(written()), indent=1, ensure_ascii=False))
