"""
Mistakes made on purpose, one for each that protocol.md, section 9, says a test must catch.

Each is a few edits of the engine's source (`build.Edit`) and the scenario that finds it out, with seeds that do.
`python -m tests.simulation --mutation NAME` searches others.
"""

from __future__ import annotations

from dataclasses import dataclass

from .build import Edit


@dataclass(frozen=True)
class Mutation:
    """
    A mistake.

    Attributes:
        edits: What makes it.
        scenario: Where it shows.
        seeds: Schedules of that scenario that break by it.
    """

    edits: list[Edit]
    scenario: str
    seeds: tuple[int, ...] = ()


MUTATIONS: dict[str, Mutation] = {
    # Unique columns
    "no_fence": Mutation(
        [
            Edit(
                "claims.py",
                "            after = await fence(engine, table, claim.id, now)\n"
                "            if after is None:\n"
                "                continue\n"
                "            if claim.id == id:\n"
                "                held = after\n",
                "",
            )
        ],
        "takeover",
    ),
    "same_id_unfenced": Mutation(
        [
            Edit(
                "claims.py",
                "            if claim.id is None or etag == own:\n",
                "            if claim.id is None or etag == own or claim.id == id:\n",
            )
        ],
        "takeover",
    ),
    "claim_released_unconditionally": Mutation(
        [
            Edit(
                "settle.py",
                "        return engine.store.delete(key, if_match=place.tag)\n",
                "        return engine.store.delete(key)\n",
            ),
        ],
        "takeover",
    ),
    "claim_kept_after_failed_put": Mutation(
        [
            Edit(
                "claims.py",
                "            if data == mine:\n",
                "            if data == mine or etag == own:\n",
            ),
            Edit(
                "writing.py",
                "    if not outcome.lost:\n        await withdraw(engine, table, id, placed.places)\n",
                "    if not outcome.lost:\n",
            ),
            Edit(
                "writing.py",
                '    if found == "conflict":\n        await withdraw(engine, table, id, placed.places)\n',
                '    if found == "conflict":\n',
            ),
        ],
        "takeover",
    ),
    "fence_forgotten_by_delete": Mutation(
        [
            Edit(
                "settle.py",
                "    if document.fence is None and engine.conditional_delete:\n",
                "    if engine.conditional_delete:\n",
            )
        ],
        "takeover",
    ),
    # Lost answers
    "create_repeated": Mutation(
        [
            Edit(
                "writing.py",
                "    if placed.held is None:\n        return await create_once(engine, placed.document, attempt)\n",
                "    if placed.held is None:\n        return await put_document(engine, attempt.table.name, placed.document, None, attempt)\n",
            )
        ],
        "takeover",
    ),
    "lost_is_conflict": Mutation(
        [
            Edit(
                "model/body.py",
                "    if not may_land and replaced is not None and replaced in now:\n",
                "    if not may_land:\n",
            )
        ],
        "takeover",
    ),
    "unconditional_delete": Mutation(
        [
            Edit(
                "settle.py",
                "        return await delete(engine, object_key(table.name, document.id), held.version)\n    body = gone(",
                '        await engine.store.delete(object_key(table.name, document.id))\n        return Outcome("")\n    body = gone(',
            )
        ],
        "takeover",
    ),
    "entries_without_tags": Mutation(
        [
            Edit("model/keys.py", '{value}/{id}/{tag}"\n', '{value}/{id}/-"\n'),
        ],
        "index",
    ),
}
