"""What `import ddao_async` offers, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import ddao_async
from ddao_async import errors

HEAVY = [
    "aiobotocore",
    "aiohttp",
    "anyio",
    "boto3",
    "botocore",
    "email",
    "http.client",
    "rich",
    "sqlite3",
    "typer",
    "urllib.request",
    "uvloop",
]


def loaded_after(program: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after running the program."""
    program += "\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_all_is_sorted_and_names_only_what_is_there() -> None:
    names = list(ddao_async.__all__)

    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(ddao_async, name)] == []


def test_all_holds_every_error() -> None:
    tree = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.DDAOError) and value.__module__ == errors.__name__
    }

    assert tree - set(ddao_async.__all__) == set()


def test_all_holds_what_the_interface_promises() -> None:
    promised = {
        "Capabilities",
        "Column",
        "Database",
        "Index",
        "MemoryAdapter",
        "Object",
        "ObjectInfo",
        "ObjectStore",
        "Record",
        "S3Adapter",
        "SQLiteAdapter",
        "Schema",
        "Table",
        "Transaction",
        "Unique",
        "connect",
        "field",
    }

    assert promised - set(ddao_async.__all__) == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    """A command line tool or a function in the cloud pays for it at every start."""
    loaded = loaded_after("import ddao_async")

    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize(
    ("url", "needed"), [("memory://", set[str]()), ("sqlite://:memory:", {"sqlite3"})], ids=["memory", "sqlite"]
)
def test_a_local_database_loads_no_s3_client(url: str, needed: set[str]) -> None:
    loaded = loaded_after(
        f"""
import asyncio
import ddao_async as ddao

class Note(ddao.Record, table="notes"):
    text: str

async def main():
    async with ddao.connect("{url}") as db:
        await db.create_tables(ddao.Schema.of(Note))
        notes = db.repository(Note)
        await notes.insert(Note(id="a", text="x"))
        assert (await notes.get("a")).text == "x"

asyncio.run(main())"""
    )

    assert {name for name in HEAVY if name in loaded} <= needed
    assert needed <= loaded
