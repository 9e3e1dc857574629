"""A bucket in memory, its clients, and what the tests of the engine look at in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from ddao_async.documents import Documents
from ddao_async.engine import Engine, Settings
from ddao_async.model.document import Document
from ddao_async.model.index import IndexLayout
from ddao_async.state import TableLayout
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import Capabilities
from ddao_async.testing import CountingStore, FaultyStore, ManualClock
from ddao_async.testing.fault import Fate, Faults, Script

AGE = IndexLayout("age", ("age",), ("integer",))
EMAIL = IndexLayout("email", ("email",), ("text",), unique=True)
PLAIN = TableLayout("notes")
INDEXED = TableLayout("users", (AGE, EMAIL))
ENFORCED = Capabilities(conditional_put=True, conditional_delete=True, sorted_list=True)
NO_DELETE = Capabilities(conditional_put=True, conditional_delete=False, sorted_list=True)
NO_CONDITIONS = Capabilities(conditional_put=False, conditional_delete=False, sorted_list=True)


class Bucket:
    """One bucket in memory, and a clock that its clients share."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.memory = MemoryAdapter(clock=self.clock)

    def client(
        self,
        table: TableLayout = PLAIN,
        *,
        faults: Faults | None = None,
        capabilities: Capabilities = ENFORCED,
        settings: Settings | None = None,
        name: str = "c",
    ) -> Client:
        return Client(self, table, faults or Script(), capabilities, settings or Settings(), name)

    async def body(self, id: str, table: str = "notes") -> dict[str, Any] | None:
        """What a document's key holds, as JSON."""
        return await self.json(f"tables/{table}/objects/{id}.json")

    async def json(self, key: str) -> Any:
        if key not in await self.keys():
            return None
        found = await self.memory.get(key)
        return json.loads(found.data) if found else None

    async def keys(self, prefix: str = "") -> list[str]:
        return [info.key async for info in self.memory.list(prefix)]

    async def put(self, key: str, value: Any) -> None:
        """Write as another tool would: no condition, no revision."""
        await self.memory.put(key, json.dumps(value).encode())


class Client:
    """One client of a bucket: an engine whose requests are counted and may be made to fail."""

    def __init__(
        self,
        bucket: Bucket,
        table: TableLayout,
        faults: Faults,
        capabilities: Capabilities,
        settings: Settings,
        name: str,
    ) -> None:
        self.bucket = bucket
        self.faulty = FaultyStore(bucket.memory, faults, capabilities=capabilities, deadline=0.0, max_attempts=1)
        self.store = CountingStore(self.faulty)
        drawn = count(1)
        self.engine = Engine(
            self.store,
            settings=settings,
            clock=bucket.clock,
            monotonic=bucket.clock,
            sleep=bucket.clock.sleep,
            nonce=lambda: f"{name}{next(drawn)}",
            jitter=lambda: 0.5,
            capabilities=capabilities,
        )
        self.table = table
        self.documents = Documents(table, engine=self.engine)

    async def ready(self) -> Client:
        """The table's state known already, and nothing counted."""
        await self.engine.states.copy(self.table)
        self.store.reset()
        return self

    def fail(self, *fates: Fate) -> None:
        """What happens to the next requests."""
        self.faulty._faults = Script(*fates)

    @property
    def requests(self) -> list[str]:
        """`PUT objects/a` and so on: operation and key, without the tags of entries."""
        return [f"{operation.upper()} {_short(key)}" for operation, key in self.store.requests]


def _short(key: str) -> str:
    parts = key.removeprefix("tables/").removesuffix(".json").split("/")
    if len(parts) > 2 and parts[1] in ("_indexes", "_uniques"):
        return "entry" if parts[1] == "_indexes" else "claim"
    if parts[0] == "_transactions":
        return "decision"
    return "/".join(parts[2:]) if len(parts) > 2 else "/".join(parts[1:]) or key


def fields(**values: Any) -> bytes:
    return json.dumps(values).encode()


def values(document: Document | None) -> dict[str, Any] | None:
    return None if document is None else json.loads(bytes(document.fields))


def becomes(**changes: Any) -> Callable[[Document], bytes]:
    """A change: these fields beside the others."""
    return lambda document: json.dumps(json.loads(bytes(document.fields)) | changes).encode()


def adds(number: int) -> Callable[[Document], bytes]:
    """A change: `n` grows."""
    return lambda document: fields(n=json.loads(bytes(document.fields))["n"] + number)
