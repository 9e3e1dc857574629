"""
A bucket that DDAO's Go library really wrote: the documents of `../shared/layout` beside the checkout, read where they
lie and put into a store at test time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ddao_async.storage.memory import MemoryAdapter

LAYOUT = Path(os.environ.get("DDAO_LAYOUT") or Path(__file__).parents[2] / "shared" / "layout")


class GoObject(msgspec.Struct, frozen=True):
    """One object that Go wrote; `key` is relative to the prefix. `table` and `id` of documents."""

    key: str
    data: bytes
    metadata: dict[str, str]
    content_type: str
    table: str | None
    id: str | None


@pytest.fixture(scope="session")
def go_objects() -> list[GoObject]:
    """Everything that Go wrote."""
    manifest = LAYOUT / "manifest.json"
    if not manifest.exists():
        pytest.skip(f"{LAYOUT} is not beside this checkout")
    listed: dict[str, Any] = json.loads(manifest.read_text())
    return [
        GoObject(
            one["key"].removeprefix(listed["prefix"]),
            (LAYOUT / one["file"]).read_bytes(),
            one["metadata"],
            one["content_type"],
            one["table"],
            one["id"],
        )
        for one in listed["objects"]
    ]


@pytest.fixture
async def go_store(go_objects: list[GoObject]) -> MemoryAdapter:
    """A bucket in memory as Go left it."""
    store = MemoryAdapter()
    for one in go_objects:
        await store.put(one.key, one.data, metadata=one.metadata, content_type=one.content_type)
    return store
