"""
The store over the wire lane, a fault proxy and a real server, for a while: nothing lost, nothing doubled, nothing left.

    DDAO_SOAK_SECONDS=300 DDAO_SOAK_SEED=7 pytest tests/wire/test_soak.py -s        minutes, by hand
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import time
import warnings
from collections import Counter
from pathlib import Path

import pytest
from fix_proxy import Fault, FaultProxy, fault_proxy, s3_error
from fix_server import Server

from ddao_async.config import Credentials
from ddao_async.errors import ConflictError, DDAOError, NotFoundError, UnknownOutcomeError
from ddao_async.storage.s3 import S3Adapter

SECONDS = float(os.environ.get("DDAO_SOAK_SECONDS", "8"))
SEED = int(os.environ.get("DDAO_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
WORKERS = 12
FAULT_RATE = 0.12
KINDS = (
    "refuse",
    "reset",
    "drop_response",
    "cut_response",
    "half_close",
    "delay",
    "answer",
    "answer_after",
    "hang",
    "hang_after",
)


class Soak:
    """
    Workers that each write keys of their own, conditionally, and all count in one key.

    Attributes:
        possible: What each key may hold: one value while all answers came; more after an unknown outcome.
        counted: Increments of the shared counter that were answered.
        doubtful: Those that were not.
    """

    def __init__(self, store: S3Adapter, source: random.Random, until: float) -> None:
        self.store = store
        self.source = source
        self.until = until
        self.possible: dict[str, set[bytes | None]] = {}
        self.counted = 0
        self.doubtful = 0
        self.seen: Counter[str] = Counter()

    async def work(self, name: str) -> None:
        number = 0
        while time.monotonic() < self.until:
            number += 1
            try:
                match self.source.randrange(8):
                    case 0:
                        await self.count()
                    case 1:
                        await self.cancelled(f"{name}/{self.source.randrange(3)}")
                    case 2:
                        await self.large()
                    case _:
                        await self.write(f"{name}/{self.source.randrange(3)}", f"{name} {number}".encode())
            except UnknownOutcomeError:
                raise AssertionError("every write looks at its own outcome") from None
            except DDAOError as error:
                self.seen[type(error).__name__] += 1

    async def read(self, key: str) -> tuple[bytes | None, str]:
        """What a key holds; it must be something that it may hold."""
        try:
            found = await self.store.get(key)
        except NotFoundError:
            value, etag = None, ""
        else:
            assert found is not None
            value, etag = found.data, found.info.etag
        allowed = self.possible.get(key, {None})
        assert value in allowed, (key, value, allowed)
        self.possible[key] = {value}
        return value, etag

    async def write(self, key: str, data: bytes) -> None:
        value, etag = await self.read(key)
        gone = value is not None and self.source.random() < 0.2
        after = None if gone else data
        self.possible[key] = {value, after}
        try:
            if value is None:
                await self.store.put(key, data, if_none_match=True)
            elif gone:
                await self.store.delete(key, if_match=etag)
            else:
                await self.store.put(key, data, if_match=etag, metadata={"writer": key.partition("/")[0]})
        except UnknownOutcomeError:
            self.seen["unknown"] += 1
            await asyncio.sleep(0.3)
        except ConflictError as error:
            raise AssertionError(f"nobody else writes {key}") from error
        except DDAOError:
            self.possible[key] = {value}
            raise
        else:
            self.possible[key] = {after}
            self.seen["written"] += 1

    async def cancelled(self, key: str) -> None:
        """A read that is given up somewhere in its middle."""
        task = asyncio.create_task(self.read_only(key))
        await asyncio.sleep(self.source.random() * 0.01)
        task.cancel()
        await asyncio.wait([task])

    async def read_only(self, key: str) -> None:
        try:
            await self.store.get(key)
        except DDAOError as error:
            self.seen[type(error).__name__] += 1

    async def large(self) -> None:
        """Two long reads, one of them streamed."""
        found = await self.store.get("large")
        assert found is not None
        assert found.data == LARGE
        size = 0
        async with self.store.open("large") as stream:
            async for chunk in stream:
                assert chunk == LARGE[size : size + len(chunk)]
                size += len(chunk)
        assert size == len(LARGE)
        self.seen["large"] += 1

    async def count(self) -> None:
        found = await self.store.get("counter")
        assert found is not None
        try:
            await self.store.put("counter", str(int(found.data) + 1).encode(), if_match=found.info.etag)
        except UnknownOutcomeError:
            self.doubtful += 1
        except ConflictError:
            self.seen["conflict"] += 1
        else:
            self.counted += 1


LARGE = bytes(range(256)) * 2000


def faults(proxy: FaultProxy, source: random.Random) -> None:
    """Let every tenth request or so meet one."""

    def choose(_method: str, _path: str) -> Fault | None:
        if source.random() > FAULT_RATE:
            return None
        kind = source.choice(KINDS)
        error = s3_error(503, "SlowDown") if kind == "answer" else s3_error(500, "InternalError")
        return Fault(kind, at=source.randrange(300), seconds=source.random() * 0.2, answer=error)

    proxy.choose = choose


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


async def test_nothing_is_lost_doubled_or_left(moto_server: Server) -> None:
    source = random.Random(SEED)
    print(f"seed {SEED}")
    bucket = moto_server.create_bucket()
    credentials = Credentials(moto_server.access_key, moto_server.secret_key)
    before = asyncio.all_tasks()
    options = {"deadline": 4.0, "read_timeout": 0.5, "max_connections": 8, "transport": "wire", "region": "us-east-1"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with fault_proxy(moto_server.url) as proxy:
            files = descriptors()
            async with S3Adapter(bucket, endpoint=proxy.url, credentials=credentials, **options) as store:
                await store.put("counter", b"0")
                await store.put("large", LARGE)
                soak = Soak(store, source, time.monotonic() + SECONDS)
                await store.put("probe", b"x")
                with pytest.raises(ConflictError):
                    await store.delete("probe", if_match="0" * 32)
                faults(proxy, source)
                async with asyncio.TaskGroup() as group:
                    for at in range(WORKERS):
                        group.create_task(soak.work(f"w{at}"))
                proxy.choose = None
                await asyncio.sleep(0.6)
                for key in list(soak.possible):
                    await soak.read(key)
                total = int((await store.get("counter")).data)
            for _ in range(50):
                if proxy.open_connections == 0 and descriptors() <= files:
                    break
                await asyncio.sleep(0.02)
            assert proxy.open_connections == 0
            assert descriptors() <= files
        await asyncio.sleep(0.05)
        gc.collect()

    assert soak.counted <= total <= soak.counted + soak.doubtful
    assert soak.seen["written"] > 10
    assert soak.seen["large"] > 0
    assert asyncio.all_tasks() <= before
    assert [str(entry.message) for entry in caught if issubclass(entry.category, ResourceWarning)] == []
    print(dict(soak.seen), f"counted {soak.counted}, in doubt {soak.doubtful}, {len(proxy.requests)} requests")
