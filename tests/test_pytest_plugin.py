"""The pytest plugin as a user meets it: a test file of theirs, run by a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ASYNCIO = ("-p", "asyncio", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
USER_TESTS = """
from typing import Annotated

import ddao_async as ddao
import pytest
from ddao_async.testing import Lost, Script


class User(ddao.Record, table="users"):
    email: Annotated[str, ddao.Unique()]


@pytest.fixture
def ddao_schema():
    return ddao.Schema.of(User)




@pytest.mark.parametrize("time", [1, 2])
async def test_memory(ddao_memory, time):
    await check(ddao_memory)


@pytest.mark.parametrize("time", [1, 2])
async def test_sqlite(ddao_sqlite, time):
    await check(ddao_sqlite)


@pytest.mark.parametrize("time", [1, 2])
async def test_moto(ddao_moto, time):
    await check(ddao_moto)


async def check(db):
    users = db.repository(User)
    assert await users.find().all() == []
    await users.insert(User(id="ann", email="a@b.c"))
    with pytest.raises(ddao.UniqueViolationError):
        await users.insert(User(email="a@b.c"))


async def test_faulty_store(ddao_faulty_store):
    async def loses_every_put_of_a_document(attempt):
        return Lost(applied=True) if attempt.operation == "put" and "/objects/" in attempt.key else Answer()

    from ddao_async.testing import Answer

    db = ddao.Database(ddao_faulty_store(loses_every_put_of_a_document))
    await db.create_tables(ddao.Schema.of(User))
    await db.repository(User).insert(User(id="ann", email="a@b.c"))
    other = ddao.Database(ddao_faulty_store(loses_every_put_of_a_document))
    assert (await other.repository(User).get("ann")).email == "a@b.c"
"""


def pytest_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Only these two plugins: what else is installed here is none of a user's business."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *arguments]
    environ = os.environ | {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


def test_every_fixture_gives_an_empty_database_to_each_test(tmp_path: Path) -> None:
    (tmp_path / "test_users.py").write_text(USER_TESTS)

    done = pytest_run(tmp_path, *ASYNCIO, "-p", "ddao_async", "test_users.py")

    assert "7 passed" in done.stdout, done.stdout + done.stderr


def test_nothing_heavy_is_loaded_where_no_fixture_is_used(tmp_path: Path) -> None:
    heavy = ("aiobotocore", "botocore", "anyio", "httptools", "moto", "typer", "sqlite3")
    (tmp_path / "test_plain.py").write_text(
        "import sys\n\ndef test_plain():\n"
        f"    assert 'ddao_async.pytest_plugin' in sys.modules\n"
        f"    assert [name for name in {heavy!r} if name in sys.modules] == []\n"
    )

    done = pytest_run(tmp_path, "-p", "ddao_async", "test_plain.py")

    assert "1 passed" in done.stdout, done.stdout + done.stderr
