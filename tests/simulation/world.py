"""
One run: a bucket, the history of what became visible in it, and monitors that look after every change.

All choices of a run come from one seeded random source, so a seed is a run.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

from .build import Build
from .client import Client, short
from .history import FOREIGN, History, Sent, State, Violation
from .loop import OWNER, SimulationLoop
from .misfortune import Misfortune

EPOCH = 1_795_305_600.0
TABLE = "t"


class World:
    """
    Everything of one run.

    Args:
        build: The package under test.
        seed: Any string; the same string is the same run.
        trace: Print each step.
    """

    def __init__(self, build: Build, seed: str, *, trace: bool = False) -> None:
        self.build = build
        self.seed = seed
        self.rng = random.Random(seed)
        self.trace = trace
        self.loop = SimulationLoop(EPOCH)
        self.clock = self.loop.time
        self.step = 0
        self.memory = build.memory.MemoryAdapter(clock=self.clock)
        conditional_delete = self.rng.random() < 0.7
        self.capabilities = build.protocol.Capabilities(
            conditional_put=True, conditional_delete=conditional_delete, sorted_list=True
        )
        self.page_size = self.rng.choice((1, 2, 1000))
        self.max_attempts = self.rng.choice((1, 2, 8))
        self.misfortune = Misfortune()
        self.history = History({})
        self.monitors: list[Callable[[World, str], None]] = []
        self.scheduler: Any = None
        """Makes the choices; set while clients run."""
        self._applying: Sent | None = None

    # The bucket, watched

    def object(self, key: str) -> dict[str, Any] | None:
        """The JSON of a key, past all faults."""
        found = self.memory._objects.get(key)
        return found and json.loads(found.data)

    def is_locked(self, id: str, *, decided: bool = False) -> bool:
        """Is there an intent on this document, and is it decided?"""
        body = self.object(f"tables/{TABLE}/objects/{id}.json")
        if body is None or "intent" not in body:
            return False
        return not decided or self.object(f"_transactions/{body['intent']['tx']}.json") is not None

    def is_fenced(self, id: str) -> bool:
        """Has somebody fenced this document?"""
        body = self.object(f"tables/{TABLE}/objects/{id}.json")
        return body is not None and "fence" in body

    def is_dying(self) -> bool:
        """Is any key about to be deleted without a condition?"""
        return any("dying" in (self.object(key) or {}) for key in self.keys(f"tables/{TABLE}/objects/"))

    def index_state(self, column: str) -> str | None:
        """What `_state.json` says of an index; None: there is none."""
        indexes = (self.object(f"tables/{TABLE}/_state.json") or {"indexes": {}})["indexes"]
        return indexes[column]["state"] if column in indexes else None

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.memory._keys if key.startswith(prefix)]

    def committed(self, id: str) -> State | None:
        """The committed state of a document: through its intent, if that is decided."""
        body = self.object(f"tables/{TABLE}/objects/{id}.json")
        if body is None:
            return None
        if intent := body.get("intent"):
            decision = self.object(f"_transactions/{intent['tx']}.json")
            if decision is not None and decision["state"] == "committed":
                if intent["op"] == "delete":
                    return None
                return _state(intent["document"])
        return None if body.get("absent") else _state(body)

    def changed(self, key: str) -> None:
        """A request was applied to this key: see what became visible by it."""
        if key.startswith((f"tables/{TABLE}/objects/", "_transactions/")):
            after = {}
            for doc in self.history.logs:
                state, before = self.committed(doc), self.history.now(doc)
                if (state and state.revision) != (before and before.revision):
                    after[doc] = state
                elif state is not None and before is not None and state.fields != before.fields:
                    raise Violation(f"{doc} changed from {before} to {state} without a new revision")
            if after:
                self.history.record(self.step, self._applying, after)
        for monitor in self.monitors:
            monitor(self, key)

    def alone(self, program: Callable[[], Awaitable[Any]]) -> Any:
        """Run something by itself to its end, timers fired as soon as they stand."""
        with self.loop:
            context = copy_context()
            owner = object()
            context.run(OWNER.set, owner)
            task = self.loop.create_task(program(), context=context)
            self.loop.drain()
            for _ in range(2000):
                if task.done():
                    return task.result()
                if self.loop.next_timer(owner) is None:
                    break
                self.loop.fire(owner)
            task.cancel()
            self.loop.drain()
            raise Violation("no progress: a client alone does not come to an end")

    # The trace

    def sending(self, sent: Sent | None, client: Client, attempt: Any, note: str) -> None:
        """The next change of the bucket is this request's."""
        self._applying = sent
        if self.trace:
            self.say(client, short(attempt), note)

    def say(self, client: object, what: str, note: str) -> None:
        if self.trace:
            print(f"{self.step:5} {self.loop.now - EPOCH:10.1f} {client!r:4} {what} {note}")


def _state(body: dict[str, Any]) -> State:
    return State(body.get("revision") or FOREIGN, body.get("fields") or {}, body.get("tags") or {})
