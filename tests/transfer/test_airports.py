"""The main job on real input: PyPI's airports, through the command line into a database and back."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import airportsdata
import pytest
from fix_server import Server

import ddao_async as ddao

FILE = Path(airportsdata.__file__).with_name("airports.csv")
NUMBERS = {"elevation": float, "lat": float, "lon": float}


def expected() -> dict[str, dict[str, Any]]:
    """Every airport by its ICAO code, read from the file without the library; what is empty there is null."""
    with FILE.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["icao"]: {name: NUMBERS.get(name, str)(value) if value else None for name, value in row.items()}
        for row in rows
    }


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "ddao_async", *arguments],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


async def import_find_count_export(url: str, file: Path, airports: dict[str, dict[str, Any]], target: Path) -> None:
    report = json.loads(
        command("import", str(file), "--table", "airports", "--key", "icao", "--url", url, "--json").stdout
    )
    schiphol = json.loads(command("get", "airports", "EHAM", "--url", url, "--json").stdout)
    by_key = command("find", "airports", "iata=AMS", "--url", url, "--json").stdout
    async with ddao.connect(url) as db:
        count = await db.repository("airports").count()
    command("export", "airports", "--output", str(target), "--url", url)

    assert report["inserted"] == len(airports)
    assert schiphol == {"id": "EHAM"} | airports["EHAM"]
    assert [json.loads(line) for line in by_key.splitlines()] == [schiphol]
    assert count == len(airports)
    assert exported(target) == {code: {"id": code} | fields for code, fields in airports.items()}


def exported(file: Path) -> dict[str, dict[str, Any]]:
    with file.open() as lines:
        documents = [json.loads(line) for line in lines]
    found = {document["id"]: document for document in documents}

    assert len(found) == len(documents)
    return found


async def test_every_airport_comes_back_from_a_sqlite_file(tmp_path: Path) -> None:
    airports = expected()

    assert len(airports) > 28_000
    await import_find_count_export(f"sqlite:///{tmp_path}/airports.db", FILE, airports, tmp_path / "out.jsonl")


@pytest.mark.timeout(300)
async def test_every_tenth_airport_comes_back_from_seaweedfs(
    tmp_path: Path, seaweedfs: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    header, *lines = FILE.read_text(encoding="utf-8-sig").splitlines()
    part = tmp_path / "part.csv"
    part.write_text("\n".join([header, *[line for n, line in enumerate(lines) if n % 10 == 0 or '"EHAM"' in line]]))
    codes = {json.loads(f"[{line}]")[0] for line in part.read_text().splitlines()[1:]}
    airports = {code: fields for code, fields in expected().items() if code in codes}

    await import_find_count_export(seaweedfs.dsn(seaweedfs.create_bucket()), part, airports, tmp_path / "out.jsonl")
