"""
One process that works on a shared bucket until it is killed, or races others once; for test_processes.py.

    python process_worker.py work URL NAME SEED      transfers, inserts, grabs of unique values, counts; for ever
    python process_worker.py race URL NAME COUNT     waits for a line on stdin, then races

Each thing that it does is told on stdout, one JSON line before and one after: what stands there when the process is
killed is what its owner knew.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable
from typing import Annotated, Any

import ddao_async as ddao
from ddao_async.engine import Settings
from ddao_async.storage.adapter import adapter_for

ACCOUNTS = ("a", "b", "c", "d")
BALANCE = 1000
SHARED = ("x@shared", "y@shared")


class Account(ddao.Record, table="accounts"):
    balance: int


class Member(ddao.Record, table="members"):
    email: Annotated[str | None, ddao.Unique()] = None
    team: Annotated[str, ddao.Index()] = "red"


class Counter(ddao.Record, table="counters"):
    n: int


SCHEMA = ddao.Schema.of(Account, Member, Counter)


def database(url: str) -> ddao.Database:
    """A database whose clients do not wait long for the dead."""
    return ddao.Database(adapter_for(url), SCHEMA, settings=Settings(intent_lease=0.3))


def tell(**line: Any) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


async def told(kind: str, what: Any, work: Awaitable[Any]) -> None:
    """Do it, and tell before and after."""
    tell(kind=kind, what=what, outcome="begun")
    try:
        await work
    except ddao.UnknownOutcomeError:
        outcome = "unknown"
    except ddao.DDAOError as error:
        outcome = type(error).__name__
    else:
        outcome = "ok"
    tell(kind=kind, what=what, outcome=outcome)


class Worker:
    """
    One process at work.

    Args:
        name: The start of all ids of its own.
    """

    def __init__(self, db: ddao.Database, name: str, rng: random.Random) -> None:
        self._db = db
        self._name = name
        self._rng = rng
        self._members = db.repository(Member)
        self._counters = db.repository(Counter)
        self._count = 0

    async def step(self) -> None:
        """Something."""
        self._count += 1
        match self._rng.randrange(6):
            case 0 | 1:
                await told("transfer", None, self._db.run(self._transfer))
            case 2:
                doc = f"{self._name}-{self._count}"
                member = Member(id=doc, email=f"{doc}@own", team=self._rng.choice(("red", "blue")))
                await told("insert", doc, self._members.insert(member))
            case 3:
                member = Member(id=f"slot-{self._rng.randrange(4)}", email=self._rng.choice(SHARED))
                await told("grab", member.id, self._members.upsert(member))
            case 4:
                slot = f"slot-{self._rng.randrange(4)}"
                await told("delete", slot, self._members.delete(slot))
            case _:
                await told("count", None, self.count())

    async def count(self) -> None:
        """One more, whoever counts beside."""
        await self._counters.modify("counter", lambda counter: Counter(id="counter", n=counter.n + 1))

    async def _transfer(self, tx: Any) -> None:
        accounts = tx.repository(Account)
        source, target = self._rng.sample(ACCOUNTS, 2)
        one, other = await accounts.get(source), await accounts.get(target)
        amount = self._rng.randrange(1, 10)
        await accounts.update(Account(id=source, balance=one.balance - amount))
        await accounts.update(Account(id=target, balance=other.balance + amount))


async def work(url: str, name: str, seed: str) -> None:
    async with database(url) as db:
        worker = Worker(db, name, random.Random(seed))
        tell(kind="ready")
        while True:
            await worker.step()


async def race(url: str, name: str, count: str) -> None:
    async with database(url) as db:
        worker = Worker(db, name, random.Random(name))
        await db.repository(Counter).get("counter")
        tell(kind="ready")
        await asyncio.to_thread(sys.stdin.readline)
        await told("insert", name, db.repository(Member).insert(Member(id=name, email="one@shared")))
        for _ in range(int(count)):
            await told("count", None, worker.count())


if __name__ == "__main__":
    asyncio.run({"work": work, "race": race}[sys.argv[1]](*sys.argv[2:]))
