"""
Fixtures for tests of programs that use ddao_async; pytest finds them by itself where both are installed.

    async def test_signup(ddao_memory):                        # a Database in memory, new for each test
        await ddao_memory.create_tables(ddao.Schema.of(User))

* `ddao_memory`, `ddao_sqlite`, `ddao_moto`: an open `Database`, empty, for one test: in memory, in a SQLite file, in a
  bucket of its own on a moto server over a socket (extra `server`; one server for the whole run).
* `ddao_schema`: override it to return a `Schema`; its tables then exist in all of them.
* `ddao_moto_url`: the server's URL, for tests that make their own buckets.
* `ddao_faulty_store`: `ddao_faulty_store(faults)` is a store in memory that loses answers, refuses and crashes as told.

The databases need pytest-asyncio: each belongs to the event loop of its test. Nothing is imported before a fixture is
used, so the plugin costs a test run nothing.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .database import Database
    from .model.schema import Schema
    from .testing import Faults, FaultyStore


def async_fixture(function: Callable[..., Any]) -> Any:
    """A fixture of pytest-asyncio; without that, one that says so where it is used."""
    if find_spec("pytest_asyncio"):
        from pytest_asyncio import fixture

        return fixture(function)

    def missing() -> None:
        pytest.fail("The databases of ddao_async's fixtures are asynchronous: pip install pytest-asyncio.")

    missing.__name__ = function.__name__
    return pytest.fixture(missing)


@pytest.fixture
def ddao_schema() -> Schema | None:
    """The tables that every database of these fixtures starts with; override it."""
    return None


@async_fixture
async def ddao_memory(ddao_schema: Schema | None) -> AsyncGenerator[Database, None]:
    """An empty database in memory."""
    async for db in _opened("memory://", ddao_schema):
        yield db


@async_fixture
async def ddao_sqlite(ddao_schema: Schema | None, tmp_path: Path) -> AsyncGenerator[Database, None]:
    """An empty database in a SQLite file of the test's own folder."""
    async for db in _opened(f"sqlite:///{tmp_path}/ddao.db", ddao_schema):
        yield db


@async_fixture
async def ddao_moto(ddao_schema: Schema | None, ddao_moto_url: str) -> AsyncGenerator[Database, None]:
    """An empty database in a bucket of its own on the moto server."""
    from .config import Credentials

    url = f"s3://ddao-{secrets.token_hex(8)}?endpoint={ddao_moto_url}&region=us-east-1&create_bucket=true"
    async for db in _opened(url, ddao_schema, credentials=Credentials("testing", "testing")):
        yield db


async def _opened(url: str, schema: Schema | None, **options: Any) -> AsyncGenerator[Database, None]:
    from .opening import connect

    async with connect(url, schema=schema, **options) as db:
        if schema is not None:
            await db.create_tables()
        yield db


@pytest.fixture(scope="session")
def ddao_moto_url() -> Generator[str, None, None]:
    """The URL of a moto server that runs until the tests are over."""
    import subprocess

    if find_spec("moto") is None or find_spec("flask") is None:
        pytest.fail('The moto server is not installed: pip install "ddao-async[server]".')
    command = [sys.executable, "-m", "ddao_async.testing.moto_server"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    with subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        port = process.stdout.readline().strip()
        if not port.isdigit():
            pytest.fail("The moto server did not start. Try: python -m ddao_async.testing.moto_server")
        yield f"http://127.0.0.1:{port.decode()}"
        process.terminate()


@pytest.fixture
def ddao_faulty_store() -> Callable[[Faults], FaultyStore]:
    """Makes stores in memory that fail as told; all of one test share their objects, like clients of one bucket."""
    from .storage.memory import MemoryAdapter
    from .testing import FaultyStore

    shared = MemoryAdapter()
    return lambda faults: FaultyStore(shared, faults)
