"""Mistakes about unique columns."""

from __future__ import annotations

from .build import Edit, Mutation

UNIQUES = {
    "fence_forgotten_by_delete": Mutation(
        "takeover",
        (143, 369, 405),
        [
            Edit(
                "settle.py",
                "    if document.fence is None and engine.conditional_delete:\n        return await delete(",
                "    if engine.conditional_delete:\n        return await delete(",
            ),
        ],
    ),
    "no_fence": Mutation(
        "takeover",
        (11, 24, 27),
        [
            Edit(
                "claims.py",
                "            after = await fence(engine, table, claim.id, now)\n"
                "            if after is None:\n"
                "                continue\n"
                "            if claim.id == id:\n"
                "                held = after\n",
                "",
            ),
        ],
    ),
    "own_id_unfenced": Mutation(
        "takeover",
        (10, 13, 17),
        [
            Edit(
                "claims.py",
                "            if claim.id is None or etag == own:\n",
                "            if claim.id is None or etag == own or claim.id == id:\n",
            ),
        ],
    ),
    "claim_kept_after_failed_put": Mutation(
        "takeover",
        (492, 729, 1590),
        [
            Edit(
                "claims.py",
                "            if data == mine:\n",
                "            if data == mine or etag == own:\n",
            ),
            Edit(
                "writing.py",
                "    if not outcome.lost:\n        await withdraw(engine, table, document.id, placed.places)\n",
                "    if not outcome.lost:\n",
            ),
        ],
    ),
    "claim_released_unconditionally": Mutation(
        "takeover",
        (11, 24, 33),
        [
            Edit(
                "settle.py",
                "        return engine.store.delete(key, if_match=place.tag)\n",
                "        return engine.store.delete(key)\n",
            ),
        ],
    ),
}
