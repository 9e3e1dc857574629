"""A list in several ranges at once: every key once, whatever the cuts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddao_async.errors import StoreUnavailableError, UnsupportedError
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import Capabilities, ListPage
from ddao_async.storage.split import list_split

KEYS = st.text("abcß\U0010ffff/", min_size=1, max_size=4)


async def keys_of(store: Any, prefix: str = "", **options: Any) -> list[str]:
    return [info.key async for page in list_split(store, prefix, **options) for info in page.objects]


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(KEYS, max_size=30), splits=st.lists(KEYS, max_size=6), prefix=st.sampled_from(["", "a", "b/", "zz"])
)
def test_every_key_comes_once(keys: set[str], splits: list[str], prefix: str) -> None:
    async def main() -> list[str]:
        async with MemoryAdapter() as store:
            for key in keys:
                await store.put(key, b"")
            return await keys_of(store, prefix, splits=splits)

    found = asyncio.run(main())

    assert sorted(found) == sorted(key for key in keys if key.startswith(prefix))


class Paged(MemoryAdapter):
    """Pages of two keys; counts those that are listed at the same time; may fail in one range."""

    def __init__(self, fail_after: str | None = None) -> None:
        super().__init__()
        self.at_once = 0
        self.most = 0
        self.fail_after = fail_after

    async def list_pages(self, prefix: str = "", **options: Any) -> AsyncGenerator[ListPage, None]:  # type: ignore[override]
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            async for page in super().list_pages(prefix, **options | {"page_size": 2}):
                await asyncio.sleep(0)
                if self.fail_after is not None and page.objects[0].key > self.fail_after:
                    raise StoreUnavailableError("the range broke")
                yield page
        finally:
            self.at_once -= 1


async def filled(store: Paged) -> Paged:
    for at in range(80):
        await store.put(f"k{at:02d}", b"")
    return store


async def test_ranges_are_listed_at_once_and_end_at_their_cuts() -> None:
    store = await filled(Paged())

    found = await keys_of(store, splits=["k40", "k20", "k60", "k60"])

    assert sorted(found) == [f"k{at:02d}" for at in range(80)]
    assert (store.most, store.at_once) == (4, 0)


async def test_a_range_that_fails_fails_the_list_and_ends_the_others() -> None:
    before = asyncio.all_tasks()
    store = await filled(Paged("k50"))

    with pytest.raises(StoreUnavailableError):
        await keys_of(store, splits=["k20", "k40", "k60"])

    assert store.at_once == 0
    assert asyncio.all_tasks() == before


async def test_a_list_that_is_left_early_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    store = await filled(Paged())

    pages = list_split(store, splits=["k40"])
    await anext(pages)
    await pages.aclose()

    assert store.at_once == 0
    assert asyncio.all_tasks() == before


async def test_an_order_of_its_own_cannot_be_split() -> None:
    store = Paged()
    store.capabilities = Capabilities(sorted_list=False)

    with pytest.raises(UnsupportedError):
        await keys_of(store, splits=["a"])
