"""
One SQLite file on one thread of its own. Jobs wait in a queue; the thread takes all that are there and commits their
writes together, so that many tasks share one fsync.

    task ── job ──> queue ──> [thread: BEGIN IMMEDIATE, job, job, job, COMMIT] ── results ──> event loop

The connection lives in the thread's frame only: a forked child, which has no such thread, never touches it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import (
    ClosedError,
    ConfigurationError,
    DDAOError,
    StoreError,
    StoreUnavailableError,
    ThrottledError,
    UnknownOutcomeError,
    ValidationError,
)

MAX_TOGETHER = 256
"""The most jobs of one transaction: the first of them waits for the last."""

JOIN_SECONDS = 5.0

Work = Callable[[sqlite3.Connection], Any]


class Job:
    """Some work for the thread, and the future that waits for it in its event loop."""

    __slots__ = ("error", "future", "is_write", "result", "work")

    def __init__(self, work: Work, future: asyncio.Future[Any], *, is_write: bool) -> None:
        self.work = work
        self.future = future
        self.is_write = is_write
        self.result: Any = None
        self.error: BaseException | None = None


class SQLiteThread:
    """
    The thread of one file. Bound to the event loop that makes it; started by `open`.

    Args:
        path: The file, or `:memory:`.
        busy_timeout: Seconds to wait for other processes' writes.
        prepare: Creates or checks the tables.
    """

    def __init__(self, path: str, busy_timeout: float, prepare: Work) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=_serve,
            args=(self._jobs, self._loop, path, busy_timeout, prepare),
            name=f"ddao-sqlite {path}",
            daemon=True,  # a forgotten adapter must not keep the interpreter from ending
        )
        self._finalizer = weakref.finalize(self, _stop, self._jobs, self._thread)
        self._is_closed = False

    async def open(self) -> None:
        """
        Start the thread and open the file.

        Raises:
            ConfigurationError: The file cannot be opened, or is something else.
        """
        self._thread.start()
        try:
            await self.run(_nothing, is_write=False)
        except BaseException:
            await self.close()
            raise

    async def run(self, work: Work, *, is_write: bool) -> Any:
        """
        Run work on the thread. Cancelled before its turn it does not run; later it takes effect, unseen.

        Raises:
            DDAOError: What SQLite's error means.
            ClosedError: The thread has ended.
        """
        if self._is_closed:
            raise ClosedError("The SQLite file is closed.", hint="Use it inside `async with`.")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put(Job(work, future, is_write=is_write))
        return await future

    async def close(self) -> None:
        """Finish what is queued, close the file, end the thread. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            self._jobs.put(None)
            await self._loop.run_in_executor(None, self._thread.join, JOIN_SECONDS)
            self._finalizer.detach()


def _nothing(_: sqlite3.Connection) -> None: ...


def _stop(jobs: SimpleQueue[Job | None], thread: threading.Thread) -> None:
    """For an adapter that nobody closed, at its end or the interpreter's."""
    jobs.put(None)
    if thread.is_alive():
        thread.join(JOIN_SECONDS)


def _serve(
    jobs: SimpleQueue[Job | None], loop: asyncio.AbstractEventLoop, path: str, busy_timeout: float, prepare: Work
) -> None:
    """The thread: open, take jobs until told to stop, close."""
    connection: sqlite3.Connection | None = None
    broken: BaseException | None = None
    try:
        connection = connect(path, busy_timeout)
        prepare(connection)
    except (sqlite3.Error, DDAOError) as exc:
        broken = exc if isinstance(exc, DDAOError) else _cannot_open(path, exc)
    is_over = False
    while not is_over:
        batch: list[Job] = []
        job = jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == MAX_TOGETHER:
                break
            try:
                job = jobs.get_nowait()
            except Empty:
                break
        is_over = job is None
        if connection is None or broken is not None:
            for job in batch:
                job.error = broken
        else:
            run_together(connection, batch)
        _deliver(loop, batch)
    if connection is not None:
        connection.close()


def connect(path: str, busy_timeout: float) -> sqlite3.Connection:
    """
    Open a file in WAL mode. Switching a fresh file to it can say "locked" at once, whatever the timeout: again then.
    """
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, cached_statements=64)
    end = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error as exc:  # also "file is not a database", which is no OperationalError
            if not isinstance(exc, sqlite3.OperationalError) or not _is_busy(exc) or time.monotonic() > end:
                connection.close()
                raise
            time.sleep(0.01)
        else:
            return connection


def run_together(connection: sqlite3.Connection, batch: list[Job]) -> None:
    """
    Run jobs and commit what they wrote in one transaction; where that fails, each in its own, so that one job's error
    is only its own.
    """
    pending = [job for job in batch if not job.future.cancelled()]
    if not any(job.is_write for job in pending):
        for job in pending:
            _run_alone(connection, job)
        return
    try:
        connection.execute("BEGIN IMMEDIATE")
        pending = [job for job in pending if not job.future.cancelled()]  # it may have waited for another process
        for job in pending:
            job.result = job.work(connection)
    except Exception:
        _roll_back(connection)
        for job in pending:
            _run_alone(connection, job)
        return
    _commit(connection, pending)


def _run_alone(connection: sqlite3.Connection, job: Job) -> None:
    try:
        if job.is_write:
            connection.execute("BEGIN IMMEDIATE")
            if job.future.cancelled():
                _roll_back(connection)
                return
        job.result = job.work(connection)
    except Exception as exc:
        _roll_back(connection)
        job.error = _meaning(exc)
        return
    if job.is_write:
        _commit(connection, [job])


def _commit(connection: sqlite3.Connection, jobs: list[Job]) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as exc:
        _roll_back(connection)
        for job in jobs:
            if job.is_write:
                job.error = UnknownOutcomeError(
                    f"It is not known whether the write was committed: {exc}.",
                    operation="commit",
                    hint="Check the disk, then read the key before you decide what to do.",
                )


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _deliver(loop: asyncio.AbstractEventLoop, batch: list[Job]) -> None:
    if batch:
        try:
            loop.call_soon_threadsafe(_wake, batch)
        except RuntimeError:
            pass  # the loop was closed with calls in flight: nobody waits any more


def _wake(batch: list[Job]) -> None:
    for job in batch:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _is_busy(exc: BaseException) -> bool:
    return "locked" in str(exc) or "busy" in str(exc)


def _cannot_open(path: str, exc: sqlite3.Error) -> DDAOError:
    if _is_busy(exc):
        return _meaning(exc)
    return ConfigurationError(
        f"The SQLite file {path!r} cannot be used: {exc}.",
        hint="Check that the directory exists and is writable, and that the file is a SQLite database.",
    )


def _meaning(exc: Exception) -> DDAOError:
    """SQLite's errors in the words of `errors.py`. The transaction was rolled back: nothing was written."""
    match exc:
        case DDAOError():
            return exc
        case sqlite3.OperationalError() if _is_busy(exc):
            return ThrottledError(
                f"Another process kept the SQLite file busy: {exc}.",
                operation="begin",
                hint="Raise busy_timeout=, or let fewer processes write.",
            )
        case sqlite3.DataError() | OverflowError():
            return ValidationError(f"SQLite does not take this: {exc}.", hint="A blob has 1 GB at most.")
        case sqlite3.OperationalError():
            return StoreUnavailableError(f"SQLite failed: {exc}.", operation="execute", hint="Check disk and file.")
        case _:
            return StoreError(
                f"SQLite failed: {type(exc).__name__}: {exc}.", hint="Check the file with `PRAGMA integrity_check`."
            )
