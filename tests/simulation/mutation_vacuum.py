"""Mistakes about vacuum."""

from __future__ import annotations

from .build import Edit, Mutation

VACUUM = {
    "vacuum_without_dying": Mutation(
        "vacuum",
        (39, 468, 1635),
        [
            Edit(
                "maintenance/bury.py",
                "    began = engine.monotonic()\n",
                "    began = engine.monotonic()\n    await engine.store.delete(key)\n    return True\n",
            ),
        ],
    ),
    "vacuum_with_late_delete": Mutation(
        "burying",
        (149, 1541, 2003),
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
        (7, 15, 55),
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
        (24, 270),
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
        (557, 925, 1392),
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
}
