"""SQLiteAdapter beyond the contract: processes, the thread, cancellation, forks, forgotten adapters, bad files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ddao_async.errors import ClosedError, ConfigurationError, ConflictError, NotFoundError, ThrottledError
from ddao_async.storage.sqlite import SQLiteAdapter

WORKER = str(Path(__file__).with_name("sqlite_worker.py"))


async def test_processes_share_a_file_and_lose_nothing(tmp_path: Path) -> None:
    """4 processes meet on a file that does not exist yet: each claim has one winner, every increment counts."""
    path, processes, times = tmp_path / "shared.db", 4, 25
    async with SQLiteAdapter(path) as store:
        await store.put("counter", b"0")
        workers = [
            subprocess.Popen([sys.executable, WORKER, path, f"w{n}", str(times)], stdout=subprocess.PIPE, text=True)
            for n in range(processes)
        ]
        done = await asyncio.gather(*(asyncio.to_thread(worker.communicate) for worker in workers))

        assert [worker.returncode for worker in workers] == [0] * processes
        assert sum(int(out) for out, _ in done) == times
        counter = await store.get("counter")
        assert counter is not None
        assert counter.data == b"%d" % (processes * times)
        assert len([key async for key in store.list("own/")]) == processes * times


async def test_processes_that_open_a_fresh_file_at_once_all_get_in(tmp_path: Path) -> None:
    """Switching a fresh file to WAL says "locked" at once, whatever the timeout."""
    code = (
        "import asyncio, sys\n"
        "from ddao_async.storage.sqlite import SQLiteAdapter\n"
        "async def main():\n"
        "    async with SQLiteAdapter(sys.argv[1]) as store:\n"
        "        await store.put(sys.argv[2], b'1')\n"
        "asyncio.run(main())\n"
    )
    for attempt in range(3):
        path = tmp_path / f"fresh-{attempt}.db"
        workers = [subprocess.Popen([sys.executable, "-c", code, path, f"k{n}"]) for n in range(4)]
        assert [await asyncio.to_thread(worker.wait) for worker in workers] == [0] * 4
        async with SQLiteAdapter(path) as store:
            assert len([info async for info in store.list()]) == 4


async def test_a_fresh_file_that_is_locked_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    store = SQLiteAdapter(tmp_path / "x.db", busy_timeout=10)
    opening = asyncio.create_task(store.__aenter__())
    await asyncio.sleep(0.3)
    assert not opening.done()
    other.execute("ROLLBACK")
    other.close()
    await opening
    await store.put("k", b"1")
    await store.close()


async def test_many_tasks_commit_together(tmp_path: Path) -> None:
    async with SQLiteAdapter(tmp_path / "x.db") as store:
        await asyncio.gather(*(store.put(f"k{n}", b"%d" % n) for n in range(500)))
        items = await asyncio.gather(*(store.get(f"k{n}") for n in range(500)))

    assert [item.data for item in items if item] == [b"%d" % n for n in range(500)]


async def test_what_was_returned_is_in_the_file(tmp_path: Path) -> None:
    """A put that has returned survives the process: another connection sees it at once."""
    async with SQLiteAdapter(tmp_path / "x.db") as store:
        for n in range(20):
            await store.put("k", b"%d" % n)
            with sqlite3.connect(tmp_path / "x.db") as other:
                assert other.execute("SELECT data FROM ddao_objects").fetchone()[0] == b"%d" % n
            other.close()


async def test_one_failing_write_fails_alone(tmp_path: Path) -> None:
    """Writes that are committed together do not share each other's errors."""
    async with SQLiteAdapter(tmp_path / "x.db") as store:
        await store.put("k", b"")
        results = await asyncio.gather(
            *(store.put(f"good{n}", b"1") for n in range(5)),
            store.put("k", b"2", if_match="0" * 32),
            store.put("bad", b"", content_type="x\ud800"),
            *(store.put(f"fine{n}", b"1") for n in range(5)),
            return_exceptions=True,
        )

        failures = [result for result in results if isinstance(result, BaseException)]
        assert isinstance(failures[0], ConflictError)
        assert len(failures) == 2
        assert len([info async for info in store.list()]) == 11


async def test_cancelled_writes_happen_or_not_and_never_wedge_the_thread(tmp_path: Path) -> None:
    async with SQLiteAdapter(tmp_path / "x.db") as store:
        for n in range(200):
            task = asyncio.create_task(store.put(f"k{n}", b"%d" % n))
            await asyncio.sleep(0 if n % 2 else 0.0005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        await asyncio.wait_for(store.put("last", b"1"), 5)
        async for info in store.list("k"):
            item = await store.get(info.key)
            assert item is not None
            assert item.data == info.key[1:].encode()


async def test_another_process_that_keeps_the_file_is_a_retryable_error(tmp_path: Path) -> None:
    async with SQLiteAdapter(tmp_path / "x.db", busy_timeout=0.2) as store:
        await store.put("k", b"1")
        other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ThrottledError, match="busy_timeout") as raised:
            await store.put("k", b"2")
        item = await store.get("k")
        other.execute("ROLLBACK")
        other.close()
        await store.put("k", b"3")

    assert raised.value.retryable
    assert item is not None
    assert item.data == b"1"


