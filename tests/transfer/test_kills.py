"""Real airports through the command line, the process killed five times in the middle and resumed: the exact result."""

from __future__ import annotations

import asyncio
import csv
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import airportsdata
import pytest
from fix_server import Server, new_bucket_name

import ddao_async as ddao

KILLS = 5
FILE = Path(airportsdata.__file__).with_name("airports.csv")
NUMBERS = {"elevation": float, "lat": float, "lon": float}


def part(path: Path, every: int) -> dict[str, dict[str, Any]]:
    """Write a part of the airports as CSV; what they are, read without the library."""
    header, *lines = FILE.read_text(encoding="utf-8-sig").splitlines()
    chosen = [header, *lines[::every]]
    path.write_text("\n".join(chosen) + "\n")
    return {
        row["icao"]: {name: NUMBERS.get(name, str)(value) if value else None for name, value in row.items()}
        for row in csv.DictReader(chosen)
    }


async def killed_and_resumed(url: str, file: Path, seed: int) -> dict[str, Any]:
    """Import with five kills, each while documents are being written; the last run's report."""
    command = [sys.executable, "-m", "ddao_async", "import", str(file), "--table", "airports", "--key", "icao"]
    command += ["--url", url, "--resume", "--json", "--concurrency", "8"]
    draw = random.Random(seed)
    async with ddao.connect(url) as db:
        for _ in range(KILLS):
            wanted = await written(db) + draw.randint(20, 80)
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                while process.poll() is None and await written(db) < wanted:
                    await asyncio.sleep(draw.uniform(0.03, 0.08))
                process.send_signal(signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def written(db: ddao.Database) -> int:
    count = 0
    async for _ in db.store.list("tables/airports/objects/"):
        count += 1
    return count


async def check(url: str, report: dict[str, Any], airports: dict[str, dict[str, Any]]) -> None:
    async with ddao.connect(url) as db:
        found = {airport.id: airport.fields async for airport in db.repository("airports").find()}

    assert found == airports
    assert (report["inserted"], report["replaced"], report["skipped"], report["rejected"]) == (len(airports), 0, 0, 0)


@pytest.mark.timeout(240)
async def test_into_a_sqlite_file(tmp_path: Path) -> None:
    airports = part(tmp_path / "part.csv", every=20)
    url = f"sqlite:///{tmp_path}/airports.db"
    report = await killed_and_resumed(url, tmp_path / "part.csv", seed=1)

    assert report["resumed"] >= 5 * 20
    await check(url, report, airports)


@pytest.mark.timeout(240)
async def test_into_seaweedfs(tmp_path: Path, seaweedfs: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    airports = part(tmp_path / "part.csv", every=20)
    url = seaweedfs.dsn(seaweedfs.bucket, new_bucket_name())
    report = await killed_and_resumed(url, tmp_path / "part.csv", seed=2)

    assert report["resumed"] >= 5 * 20
    await check(url, report, airports)
