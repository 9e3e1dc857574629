"""
Bulk imports: rate, CPU and memory on the way, and whether a killed one ends as if it had not been killed.

    python -m benchmarks.imports null --records 1000000         into the null server, which stores nothing
    python -m benchmarks.imports s3://bucket/prefix?endpoint=…  into a server, with the credentials of the environment
    python -m benchmarks.imports kills [URL]                    all airports, killed five times and resumed

Each import is a process of its own, with a journal; what is printed are JSON lines. A kill is SIGKILL.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import data, memory
from .case import PLAIN
from .server import serving

SHARES = (0.1, 0.5, 1.0)
KILLS = 5


def generate(path: Path, records: int) -> None:
    """Write records as JSON lines, the same each time."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    with path.open("w") as file:
        for index in range(records):
            file.write(encode({"id": data.document_id(index), **data.user_fields(index)}) + "\n")


async def measured(url: str, file: Path, table: str, key: str | None, records: int) -> dict[str, Any]:
    """Import the file, in this process, and tell what it took."""
    import ddao_async

    peaks: dict[str, float] = {}
    async with ddao_async.connect(url) as db:
        idle, cpu, began = memory.peak_bytes(), time.process_time(), time.perf_counter()

        def on_progress(now: Any) -> None:
            print(json.dumps({"new": now.rows - now.resumed}), file=sys.stderr, flush=True)
            for share in SHARES:
                if f"{share:.0%}" not in peaks and now.rows >= share * records:
                    peaks[f"{share:.0%}"] = round((memory.peak_bytes() - idle) / 2**20, 1)

        report = await db.import_records(table, str(file), key=key, resume=True, on_progress=on_progress)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        requests = db.stats()
    return {
        "rows": report.rows,
        "inserted": report.inserted,
        "resumed": report.resumed,
        "rejected": report.rejected,
        "seconds": round(seconds, 2),
        "per_second": round((report.rows - report.resumed) / seconds),
        "cpu_us_per_record": round(cpu / max(1, report.rows - report.resumed) * 1e6, 1),
        "peak_mib_above_idle": peaks,
        "idle_mib": round(idle / 2**20, 1),
        "requests": requests,
    }


def _child(url: str, file: Path, table: str, key: str | None, records: int) -> list[str]:
    options = ["--child", str(file), "--table", table, "--records", str(records)]
    return [sys.executable, "-m", "benchmarks.imports", url, *options, *(["--key", key] if key else [])]


def run_import(url: str, records: int, folder: Path) -> dict[str, Any]:
    """Generate the records and import them in a process of its own."""
    file = folder / "records.jsonl"
    generate(file, records)
    began = time.perf_counter()
    done = subprocess.run(_child(url, file, data.TABLE, None, records), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return {**json.loads(done.stdout), "bytes": file.stat().st_size, "process_seconds": time.perf_counter() - began}


def run_kills(url: str, *, seed: int = 1) -> dict[str, Any]:
    """Import all airports, kill the process five times at random instants, and compare what is there in the end."""
    import airportsdata

    file = Path(airportsdata.__file__).with_name("airports.csv")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        codes = {row["icao"] for row in csv.DictReader(lines)}
    command = _child(url, file, "airports", "icao", len(codes))
    draw, began, killed = random.Random(seed), time.perf_counter(), 0
    while killed < KILLS:
        enough = draw.randint(1, 5000)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            for line in process.stderr or ():
                if line.startswith('{"new"') and json.loads(line)["new"] >= enough:
                    break
            time.sleep(draw.uniform(0, 0.3))
            if process.poll() is not None:
                break  # it was faster than the kills
            process.send_signal(signal.SIGKILL)
            killed += 1
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds = time.perf_counter() - began
    found = asyncio.run(_ids(url))
    exact = len(found) == len(set(found)) and set(found) == codes
    return {**json.loads(done.stdout), "kills": killed, "seconds_in_all": round(seconds, 1), "is_exact": exact}


async def _ids(url: str) -> list[str]:
    import ddao_async

    async with ddao_async.connect(url) as db:
        return [airport.id async for airport in db.repository("airports").find()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", help="null, kills, or a connection string")
    parser.add_argument("url", nargs="?", help="of kills: where to; default: a SQLite file")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--table", default=data.TABLE, help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        work = measured(options.where, options.child, options.table, options.key, options.records)
        print(json.dumps(_run(work)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.where == "kills":
            result = run_kills(options.url or f"sqlite:///{folder}/airports.db")
        elif options.where == "null":
            with serving("null", PLAIN, 1, folder) as place:
                os.environ.update(place.environment())
                result = run_import(place.url, options.records, folder)
        else:
            result = run_import(options.where, options.records, folder)
    print(json.dumps({"where": options.where, **result}))


def _run(work: Any) -> Any:
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run(work)
    return uvloop.run(work)


if __name__ == "__main__":
    main()
