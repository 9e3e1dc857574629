"""Mistakes about single documents."""

from __future__ import annotations

from .build import Edit, Mutation

DOCUMENTS = {
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
}
