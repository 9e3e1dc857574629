"""Mistakes about single documents."""

from __future__ import annotations

from .build import Edit, Mutation

DOCUMENTS = {
    "no_revision": Mutation(
        "values_back",
        (0, 1, 2),
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
        (456, 1064, 1405),
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
        (374, 1592, 1600),
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
        (121, 191, 217),
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
        (194, 218, 348),
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
}
