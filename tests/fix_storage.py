"""
Every store that the tests run over, by name, and what the servers behind them are known not to do (servers.md): a
store's gaps are part of its parameter, so that a test asserts them instead of skipping.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiobotocore.session import AioSession
from fix_server import Server, new_bucket_name

from ddao_async.config import Credentials
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.s3 import S3Adapter
from ddao_async.storage.sqlite import SQLiteAdapter

LANES = ("wire", "aiobotocore")
SERVERS = ("moto_server", "seaweedfs", "rclone_server")
LOCAL = ("memory", "sqlite-memory", "sqlite-file")
STORES = (*LOCAL, *(f"{server}-{lane}" for server in SERVERS for lane in LANES))


class Gaps(msgspec.Struct, frozen=True):
    """What a store's server does not do."""

    ignores_put_conditions: bool = False
    ignores_delete_conditions: bool = False
    sorts_by_directory: bool = False
    answers_range_with_200: bool = False
    adds_metadata: bool = False
    changes_keys: tuple[str, ...] = ()
    """Keys that it cannot hold."""
    holds_no_key_beside_its_directory: bool = False


GAPS = {
    "moto": Gaps(changes_keys=("line\nbreak",)),
    "seaweedfs": Gaps(
        sorts_by_directory=True, changes_keys=("a//b", "dir/", "/x", "./x", "p/../q", "back\\slash", "x" * 256)
    ),
    "rclone": Gaps(
        ignores_put_conditions=True,
        ignores_delete_conditions=True,
        sorts_by_directory=True,
        answers_range_with_200=True,
        adds_metadata=True,
        changes_keys=("a//b", "dir/", "/x", "./x", "p/../q"),
        holds_no_key_beside_its_directory=True,
    ),
}


class Place(msgspec.Struct):
    """One kind of store, and where several adapters for the same objects come from."""

    name: str
    gaps: Gaps
    make: Callable[..., Any]

    def store(self, **options: Any) -> Any:
        """A new adapter, not opened, over the place's objects (of memory: the one adapter there is)."""
        return self.make(**options)


def s3_place(server: Server, lane: str) -> Place:
    """A part of its own of a server's bucket, through one lane."""
    prefix = new_bucket_name()

    def make(**options: Any) -> S3Adapter:
        if lane == "aiobotocore":
            options = {"session": shared_session(server), "credentials": None, **options}
        return s3_store(server, prefix=prefix, transport=lane, **options)

    return Place(f"{server.name}-{lane}", GAPS[server.name], make)


@lru_cache
def shared_session(server: Server) -> AioSession:
    """One aiobotocore session for all tests over a server: it reads botocore's files (300 ms) once."""
    session = AioSession()
    session.set_credentials(server.access_key, server.secret_key)
    return session


def s3_store(server: Server, bucket: str = "", prefix: str = "", **options: Any) -> S3Adapter:
    """An adapter for a bucket at a server, with the server's own credentials."""
    options.setdefault("credentials", Credentials(server.access_key, server.secret_key))
    options.setdefault("endpoint", server.url)
    return S3Adapter(bucket=bucket or server.bucket, prefix=prefix, **options)


def local_place(name: str, folder: Path) -> Place:
    """Memory, or SQLite in memory or in a file."""
    if name == "memory":
        store = MemoryAdapter()
        return Place(name, Gaps(), lambda: store)
    if name == "sqlite-memory":
        lone = SQLiteAdapter(":memory:")
        return Place(name, Gaps(), lambda: lone)
    return Place(name, Gaps(), lambda **options: SQLiteAdapter(folder / "objects.db", **options))


@pytest.fixture(params=STORES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of store in turn, empty."""
    name: str = request.param
    if name in LOCAL:
        return local_place(name, tmp_path)
    server, _, lane = name.rpartition("-")
    return s3_place(request.getfixturevalue(server), lane)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Any]:
    """Each kind of store in turn, empty and open."""
    async with place.store() as opened:
        yield opened
