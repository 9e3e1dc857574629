"""Mistakes about indexes."""

from __future__ import annotations

from .build import Edit, Mutation

INDEXES = {
    "entries_without_tags": Mutation(
        "index",
        (0, 2, 3),
        [
            Edit(
                "model/keys.py",
                '_indexes/{column}/{value}/{id}/{tag}"\n',
                '_indexes/{column}/{value}/{id}/0"\n',
            ),
        ],
    ),
    "readers_delete_entries": Mutation(
        "index",
        (28, 41, 54),
        [
            Edit(
                "lookup.py",
                "                if whole is not None:\n                    yield Entry(value, whole)\n",
                "                if whole is not None:\n"
                "                    from .settle import fetch, resolved\n"
                "\n"
                "                    live = await resolved(engine, table, whole, await fetch(engine, table, whole))\n"
                "                    copy = await engine.states.copy(table)\n"
                "                    if live is None or copy.values(live.fields).get(index) != value:\n"
                "                        await engine.store.delete(info.key)\n"
                "                    yield Entry(value, whole)\n",
            ),
        ],
    ),
    "complete_without_wait": Mutation(
        "build",
        (60, 61, 90),
        [
            Edit(
                "maintenance/build.py",
                "await engine.sleep(engine.quiet_time)",
                "await engine.sleep(0)",
            ),
        ],
    ),
    "complete_after_120_seconds": Mutation(
        "build",
        (123, 403, 616),
        [
            Edit(
                "maintenance/build.py",
                "await engine.sleep(engine.quiet_time)",
                "await engine.sleep(120)",
            ),
        ],
    ),
    "entries_not_recorded": Mutation(
        "build",
        (3, 4, 9),
        [
            Edit(
                "maintenance/build.py",
                "        if not placed:\n            return True\n        body",
                "        if True:\n            return True\n        body",
            ),
        ],
    ),
    "claims_not_recorded": Mutation(
        "built_claims",
        (11, 17, 48),
        [
            Edit(
                "maintenance/build.py",
                "        if not placed:\n            return True\n        body",
                "        if True:\n            return True\n        body",
            ),
            Edit(
                "claims.py",
                "    undone = [one for one in made if not one.unique or before.get(one.index) != one.value]\n",
                "    undone = made\n",
            ),
        ],
    ),
    "read_while_building": Mutation(
        "build",
        (7, 16, 21),
        [
            Edit(
                "lookup.py",
                "    return index in (await engine.states.copy(table, create=False)).complete\n",
                "    copy = await engine.states.copy(table, create=False)\n"
                "    found = copy.state.indexes.get(index) if copy.state else None\n"
                '    return found is not None and found.state != "dropping"\n',
            ),
        ],
    ),
    "old_copy_used": Mutation(
        "build",
        (151, 233, 382),
        [
            Edit(
                "state.py",
                "        settings, deadline = self._engine.settings, self._engine.deadline\n        left =",
                "        return True\n        left =",
            ),
        ],
    ),
    "new_copy_without_starting_over": Mutation(
        "build",
        (494, 3675, 5240),
        [
            Edit(
                "conditional.py",
                "            if copy.builds != self.copy.builds:\n"
                "                return False\n"
                "            self.copy = copy\n",
                "            self.copy = copy\n",
            ),
        ],
    ),
    "copies_compared_by_states": Mutation(
        "back_again",
        (1004, 3413, 3539),
        [
            Edit(
                "state.py",
                "self.builds = tuple((name, index.build, index.unique)",
                "self.builds = tuple((name, index.state, index.unique)",
            ),
        ],
    ),
    "state_without_nonce": Mutation(
        "back_again",
        (9, 146, 283),
        [
            Edit(
                "state.py",
                "wanted = msgspec.structs.replace(wanted, nonce=self._engine.nonce())",
                'wanted = msgspec.structs.replace(wanted, nonce="same")',
            ),
            Edit(
                "maintenance/build.py",
                "    build = engine.nonce()\n",
                '    build = "same"\n',
            ),
        ],
    ),
    "tags_of_an_earlier_index_trusted": Mutation(
        "build",
        (13, 25, 29),
        [
            Edit(
                "maintenance/build.py",
                "        entry = place if recorded else replace(",
                "        if recorded:\n            return None\n        entry = place if recorded else replace(",
            ),
        ],
    ),
    "dropped_in_one_step": Mutation(
        "drop",
        (124, 413, 450),
        [
            Edit(
                "maintenance/drop.py",
                "await engine.sleep(engine.quiet_time)",
                "await engine.sleep(0)",
            ),
        ],
    ),
    "entries_deleted_of_an_index_that_is_back": Mutation(
        "back_again",
        (2, 11, 70),
        [
            Edit(
                "maintenance/drop.py",
                "        if index in copy.indexes:\n            return False\n        by_copy",
                "        by_copy",
            ),
        ],
    ),
    "lost_write_started_over_under_a_new_index": Mutation(
        "build_lost",
        (942,),
        [
            Edit(
                "conditional.py",
                "return Outcome(None, lost, may_land=lost)",
                "return Outcome(None, lost)",
            ),
        ],
    ),
}
