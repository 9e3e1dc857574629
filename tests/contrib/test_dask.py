"""On a cluster of worker processes, one of which is killed in the middle: everything once, and the whole of it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

pytest.importorskip("distributed")

from distributed import Client, LocalCluster

import ddao_async as ddao
from ddao_async.contrib import dask

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers, processes of one thread each, and a nanny that starts a killed one again."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def kill_one_when(client: Client, is_time: Callable[[], bool]) -> tuple[threading.Thread, list[float]]:
    """Kill a worker process once something is so; the thread that does, and when it did."""
    pid = next(iter(client.run(os.getpid).values()))
    killed: list[float] = []

    def wait() -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if is_time():
                os.kill(pid, signal.SIGKILL)
                killed.append(time.monotonic())
                return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread, killed


async def contents(url: str, table: str) -> dict[str, dict[str, Any]]:
    async with ddao.connect(url) as db:
        return {document.id: document.fields async for document in db.repository(table).find()}


async def test_import_export_copy_and_indexes_with_a_worker_killed(client: Client, tmp_path: Path) -> None:
    rows = [{"n": n, "country": f"c{n % 5}"} for n in range(5000)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")
    url, copy = f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/copy.db"
    rejects: list[Any] = []
    thread, killed = kill_one_when(client, lambda: sum(f.stat().st_size for f in tmp_path.glob("a.db*")) > 1_000_000)
    report = dask.import_records(client, url, "t", str(file), parts=6, on_reject=rejects.append)
    ended = time.monotonic()
    thread.join()

    assert killed
    assert killed[0] < ended
    assert (report.inserted, report.rejected, report.parts) == (5000, 1, 6)
    assert [(reject.line, reject.id) for reject in rejects] == [(5001, None)]
    found = await contents(url, "t")
    assert sorted(fields["n"] for fields in found.values()) == list(range(5000))

    async with ddao.connect(url) as db:
        again = await db.import_records("t", str(file), resume=True)
        assert (again.inserted, again.resumed) == (5000, 5001)

    exported = dask.export(client, url, "t", tmp_path, parts=3)
    lines = [line for part in sorted(tmp_path.glob("part-*.jsonl")) for line in part.read_text().splitlines()]
    assert sum(part.exported for part in exported) == len(lines) == 5000
    assert {json.loads(line)["id"] for line in lines} == found.keys()

    copied = dask.copy_objects(client, url, copy)
    assert (copied.failed, copied.equal) == ({}, 0)
    assert await contents(copy, "t") == found


async def test_an_index_is_built_by_all_workers(client: Client, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/i.db"

    class T(ddao.Record, table="t"):
        country: str

    class Indexed(ddao.Record, table="t"):
        country: Annotated[str, ddao.Index()]

    async with ddao.connect(url) as db:
        await db.create_tables(ddao.Schema.of(T))
        await db.repository(T).insert_many([T(id=str(n), country=f"c{n % 4}") for n in range(1200)])
    async with ddao.connect(url) as db:
        await db.create_tables(ddao.Schema.of(Indexed))
    built = dask.reindex(client, url, "t", exclusive=True)

    assert (built.indexes, built.documents, built.written) == (("country",), 1200, 1200)
    async with ddao.connect(url) as db:
        query = db.repository(Indexed).find(country="c3")
        assert (await query.explain()).access == "index"
        assert len(await query.all()) == 300
