"""Mistakes about transactions."""

from __future__ import annotations

from .build import Edit, Mutation

TRANSACTIONS = {
    "no_validation": Mutation(
        "skew",
        (4, 8, 11),
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
        (0, 1, 2),
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
        (76, 90, 982),
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
        (70, 410, 620),
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
        (502,),
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
        (6, 14, 27),
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
        (113, 224, 1113),
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
        (3681,),
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
        (254, 803, 1558),
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
        (9, 24, 26),
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
        (777,),
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
}
