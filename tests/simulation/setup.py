"""
What lies in the bucket before a run: documents, entries, claims and garbage, written as protocol.md shows them.

Nothing here asks the engine: the bytes are made by hand, so that reading what is specified is tested too.
"""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

from .history import History, State
from .misfortune import DAY
from .world import EPOCH, TABLE, World


class Encoding:
    """How this build spells values and ids in keys."""

    def __init__(self, world: World) -> None:
        self._index = world.build.module("model.index")
        self.id = self._index.encode_id

    def value(self, value: object) -> str:
        return self._index.encode_value("text", value)


class Setup:
    """
    Puts things into the bucket of one run.

    Args:
        world: The run.
        columns: The columns that the table declares, of `x` and `u`.
    """

    def __init__(self, world: World, columns: str) -> None:
        self.world = world
        self.rng: random.Random = world.rng
        self._columns = columns
        self._foreign = random.Random(f"{world.seed}/foreign")
        self._initial: dict[str, State | None] = {}
        world.loop.now = EPOCH - 10 * DAY  # what lies there is old
        self.state(**dict.fromkeys(columns, "complete"))

    def document(self, id: str, *, tags: bool = True, entry: bool = True, fence: bool = False, **fields: Any) -> None:
        """
        A document.

        Args:
            tags: It names its entries and claims.
            entry: Those are there.
        """
        tag_of: dict[str, str] = {}
        for column in self._columns:
            if column == "x":
                tag_of["x"] = f"0x{id}"
                if entry:
                    self.entry(id, fields.get("x"), tag_of["x"])
            elif fields.get("u") is not None:
                body = _compact({"id": id, "nonce": f"0u{id}"})
                tag_of["u"] = hashlib.md5(body).hexdigest()
                if entry:
                    self._put(self.claim_key(fields["u"]), body)
        body = {
            "id": id,
            "table_name": TABLE,
            "fields": fields,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "revision": f"0{id}",
        }
        if not self._columns and self._foreign.random() < 0.15:
            del body["revision"]  # another tool wrote it
        if tags and tag_of:
            body["tags"] = tag_of
        if fence:
            body["fence"] = "0f"
        self._put(f"tables/{TABLE}/objects/{id}.json", _compact(body))
        self._initial[id] = self.world.committed(id)

    def missing(self, id: str) -> None:
        """A document that may come to be."""
        self._initial[id] = None

    def absent(self, id: str) -> None:
        """A key that says "no document", left by an earlier delete."""
        body = {"id": id, "table_name": TABLE, "fields": {}, "revision": f"0{id}", "fence": "0f", "absent": True}
        body |= {"created_at": "0001-01-01T00:00:00Z", "updated_at": "0001-01-01T00:00:00Z"}
        self._put(f"tables/{TABLE}/objects/{id}.json", _compact(body))
        self._initial[id] = None

    def entry(self, id: str, x: str | None, tag: str = "0stray") -> None:
        """An entry, of a document or stray."""
        encoding = self.world.encoding
        self._put(f"tables/{TABLE}/_indexes/x/{encoding.value(x)}/{encoding.id(id)}/{tag}", b"")

    def claim(self, id: str | None, u: str) -> None:
        """A claim of a document that does not have the value, or of nobody."""
        self._put(self.claim_key(u), _compact({"id": id, "nonce": "0stray"}))

    def claim_key(self, u: str) -> str:
        return f"tables/{TABLE}/_uniques/u/{self.world.encoding.value(u)}.json"

    def state(self, **indexes: str | None) -> None:
        """`_state.json`: each column's state; None: no index."""
        body = {
            "nonce": "0",
            "transactions": True,
            "indexes": {
                column: {
                    "state": state,
                    "build": f"0{column}",
                    "columns": [column],
                    "types": ["text"],
                    "unique": column == "u",
                }
                for column, state in indexes.items()
                if state is not None
            },
        }
        self._put(f"tables/{TABLE}/_state.json", _compact(body))

    def ignore_conditions_on_delete(self) -> None:
        """The server has no conditional DELETE."""
        capabilities = self.world.build.protocol.Capabilities
        self.world.capabilities = capabilities(conditional_put=True, conditional_delete=False, sorted_list=True)

    def done(self) -> None:
        """The run may begin."""
        self.world.history = History(self._initial)
        self.world.loop.now = EPOCH

    def _put(self, key: str, data: bytes) -> None:
        put = self.world.memory.put(key, data)
        try:
            put.send(None)
        except StopIteration:
            return
        raise AssertionError("MemoryAdapter waits for nothing")


def _compact(body: dict[str, Any]) -> bytes:
    """As the engine spells it: rewritten without change, these bytes come back."""
    return json.dumps(body, separators=(",", ":")).encode()
