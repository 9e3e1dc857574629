"""One table on one store under a clock that tests move: what the tests of maintenance stand on."""

from __future__ import annotations

import json
from typing import Any

from ddao_async.documents import Documents
from ddao_async.engine import Engine, Settings
from ddao_async.model.index import IndexLayout, encode_value
from ddao_async.state import TableLayout
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import Capabilities
from ddao_async.testing import ManualClock

AGE = IndexLayout("age", ("age",), ("integer",))
EMAIL = IndexLayout("email", ("email",), ("text",), unique=True)
DAY = 86400.0
QUIET = 60.0 + 900.0 + 60.0
GO_TIME = "2026-11-22T10:17:41.946289548Z"


class TableWorld:
    """
    A table `users`, and clients of it that share a clock.

    Args:
        indexes: Those declared; complete from the start, as the table is empty.
        store: Default: in memory, under the clock of this world.
    """

    def __init__(
        self,
        *indexes: IndexLayout,
        store: Any = None,
        transactions: bool = True,
        capabilities: Capabilities | None = None,
        table: str = "users",
    ) -> None:
        self.clock = ManualClock()
        self.store = store if store is not None else MemoryAdapter(clock=self.clock)
        self.layout = TableLayout(table, indexes, transactions)
        self.capabilities = capabilities
        self.engine = self.client()
        self.documents = Documents(self.layout, engine=self.engine)

    def client(self, store: Any = None) -> Engine:
        """Another client of the same bucket, with copies of its own; its requests may be 15 minutes on their way."""
        engine = Engine(
            store or self.store,
            settings=Settings(),
            clock=self.clock,
            monotonic=self.clock,
            sleep=self.clock.sleep,
            capabilities=self.capabilities,
        )
        engine.grace = 900.0
        return engine

    def declared(self, *indexes: IndexLayout) -> TableLayout:
        """The same table with these indexes declared."""
        return TableLayout(self.layout.name, indexes, self.layout.transactions)

    async def insert(self, id: str, **fields: Any) -> None:
        await self.documents.insert(id, json.dumps(fields).encode())

    async def update(self, id: str, **fields: Any) -> None:
        await self.documents.update(id, lambda _: json.dumps(fields).encode())

    async def put_foreign(self, id: str, **fields: Any) -> None:
        """A document as DDAO's Go library writes it."""
        body = {"id": id, "table_name": self.layout.name, "fields": fields, "created_at": GO_TIME}
        text = json.dumps(body | {"updated_at": "0001-01-01T00:00:00Z"}, indent=2)
        await self.store.put(f"tables/{self.layout.name}/objects/{id}.json", text.encode())

    async def keys(self, part: str = "") -> list[str]:
        """Keys that hold this part."""
        return [info.key async for info in self.store.list() if part in info.key]

    async def body(self, key: str) -> dict[str, Any]:
        """The JSON under a key; an id means its document."""
        if not key.endswith(".json"):
            key = f"tables/{self.layout.name}/objects/{key}.json"
        return json.loads((await self.store.get(key)).data)

    async def states(self) -> dict[str, str]:
        """Index name -> its state."""
        body = await self.body(f"tables/{self.layout.name}/_state.json")
        return {name: index["state"] for name, index in body["indexes"].items()}

    async def by_age(self, age: int | None, client: Engine | None = None) -> list[str]:
        """Ids under a value of `age`, as its index says."""
        documents = Documents(self.layout, engine=client or self.engine)
        value = encode_value("integer", age)
        return [entry.id async for entry in documents.entries("age", start=value, stop=value + "0")]

    async def by_email(self, email: str) -> str | None:
        """The id that claims an e-mail address."""
        return await self.documents.claimed("email", encode_value("text", email))
