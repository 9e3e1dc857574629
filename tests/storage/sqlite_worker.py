"""A process of test_sqlite: increments a counter in a file, conditionally, and puts keys of its own."""

from __future__ import annotations

import asyncio
import sys

from ddao_async.errors import AlreadyExistsError, ConflictError
from ddao_async.storage.sqlite import SQLiteAdapter


async def work(path: str, name: str, times: int) -> int:
    won = 0
    async with SQLiteAdapter(path) as store:
        for n in range(times):
            try:
                await store.put(f"claim/{n}", name.encode(), if_none_match=True)
                won += 1
            except AlreadyExistsError:
                pass
            while True:
                read = await store.get("counter")
                assert read is not None
                try:
                    await store.put("counter", b"%d" % (int(read.data) + 1), if_match=read.info.etag)
                    break
                except ConflictError:
                    continue
            await store.put(f"own/{name}/{n}", b"x" * 5000)
    return won


if __name__ == "__main__":
    print(asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
