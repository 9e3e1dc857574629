"""A database's life: opened, used, closed, in which loop and which process; and what it hands out."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import pytest

import ddao_async as ddao
from ddao_async.testing import CountingStore


class User(ddao.Record, table="users"):
    name: str
    country: Annotated[str, ddao.Index()] = "NL"


class Account(ddao.Record, table="accounts"):
    balance: int = 0


SCHEMA = ddao.Schema.of(User, Account)


@pytest.fixture
async def db() -> AsyncIterator[ddao.Database]:
    async with ddao.connect("memory://", schema=SCHEMA) as opened:
        await opened.create_tables()
        yield opened


# Connecting


@pytest.mark.parametrize("url", ["memory://", "sqlite://:memory:", "sqlite:///{folder}/app.db"])
async def test_connect_by_a_block_and_by_hand(url: str, tmp_path: Path) -> None:
    url = url.replace("/{folder}", f"/{tmp_path}")
    async with ddao.connect(url, schema=SCHEMA) as db:
        await db.create_tables()
        assert (await db.repository(User).insert(User(name="Ann"))).name == "Ann"
    by_hand = await ddao.connect(url)
    assert isinstance(by_hand, ddao.Database)
    assert await by_hand.tables() == (["accounts", "users"] if str(tmp_path) in url else [])
    await by_hand.close()
    await by_hand.close()


def test_a_wrong_connection_string_is_an_error_at_once() -> None:
    with pytest.raises(ddao.ConfigurationError, match="bucketz"):
        ddao.connect("s3://bucket?bucketz=1")
    with pytest.raises(ddao.ConfigurationError, match="nonsense"):
        ddao.connect("nonsense://x")
    with pytest.raises(ddao.ConfigurationError, match="colour"):
        ddao.connect("memory://", colour="red")


async def test_memory_is_new_at_each_connect() -> None:
    for _ in range(2):
        async with ddao.connect("memory://", schema=SCHEMA) as db:
            assert await db.tables() == []
            await db.create_tables()


async def test_connecting_to_a_bucket_that_is_not_there_is_typed_and_leaves_nothing_open(moto_server: Any) -> None:
    with pytest.raises(ddao.BucketNotFoundError, match="no-such-bucket"):
        await ddao.connect(f"s3://no-such-bucket?endpoint={moto_server.url}", credentials=_credentials(moto_server))
    gc.collect()


async def test_connecting_to_nobody_is_typed() -> None:
    with pytest.raises(ddao.StoreError):
        await ddao.connect("s3://bucket?endpoint=http://127.0.0.1:9&deadline=1", credentials=_credentials(None))


def _credentials(server: Any) -> Any:
    from ddao_async.config import Credentials

    return Credentials(server.access_key if server else "a", server.secret_key if server else "b")


async def test_connecting_costs_one_request_and_creates_nothing() -> None:
    store = CountingStore(ddao.MemoryAdapter())
    async with ddao.Database(store):
        pass

    assert store.counts() == {}


# Lifetime


async def test_after_close_every_call_is_a_closed_error(db: ddao.Database) -> None:
    users = db.repository(User)
    await users.insert(User(id="ann", name="Ann"))
    await db.close()

    for call in (
        users.get("ann"),
        users.insert(User(name="x")),
        users.count(),
        users.insert_many([]),
        users.modify("ann", lambda user: user),
        db.create_tables(),
        db.find_by_id("users", "ann"),
        db.tables(),
    ):
        with pytest.raises(ddao.ClosedError):
            await call
    for make in (db.transaction, lambda: db.lease("x")):
        with pytest.raises(ddao.ClosedError):
            make()


async def test_a_database_over_an_open_store_needs_no_block() -> None:
    db = ddao.Database(ddao.MemoryAdapter(), SCHEMA)
    await db.create_tables()

    assert await db.repository(User).count() == 0
    await db.close()
    with pytest.raises(ddao.ClosedError):
        await db.repository(User).count()


async def test_a_store_that_somebody_else_has_open_stays_open() -> None:
    async with ddao.MemoryAdapter() as store:
        async with ddao.Database(store, SCHEMA) as db:
            await db.create_tables()

        assert [info.key async for info in store.list()]


async def test_opening_twice_is_an_error(db: ddao.Database) -> None:
    with pytest.raises(ddao.ClosedError, match="open already"):
        await db.open()


def test_a_database_is_opened_again_in_another_loop_and_its_repositories_go_on(tmp_path: Path) -> None:
    db = ddao.Database(ddao.SQLiteAdapter(tmp_path / "app.db"), SCHEMA)
    users = db.repository(User)

    async def once(n: int) -> int:
        async with db:
            await db.create_tables()
            await users.insert(User(id=str(n), name="x"))
            return await users.count()

    assert [asyncio.run(once(n)) for n in range(3)] == [1, 2, 3]


def test_use_in_another_loop_is_a_closed_error_while_it_is_open() -> None:
    db = ddao.Database(ddao.MemoryAdapter(), SCHEMA)
    users = db.repository(User)
    first = asyncio.new_event_loop()
    first.run_until_complete(db.open())
    first.run_until_complete(db.create_tables())

    async def other() -> None:
        with pytest.raises(ddao.ClosedError, match="another event loop"):
            await users.get("ann")
        with pytest.raises(ddao.ClosedError, match="another event loop"):
            await db.open()

    asyncio.run(other())
    first.run_until_complete(db.close())
    first.close()


def test_in_a_forked_child_every_call_is_a_closed_error() -> None:
    code = """