async def test_closing_ends_the_thread_and_the_wal(tmp_path: Path) -> None:
    before = threading.active_count()
    store = SQLiteAdapter(tmp_path / "x.db")
    async with store:
        await store.put("k", b"1")
        assert threading.active_count() >= before + 1
    await store.close()

    assert [thread for thread in threading.enumerate() if "ddao-sqlite" in thread.name] == []
    assert not (tmp_path / "x.db-wal").exists()


async def test_calls_in_flight_at_close_finish(tmp_path: Path) -> None:
    store = SQLiteAdapter(tmp_path / "x.db")
    await store.__aenter__()
    writing = [asyncio.create_task(store.put(f"k{n}", b"1")) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()

    results = await asyncio.gather(*writing, return_exceptions=True)

    assert not [result for result in results if isinstance(result, BaseException)]
    async with store:
        assert len([info async for info in store.list()]) == 50


def test_opened_again_in_another_loop(tmp_path: Path) -> None:
    store = SQLiteAdapter(tmp_path / "x.db")

    async def use(n: int) -> int:
        async with store:
            await store.put(f"k{n}", b"1")
            return len([info async for info in store.list()])

    assert [asyncio.run(use(n)) for n in range(3)] == [1, 2, 3]


def test_used_in_another_loop_is_closed(tmp_path: Path) -> None:
    store = SQLiteAdapter(tmp_path / "x.db")
    errors: list[BaseException] = []

    async def elsewhere() -> None:
        try:
            await store.get("k")
        except ClosedError as exc:
            errors.append(exc)

    async def main() -> None:
        async with store:
            await asyncio.to_thread(asyncio.run, elsewhere())

    asyncio.run(main())

    assert "another event loop" in str(errors[0])


def test_a_forgotten_adapter_lets_the_interpreter_end(tmp_path: Path) -> None:
    """aiosqlite hangs here; what was written is there, the file is whole."""
    code = (
        "import asyncio, sys\n"
        "from ddao_async.storage.sqlite import SQLiteAdapter\n"
        "store = SQLiteAdapter(sys.argv[1])\n"
        "async def main():\n"
        "    await store.__aenter__()\n"
        "    await store.put('k', b'1')\n"
        "asyncio.run(main())\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, tmp_path / "x.db"], timeout=20, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 10
    with sqlite3.connect(tmp_path / "x.db") as file:
        assert file.execute("SELECT count(*) FROM ddao_objects").fetchone() == (1,)
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    file.close()


def test_a_killed_process_leaves_what_it_returned(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from ddao_async.storage.sqlite import SQLiteAdapter\n"
        "async def main():\n"
        "    async with SQLiteAdapter(sys.argv[1]) as store:\n"
        "        for n in range(100):\n"
        "            await store.put(f'k{n}', b'1')\n"
        "        print('returned', flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.db"], timeout=20, capture_output=True, text=True)

    assert done.stdout == "returned\n"

    async def count() -> int:
        async with SQLiteAdapter(tmp_path / "x.db") as store:
            return len([info async for info in store.list()])

    assert asyncio.run(count()) == 100


def test_a_forked_child_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys\n"
        "from ddao_async.errors import ClosedError\n"
        "from ddao_async.storage.sqlite import SQLiteAdapter\n"
        "store = SQLiteAdapter(sys.argv[1])\n"
        "async def child():\n"
        "    for call in (store.get('k'), store.put('k', b'2'), store.delete('k')):\n"
        "        try:\n"
        "            await call\n"
        "        except ClosedError:\n"
        "            continue\n"
        "        os._exit(3)\n"
        "    await store.close()\n"
        "async def main():\n"
        "    async with store:\n"
        "        await store.put('k', b'1')\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            asyncio.set_event_loop(None)\n"
        "            asyncio._set_running_loop(None)\n"
        "            asyncio.run(child())\n"
        "            os._exit(0)\n"
        "        assert os.waitpid(pid, 0)[1] == 0, 'the child'\n"
        "        await store.put('k', b'3', if_match=(await store.get('k')).info.etag)\n"
        "        assert (await store.get('k')).data == b'3'\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.db"], timeout=20, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


async def test_what_is_no_sqlite_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is not a database, not at all" * 50)
    for path in (tmp_path / "text.db", tmp_path / "no" / "such" / "folder.db", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            await SQLiteAdapter(path).__aenter__()
    assert [thread for thread in threading.enumerate() if "ddao-sqlite" in thread.name] == []


async def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "x.db")
    other.execute("CREATE TABLE ddao_objects (id INTEGER)")
    other.close()

    with pytest.raises(ConfigurationError, match="ddao_objects"):
        await SQLiteAdapter(tmp_path / "x.db").__aenter__()


async def test_memory_is_new_at_each_opening() -> None:
    store = SQLiteAdapter(":memory:")
    async with store:
        await store.put("k", b"1")
    async with store:
        with pytest.raises(NotFoundError):
            await store.get("k")


async def test_a_loop_that_was_closed_frees_the_adapter(tmp_path: Path) -> None:
    """Opened in a loop that is gone, it opens anew; the old thread goes with the old opening."""
    store = SQLiteAdapter(tmp_path / "x.db")

    async def leave_open() -> None:
        await store.__aenter__()
        await store.put("k", b"1")

    await asyncio.to_thread(asyncio.run, leave_open())
    async with store:
        item = await store.get("k")
    await asyncio.sleep(0.1)

    assert item is not None
    assert item.data == b"1"
    assert [thread for thread in threading.enumerate() if "ddao-sqlite" in thread.name] == []
    assert os.path.exists(tmp_path / "x.db")
