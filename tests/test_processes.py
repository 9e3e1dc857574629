"""
Real processes on one bucket: killed in the middle of whatever they do, and racing each other.

What a process told before it died is what its owner knows (`process_worker.py`); the bucket must agree with all of it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path

import pytest
from fix_server import Server
from process_worker import ACCOUNTS, BALANCE, SHARED, Account, Counter, Member, database

import ddao_async as ddao
from ddao_async.engine import Settings

WORKER = Path(__file__).parent / "process_worker.py"
KILLS = 4


class Place:
    """A bucket of this test's own: its URL and the environment to reach it."""

    def __init__(self, url: str, environ: dict[str, str]) -> None:
        self.url = url
        self.environ = environ


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    kind, _, lane = request.param.partition("-")
    if kind == "sqlite":
        yield Place(f"sqlite:///{tmp_path / 'bucket.db'}", {})
        return
    server: Server = request.getfixturevalue(kind)
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    prefix = f"processes-{time.time_ns()}"
    yield Place(server.dsn(server.bucket, prefix, transport=lane), server.environ)


class Process:
    """A worker process, its stdout in a file."""

    def __init__(self, place: Place, folder: Path, role: str, name: str, argument: object) -> None:
        self.name = name
        self.log = folder / f"{name}.jsonl"
        self._out = self.log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), role, place.url, name, str(argument)],
            stdin=subprocess.PIPE,
            stdout=self._out,
            env=os.environ | place.environ,
        )

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_bytes().splitlines() if line.endswith(b"}")]

    def wait_until_ready(self, timeout: float = 60) -> None:
        until = time.monotonic() + timeout
        while not self.lines():
            assert self._process.poll() is None, "the worker ended"
            assert time.monotonic() < until, "the worker never began"
            time.sleep(0.02)

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def end(self, timeout: float = 90) -> int:
        code = self._process.wait(timeout)
        self._close()
        return code

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._out.close()


async def prepare(url: str) -> None:
    async with database(url) as db:
        await db.create_tables()
        for doc in ACCOUNTS:
            await db.repository(Account).insert(Account(id=doc, balance=BALANCE))
        await db.repository(Counter).insert(Counter(id="counter", n=0))


@pytest.mark.parametrize("place", ["sqlite", "moto_server-wire", "moto_server-aiobotocore"], indirect=True)
async def test_killed_in_the_middle(place: Place, tmp_path: Path):
    """SIGKILL at any moment: nothing half done is ever seen, nothing acknowledged is lost, nothing is done twice."""
    rng = random.Random(7)
    await prepare(place.url)
    running = [Process(place, tmp_path, "work", f"w{i}", i) for i in range(3)]
    ended: list[Process] = []
    try:
        for process in running:
            process.wait_until_ready()
        for number in range(KILLS):
            time.sleep(rng.uniform(0.05, 0.6))
            victim = running.pop(rng.randrange(len(running)))
            victim.kill()
            ended.append(victim)
            if number < KILLS - 3:
                running.append(Process(place, tmp_path, "work", f"v{number}", 100 + number))
                running[-1].wait_until_ready()
    finally:
        for process in running:
            process.kill()
    logs = [process.lines() for process in ended + running]

    assert sum(len(log) for log in logs) > 60, "the workers hardly began"
    await judge(place.url, logs)


async def judge(url: str, logs: list[list[dict]]) -> None:
    """Whoever comes after the dead finds a bucket that agrees with what they knew."""
    ends = [line for log in logs for line in log if line.get("outcome", "begun") != "begun"]
    # The last thing of a killed process was begun only: done or not.
    open_ends = [log[-1] for log in logs if log and log[-1].get("outcome") == "begun"]
    unknown = open_ends + [line for line in ends if line["outcome"] == "unknown"]
    async with database(url) as db:
        accounts = [await db.repository(Account).get(doc) for doc in ACCOUNTS]
        assert sum(account.balance for account in accounts) == BALANCE * len(ACCOUNTS)

        counted = sum(line["kind"] == "count" and line["outcome"] == "ok" for line in ends)
        doubtful = sum(line["kind"] == "count" for line in unknown)
        counter = await db.repository(Counter).get("counter")
        assert counted <= counter.n <= counted + doubtful

        members = db.repository(Member)
        outcome_of = {line["what"]: line["outcome"] for line in ends if line["kind"] == "insert"}
        assert set(outcome_of.values()) <= {"ok", "unknown"}
        for doc, outcome in outcome_of.items():
            member = await members.find_by_id(doc)
            assert outcome != "ok" or (member is not None and member.email == f"{doc}@own")
        await judge_indexes(members)

        for doc in ACCOUNTS:  # nobody's intent is in the way
            await db.repository(Account).update(Account(id=doc, balance=0))
        for email in SHARED:
            holder = await members.find_by_key("email", email)
            await members.delete(holder.id if holder else "nobody")
            await members.insert(Member(id=f"last-{email}", email=email))


async def judge_indexes(members: ddao.Repository[Member]) -> None:
    """Scans and indexes say the same; no value is anybody else's."""
    everybody = [member async for member in members.find()]
    emails = Tally(member.email for member in everybody if member.email is not None)
    assert [email for email, count in emails.items() if count > 1] == []
    for member in everybody:
        found = await members.find_by_key("email", member.email)
        assert found == member
    for team in ("red", "blue"):
        by_index = {member.id async for member in members.find(team=team)}
        assert by_index == {member.id for member in everybody if member.team == team}


@pytest.mark.parametrize(
    ("place", "count"),
    [("sqlite", 10), ("moto_server-wire", 5), ("seaweedfs-wire", 3)],
    indirect=["place"],
)
async def test_eight_processes_race(place: Place, count: int, tmp_path: Path):
    """One unique value has one winner, and no count is lost."""
    await prepare(place.url)
    racers = [Process(place, tmp_path, "race", f"r{i}", count) for i in range(8)]
    for racer in racers:
        racer.wait_until_ready()
    for racer in racers:
        racer.start()

    assert [racer.end() for racer in racers] == [0] * 8
    ends = [line for racer in racers for line in racer.lines() if line.get("outcome", "begun") != "begun"]
    assert Tally(line["outcome"] for line in ends if line["kind"] == "insert") == {"ok": 1, "UniqueViolationError": 7}
    assert Tally(line["outcome"] for line in ends if line["kind"] == "count") == {"ok": 8 * count}
    async with database(place.url) as db:
        assert (await db.repository(Counter).get("counter")).n == 8 * count
        winner = next(line["what"] for line in ends if line["kind"] == "insert" and line["outcome"] == "ok")
        found = await db.repository(Member).find_by_key("email", "one@shared")
        assert found is not None
        assert found.id == winner


@pytest.mark.parametrize("place", ["rclone_server-wire"], indirect=True)
async def test_a_server_that_ignores_conditions_is_refused(place: Place):
    """Unique columns, transactions and leases cannot be had there, and say so; the rest works."""
    async with database(place.url) as db:
        with pytest.raises(ddao.UnsupportedError, match="conditional"):
            await db.create_tables()
    plain = ddao.Schema.of(Account, Counter)
    async with ddao.Database(db.store, plain, settings=Settings()) as db:
        await db.create_tables()
        await db.repository(Account).insert(Account(id="a", balance=1))
        with pytest.raises(ddao.UnsupportedError, match="conditional"):
            async with db.transaction() as tx:
                await tx.repository(Account).get("a")
        with pytest.raises(ddao.UnsupportedError, match="conditional"):
            async with db.lease("nightly"):
                pass
        assert (await db.repository(Account).get("a")).balance == 1
