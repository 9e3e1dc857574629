"""
Index reads where the server lists directory by directory and, asked to start after a name, leaves out the directory of
that name with all that is in it (SeaweedFS 4.48 does).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fix_server import Server

import ddao_async as ddao


class Item(ddao.Record, table="items"):
    n: Annotated[int, ddao.Index()]


class SkipsDirectories:
    """A store in memory with that habit."""

    def __init__(self) -> None:
        self.inner = ddao.MemoryAdapter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def list_pages(
        self, prefix: str = "", *, start_after: str | None = None, **options: Any
    ) -> AsyncIterator[ddao.ListPage]:
        async for page in self.inner.list_pages(prefix, start_after=start_after, **options):
            left = [info for info in page.objects if not (start_after and info.key.startswith(start_after + "/"))]
            yield ddao.ListPage(left, page.prefixes)


IDS = ["a", "a0", "ab", "b", "b0"]


@pytest.fixture(params=["in memory", "seaweedfs"])
async def db(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ddao.Database]:
    if request.param == "in memory":
        yield ddao.Database(SkipsDirectories())
        return
    server: Server = request.getfixturevalue("seaweedfs")
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    async with ddao.connect(server.dsn(server.create_bucket())) as db:
        yield db


async def test_a_range_finds_its_lower_bound_and_pages_find_every_id(db: ddao.Database) -> None:
    await db.create_tables(ddao.Schema.of(Item))
    items = db.repository(Item)
    await items.insert_many([Item(id=f"{name}{n}", n=n) for name in IDS for n in (1, 10, 30, 48)])
    query = items.find(ddao.field("n") >= 30)

    assert sorted(item.id for item in await query.all()) == sorted(f"{name}{n}" for name in IDS for n in (30, 48))
    assert len(await items.find(ddao.field("n").between(10, 30)).all()) == 2 * len(IDS)
    assert [item.n for item in await items.find(ddao.field("n") > 30).order_by("-n").all()] == [48] * len(IDS)

    paged, cursor = list[str](), None
    while True:
        page = await query.page(size=1, after=cursor)
        paged += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert sorted(paged) == sorted(f"{name}{n}" for name in IDS for n in (30, 48))
