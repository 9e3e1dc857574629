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
        scenario: Where it shows.
        seeds: Schedules of that scenario that break by it.
        edits: What makes it.
    """

    scenario: str
    seeds: tuple[int, ...]
    edits: list[Edit]


MUTATIONS = {
    # Transactions
    "no_validation": Mutation(
        "skew",
        (),
        [
            Edit(
                "transaction/commit.py",
                "            await self._validate()\n",
                "",
            ),
        ],
    ),
    "decision_deleted_first": Mutation(
        "transfers",
        (),
        [
            Edit(
                "transaction/commit.py",
                "        if await self._roll(is_committed=True):\n            await self._drop_decision()\n",
                "        await self._drop_decision()\n        await self._roll(is_committed=True)\n",
            ),
        ],
    ),
    "aborted_deleted_after_lost_answer": Mutation(
        "aborted_owner",
        (),
        [
            Edit(
                "transaction/commit.py",
                "        if self._is_sent and is_gone and not self._has_lost:\n",
                "        if self._is_sent and is_gone:\n",
            ),
        ],
    ),
    "no_second_look_at_missing": Mutation(
        "decision_gone",
        (),
        [
            Edit(
                "settle.py",
                "            return intended(document)\n        again = await fetch(engine, table, id)\n",
                "            return intended(document)\n"
                "        if decision is None:\n"
                "            return visible(document)\n"
                "        again = await fetch(engine, table, id)\n",
            ),
            Edit(
                "settle.py",
                '        if decision != "committed":\n            again =',
                '        if decision == "aborted":\n            again =',
            ),
        ],
    ),
    "no_second_look_at_aborted": Mutation(
        "aborted_owner",
        (),
        [
            Edit(
                "settle.py",
                "            return intended(document)\n        again = await fetch(engine, table, id)\n",
                "            return intended(document)\n"
                '        if decision == "aborted":\n'
                "            return visible(document)\n"
                "        again = await fetch(engine, table, id)\n",
            ),
            Edit(
                "settle.py",
                '        if decision != "committed":\n            again =',
                "        if decision is None:\n            again =",
            ),
        ],
    ),
    "written_over_undecided_intent": Mutation(
        "updating",
        (),
        [
            Edit(
                "settle.py",
                "        if tx != waited_for:\n            waited_for, since, number = tx, engine.monotonic(), 0\n",
                "        if decision is None:\n"
                "            body = msgspec.structs.replace(held.document, intent=None)\n"
                "            return Versioned(body, held.version, held.modified)\n",
            ),
        ],
    ),
    "rolled_back_to_old_bytes": Mutation(
        "overtaken",
        (),
        [
            Edit(
                "settle.py",
                "rolled_back(document, fence=engine.nonce())",
                "msgspec.structs.replace(document, intent=None)",
            ),
        ],
    ),
    "create_prewrite_repeated": Mutation(
        "deleting",
        (),
        [
            Edit(
                "transaction/commit.py",
                "outcome = await create_once(self._engine, body, attempt)",
                "outcome = await put_document(self._engine, table, body, None, attempt)",
            ),
        ],
    ),
    "missing_keys_unlocked": Mutation(
        "one_is_missing",
        (),
        [
            Edit(
                "transaction/plan.py",
                "    locks |= dict.fromkeys(missing[1:], ERASE)\n    checks = missing[:1] + [",
                "    checks = missing + [",
            ),
            Edit(
                "transaction/commit.py",
                "        await all_of([self._check(key) for key in missing])\n",
                "        await all_of([self._check(key) for key in reversed(missing)])\n",
            ),
        ],
    ),
    "aborted_created_after_lost_committed": Mutation(
        "aborted_owner",
        (),
        [
            Edit(
                "transaction/commit.py",
                "            if not is_sent:\n                raise Aborted(",
                "            if True:\n                raise Aborted(",
            ),
            Edit(
                "transaction/commit.py",
                "        if decision is None:\n            raise self._unknown()\n",
                '        if decision is None:\n            raise Aborted(self._conflict("nothing was decided"))\n',
            ),
        ],
    ),
    "no_hour": Mutation(
        "vacuum",
        (),
        [
            Edit(
                "conditional.py",
                "        if engine.monotonic() - self.began + engine.deadline > engine.settings.hour:\n",
                "        if False:\n",
            ),
            Edit(
                "transaction/commit.py",
                "        while engine.monotonic() - self._began + engine.deadline <= engine.settings.hour:\n",
                "        while True:\n",
            ),
        ],
    ),
    # Single documents
    "no_revision": Mutation(
        "values_back",
        (),
        [
            Edit(
                "writing.py",
                "    revision = mark + engine.nonce()\n",
                '    revision = mark + "same"\n',
            ),
        ],
    ),
    "lost_answer_taken_for_conflict": Mutation(
        "updating",
        (),
        [
            Edit(
                "model/body.py",
                "    if not may_land and replaced is not None and replaced in now:\n",
                "    if not may_land:\n",
            ),
        ],
    ),
    "create_repeated": Mutation(
        "takeover",
        (),
        [
            Edit(
                "writing.py",
                "        return await create_once(engine, placed.document, attempt)\n",
                "        return await put_document(engine, attempt.table.name, placed.document, None, attempt)\n",
            ),
        ],
    ),
    "lost_insert_replayed": Mutation(
        "deleting",
        (),
        [
            Edit(
                "writing.py",
                "            await put_document(engine, table.name, body, None)\n",
                "            await put_document(engine, table.name, body, None)\n"
                "            return Refused(await settled(engine, table, document.id))\n",
            ),
        ],
    ),
    "unconditional_delete": Mutation(
        "deleting",
        (),
        [
            Edit(
                "settle.py",
                "        return await delete(engine, object_key(table.name, document.id), held.version)\n    body =",
                "        await engine.store.delete(object_key(table.name, document.id))\n"
                '        return Outcome("")\n'
                "    body =",
            ),
        ],
    ),
    # Unique columns
    "fence_forgotten_by_delete": Mutation(
        "takeover",
        (),
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
        (),
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
        (),
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
        (),
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
        (),
        [
            Edit(
                "settle.py",
                "        return engine.store.delete(key, if_match=place.tag)\n",
                "        return engine.store.delete(key)\n",
            ),
        ],
    ),
    # Indexes
    "entries_without_tags": Mutation(
        "index",
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
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
        (),
        [
            Edit(
                "conditional.py",
                "return Outcome(None, lost, may_land=lost)",
                "return Outcome(None, lost)",
            ),
        ],
    ),
    # Vacuum
    "vacuum_without_dying": Mutation(
        "vacuum",
        (),
        [
            Edit(
                "maintenance/bury.py",
                "    began = engine.monotonic()\n",
                "    began = engine.monotonic()\n    await engine.store.delete(key)\n    return True\n",
            ),
        ],
    ),
    "vacuum_with_late_delete": Mutation(
        "vacuum",
        (),
        [
            Edit(
                "maintenance/bury.py",
                "    if left <= 0:\n        return False",
                "    if False:\n        return False",
            ),
            Edit(
                "maintenance/bury.py",
                "        if engine.deadline <= left:\n",
                "        if True:\n",
            ),
        ],
    ),
    "vacuum_of_young_things": Mutation(
        "vacuum",
        (),
        [
            Edit(
                "maintenance/vacuum.py",
                "return modified is not None and self.engine.clock() - modified.timestamp() > self.engine.settings.day",
                "return modified is not None",
            ),
        ],
    ),
    "vacuum_of_decision_before_intents": Mutation(
        "vacuum",
        (),
        [
            Edit(
                "maintenance/vacuum.py",
                '        if decision.state == "committed" and not self.dry_run:\n',
                "        if False:\n",
            ),
        ],
    ),
    "dying_written_over": Mutation(
        "vacuum",
        (),
        [
            Edit(
                "settle.py",
                "    if modified is None:\n        try:\n            modified = (await",
                "    if True:\n"
                "        return False\n"
                "    if modified is None:\n"
                "        try:\n"
                "            modified = (await",
            ),
        ],
    ),
    # Leases
    "lease_taken_before_its_end": Mutation(
        "leases",
        (),
        [
            Edit(
                "lease.py",
                "            if state is None or state.holder is None or self._has_expired(state):\n",
                "            if True:\n",
            ),
        ],
    ),
    "lease_token_does_not_grow": Mutation(
        "leases",
        (),
        [
            Edit(
                "lease.py",
                "await self._take(state.token + 1 if state else 1, etag)",
                "await self._take(state.token if state else 1, etag)",
            ),
        ],
    ),
}