import asyncio, os, sys
import ddao_async as ddao

async def main():
    async with ddao.connect("memory://") as db:
        await db.create_tables(ddao.Schema.of(ddao.Table("t")))
        if os.fork() == 0:
            try:
                await db.find_by_id("t", "x")
            except ddao.ClosedError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        print(await db.find_by_id("t", "x"))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)

    assert "forked" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[1] == "None"
    assert done.stderr == ""


# Tables


async def test_a_table_that_was_never_created_is_an_error_with_a_hint(db: ddao.Database) -> None:
    class Ghost(ddao.Record, table="ghosts"):
        name: str

    for call in (db.repository(Ghost).get("x"), db.find_by_id("ghosts", "x"), db.repository("ghosts").count()):
        with pytest.raises(ddao.SchemaError, match="create_tables"):
            await call
    with pytest.raises(ddao.SchemaError, match="ghosts"):
        await db.table("ghosts")


async def test_a_table_is_looked_up_once(db: ddao.Database) -> None:
    store = CountingStore(db.store)
    other = ddao.Database(store)
    users = other.repository(User)
    await asyncio.gather(*(users.find_by_id("x") for _ in range(10)))
    await other.repository("users").find_by_id("x")

    assert [key for _, key in store.requests].count("tables/users/_metadata.json") == 1
    assert len(store.requests) == 12


async def test_a_repository_of_what_is_no_record_is_refused(db: ddao.Database) -> None:
    with pytest.raises(ddao.SchemaError, match="not a record class"):
        db.repository(dict)  # type: ignore[type-var]
    with pytest.raises(ddao.ValidationError, match="not a table name"):
        await db.repository("a/b").get("x")


async def test_schema_and_stats_are_at_hand(db: ddao.Database) -> None:
    assert set(db.schema.tables) == {"users", "accounts"}
    assert sum(db.stats().values()) > 0
    assert await db.tables() == ["accounts", "users"]
    assert (await db.table("users"))["country"].index


# Transactions and leases


async def test_a_transaction_commits_as_a_whole_or_not_at_all(db: ddao.Database) -> None:
    accounts = db.repository(Account)
    await accounts.insert_many([Account(id="a", balance=10), Account(id="b")])
    async with db.transaction() as tx:
        inside = tx.repository(Account)
        await inside.update(Account(id="a", balance=5))
        await inside.modify("b", lambda account: Account(id="b", balance=account.balance + 5))
        assert (await accounts.get("a")).balance == 10
    assert tx.status == "committed"
    assert [account and account.balance for account in await accounts.get_many(["a", "b"])] == [5, 5]

    async def broken(tx: ddao.Transaction) -> None:
        await tx.repository(Account).delete("a")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await db.run(broken)
    assert await accounts.count() == 2


async def test_run_tries_again_after_a_conflict(db: ddao.Database) -> None:
    accounts = db.repository(Account)
    await accounts.insert_many([Account(id="a", balance=100), Account(id="b")])

    async def transfer(tx: ddao.Transaction) -> int:
        inside = tx.repository(Account)
        a, b = await inside.get("a"), await inside.get("b")
        await asyncio.sleep(0)
        await inside.update(Account(id="a", balance=a.balance - 1))
        await inside.update(Account(id="b", balance=b.balance + 1))
        return b.balance + 1

    results = await asyncio.gather(*(db.run(transfer) for _ in range(5)))
    assert sorted(results) == [1, 2, 3, 4, 5]
    assert [account and account.balance for account in await accounts.get_many(["a", "b"])] == [95, 5]


async def test_a_transaction_knows_only_tables_that_exist(db: ddao.Database) -> None:
    async with db.transaction() as tx:
        with pytest.raises(ddao.SchemaError):
            await tx.repository("ghosts").get("x")


async def test_a_lease_has_one_holder(db: ddao.Database) -> None:
    async with db.lease("nightly", ttl=30) as lease:
        assert lease.token == 1
        with pytest.raises(ddao.ConflictError):
            async with db.lease("nightly", timeout=0):
                pass
    async with db.lease("nightly") as again:
        assert again.token == 2


# The front door


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, ddao_async; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())

    assert not loaded & {"aiobotocore", "botocore", "anyio", "sqlite3", "typer", "rich", "email", "http.client", "moto"}


def test_adapters_are_loaded_when_asked_for() -> None:
    assert ddao.S3Adapter.__name__ == "S3Adapter"
    assert ddao.SQLiteAdapter.__name__ == "SQLiteAdapter"
    with pytest.raises(AttributeError):
        ddao.nothing_of_this_name  # noqa: B018


def test_every_public_name_is_there_and_sorted() -> None:
    assert sorted(ddao.__all__) == ddao.__all__
    assert all(getattr(ddao, name) is not None for name in ddao.__all__)
