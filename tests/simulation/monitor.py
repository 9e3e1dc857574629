"""What must hold in the bucket after every single request (protocol.md, section 9), besides the history."""

from __future__ import annotations

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
