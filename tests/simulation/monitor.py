"""What must hold in the bucket after every single request (protocol.md, section 9), besides the history."""

from __future__ import annotations

from typing import Any

from .history import State, Violation
from .world import TABLE, World

STATE_KEY = f"tables/{TABLE}/_state.json"


class Indexes:
    """
    Always, for every index that readers may use: a live document has its entry (claim), no two share a unique value.

    An index may be used while it is `complete`, and by an old copy of `_state.json` while it is `dropping` after that.
    """

    def __init__(self) -> None:
        self._completed: dict[str, str] = {}

    def __call__(self, world: World, key: str) -> None:
        """Look after a request to this key."""
        if key.startswith("_leases/"):
            return
        indexes = (world.object(STATE_KEY) or {"indexes": {}})["indexes"]
        for column, index in indexes.items():
            if index["state"] == "complete":
                self._completed[column] = index["build"]
            if index["state"] == "building" or self._completed.get(column) != index["build"]:
                continue
            live = {doc: state for doc in world.history.logs if (state := world.history.now(doc)) is not None}
            if column == "u":
                _claims_hold(world, live)
            else:
                _entries_hold(world, live)


class Leases:
    """
    Always: of all who took one lease, at most one believes that it holds it, and tokens only grow.

    A stalled or dead client believes until its own time is over: others must have waited for that.
    """

    def __init__(self) -> None:
        self._held: list[Any] = []
        self._token = 0

    def taken(self, lease: Any) -> None:
        """A client has just been told that it holds it."""
        if lease.is_lost:
            return  # the answer came too late
        for other in self._held:
            if not other.is_lost:
                raise Violation(f"two hold the lease: with token {other.token} and {lease.token}")
            if other.token == lease.token:
                raise Violation(f"token {lease.token} was given twice")
        self._held.append(lease)

    def left(self, lease: Any) -> None:
        """A client is through with it."""
        if lease in self._held:
            self._held.remove(lease)

    def __call__(self, world: World, key: str) -> None:
        """Look after a request to this key."""
        if not key.startswith("_leases/"):
            return
        state = world.object(key)
        if state is None or state["token"] < self._token:
            raise Violation(f"the token fell from {self._token}: {state}")
        self._token = state["token"]


def _entries_hold(world: World, live: dict[str, State]) -> None:
    for doc, state in live.items():
        value = world.encoding.value(state.fields.get("x"))
        prefix = f"tables/{TABLE}/_indexes/x/{value}/{world.encoding.id(doc)}/"
        if not world.keys(prefix):
            raise Violation(f"{doc} has x={state.fields.get('x')} and no entry")


def _claims_hold(world: World, live: dict[str, State]) -> None:
    owners: dict[str, str] = {}
    for doc, state in live.items():
        u = state.fields.get("u")
        if u is None:
            continue
        if owners.setdefault(u, doc) != doc:
            raise Violation(f"{owners[u]} and {doc} have u={u}")
        claim = world.object(f"tables/{TABLE}/_uniques/u/{world.encoding.value(u)}.json")
        if claim is None or claim["id"] != doc:
            raise Violation(f"{doc} has u={u}, the claim says {claim}")
