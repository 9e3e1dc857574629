"""What this library writes stays as it is, and is what layout.md asks for."""

from __future__ import annotations

import json

from golden.documents import GOLDEN, THINGS, Thing, written
from layout_rules import broken_rules

import ddao_async as ddao


async def test_documents_entries_and_schema_are_written_byte_by_byte_as_ever() -> None:
    assert await written() == json.loads(GOLDEN.read_text())


async def test_the_golden_documents_keep_every_rule_and_read_back() -> None:
    store = ddao.MemoryAdapter()
    for item in json.loads(GOLDEN.read_text()):
        await store.put(
            item["key"],
            item["body"].encode(),
            metadata=item["metadata"],
            content_type="application/json" if item["body"] else None,
        )

    assert await broken_rules(store) == []
    things = ddao.Database(store).repository(Thing)
    assert await things.get("full") == THINGS[1]
    assert await things.get(THINGS[2].id) == THINGS[2]
    assert (await things.get("plain")).name == "Ann B."
