"""
The doctor: looks at a bucket step by step, the way a user would if nothing worked, and says what to do.

    connection, credentials, bucket,     can it be reached, are the keys known, is it there, and where
    region
    clock                                how far this machine's clock is from the server's
    write, read, list, delete            on throw-away keys
    one step for each promise            which conditions the server enforces (maintenance.probe), recorded anew
    one step for each table              its indexes, documents that another tool wrote, objects that are no documents

A step that fails does not end the examination unless nothing after it could work.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum

import msgspec

from ..config import S3Settings
from ..errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConnectionTimeoutError,
    DDAOError,
    InvalidCredentialsError,
    NotFoundError,
    StoreUnavailableError,
)
from ..model.keys import PROBES_PREFIX
from ..storage.capability import address
from ..storage.protocol import ObjectStore
from ..wire.endpoint import endpoint_for
from .examine import SAMPLE, TableLook, examine_tables
from .probe import Findings, probe_again

SKEW_NOTED = 60.0
"""Seconds. Requests are signed with the server's time: a wrong clock here harms logs and times, not requests."""


replace = msgspec.structs.replace


class Health(Enum):
    """How a step ended."""

    OK = "ok"
    NOTE = "note"
    FAILED = "failed"
    SKIPPED = "skipped"


class Step(msgspec.Struct, frozen=True):
    """One thing that was looked at. `hint` says what to do unless all is well; `seconds` is how long it took."""

    name: str
    health: Health
    detail: str
    hint: str = ""
    seconds: float = 0.0


async def diagnose(
    store: ObjectStore, *, sample: int = SAMPLE, now: Callable[[], float] = time.time
) -> AsyncIterator[Step]:
    """
    Examine a store and everything in it, one step after the other.

    Args:
        store: An open store, its bucket not yet checked.
        sample: The most documents read of each table.
        now: This machine's clock, epoch seconds.

    Yields:
        Steps, each as soon as it is known. Errors of the store become failed steps; none is raised.
    """
    reachable = True
    async for step in _reach(store):
        yield step
        reachable = reachable and step.health is not Health.FAILED
    if not reachable:
        yield Step("objects", Health.SKIPPED, "The bucket cannot be used.", "Solve the failed step first.")
        return
    yield _clock(store, now)
    writable = True
    async for step in _objects(store):
        yield step
        writable = writable and step.health is not Health.FAILED
    if writable:
        async for step in _promises(store):
            yield step
    else:
        yield Step("conditions", Health.SKIPPED, "Not probed.", "The probe needs to write, read, list and delete.")
    try:
        async for look in examine_tables(store, sample=sample):
            yield _table(look)
    except DDAOError as exc:
        yield _failed("tables", exc, time.monotonic())


async def _reach(store: ObjectStore) -> AsyncIterator[Step]:
    """Connection, credentials and bucket: one request tells which of them is wrong."""
    where = address(store)
    began = time.monotonic()
    connection = Step("connection", Health.OK, f"{where} answers." if where else "None is needed.")
    credentials = Step("credentials", Health.OK, "The server knows them." if where else "None are needed.")
    try:
        await _check(store)
    except (ConnectionTimeoutError, StoreUnavailableError) as exc:
        yield _failed("connection", exc, began)
    except InvalidCredentialsError as exc:
        if exc.status is not None:  # None: there were none to send
            yield connection
        yield _failed("credentials", exc, began)
    except AccessDeniedError as exc:
        yield connection
        yield credentials
        yield replace(_failed("bucket", exc, began), health=Health.NOTE)
    except BucketNotFoundError as exc:
        yield connection
        yield credentials
        yield _failed("bucket", exc, began)
    except DDAOError as exc:
        yield _failed("bucket", exc, began)
    else:
        yield replace(connection, seconds=time.monotonic() - began)
        yield credentials
        yield Step("bucket", Health.OK, "It is there.")
        yield Step("region", Health.OK, _region(store))


async def _check(store: ObjectStore) -> None:
    check = getattr(store, "check", None)
    if check is not None:
        await check()
        return
    async for _ in store.list(limit=1):
        break


def _region(store: ObjectStore) -> str:
    """Where another region had been configured, the bucket's own has been learned, or the request above had failed."""
    settings = getattr(store, "settings", None)
    if not isinstance(settings, S3Settings):
        return "None is needed."
    return f"Requests are signed for {getattr(store, 'region', None) or endpoint_for(settings).region}."


def _clock(store: ObjectStore, now: Callable[[], float]) -> Step:
    clock = getattr(store, "clock", None)
    if clock is None:
        return Step("clock", Health.OK, "The store tells no time of its own.")
    skew = now() - clock()
    if abs(skew) <= SKEW_NOTED:
        return Step("clock", Health.OK, f"Within {abs(skew):.1f} s of the server's.")
    return Step(
        "clock",
        Health.NOTE,
        f"This machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's.",
        "Requests are signed with the server's time and work; set this clock (NTP) for the times in records and logs.",
    )


async def _objects(store: ObjectStore) -> AsyncIterator[Step]:
    """Write, read, list and delete one throw-away object."""
    prefix = f"{PROBES_PREFIX}{secrets.token_hex(8)}/"
    key = prefix + "doctor"
    body = secrets.token_bytes(256)

    async def read() -> str:
        found = await store.get(key)
        if found is None or found.data != body:
            raise DDAOError("The object read back is not the one written.", hint="Do not use this server.")
        return f"{len(found.data)} bytes read back."

    async def listed() -> str:
        keys = [info.key async for info in store.list(prefix)]
        if keys != [key]:
            raise DDAOError(f"A list right after the write gives {keys!r}.", hint="Do not use this server.")
        return "The object is listed."

    async def delete() -> str:
        await store.delete(key)
        try:
            await store.head(key)
        except NotFoundError:
            return "The object is gone."
        raise DDAOError("The object is still there after its delete.", hint="Look for a retention rule (object lock).")

    async def write() -> str:
        await store.put(key, body)
        return f"{len(body)} bytes written."

    written = await _timed("write", write())
    yield written
    if written.health is Health.FAILED:
        try:
            async for _ in store.list(limit=1):
                break
        except DDAOError as exc:
            yield _failed("list", exc, time.monotonic())
        return
    yield await _timed("read", read())
    yield await _timed("list", listed())
    yield await _timed("delete", delete())


async def _promises(store: ObjectStore) -> AsyncIterator[Step]:
    began = time.monotonic()
    try:
        findings = await probe_again(store)
    except DDAOError as exc:
        yield _failed("conditions", exc, began)
        return
    took = time.monotonic() - began
    yield _promise(
        "conditional put",
        findings.probe.conditional_put,
        "Inserts, updates, unique columns, transactions and leases are safe.",
        findings,
        "PUT",
        "Writes check first and the last writer wins; unique columns, transactions and leases are refused. "
        "Use a server that enforces If-None-Match and If-Match on PUT.",
        took,
    )
    yield _promise(
        "conditional delete",
        findings.probe.conditional_delete,
        "Deletes remove the object.",
        findings,
        "DELETE",
        "Nothing is lost: a delete leaves a small marker, which `ddao-async vacuum` removes a day later.",
    )
    yield _promise(
        "list order",
        findings.probe.sorted_list,
        "Byte order of the keys.",
        findings,
        "LIST",
        "Nothing is lost: ids with '/' come in an order of the server's own.",
    )


def _promise(name: str, kept: bool, good: str, findings: Findings, verb: str, hint: str, seconds: float = 0.0) -> Step:
    if kept:
        return Step(name, Health.OK, good, seconds=seconds)
    broken = [look for look in findings.looks if verb in look.question and not look.enforced]
    detail = "Not enforced: " + "; ".join(f"{look.question}: {look.observed}" for look in broken) + "."
    return Step(name, Health.NOTE, detail, hint, seconds)


def _table(look: TableLook) -> Step:
    """One table in a line: what is broken weighs most, then what searches must go without."""
    name = f"table {look.name}"
    unfinished = [column for column, state in (look.indexes or {}).items() if state != "complete"]
    detail = f"{look.documents} document{'' if look.documents == 1 else 's'}"
    detail += "" if look.whole else " read, there are more"
    if look.indexes:
        detail += "; indexes: " + ", ".join(f"{column} {state}" for column, state in sorted(look.indexes.items()))
    if look.broken:
        broken = f"; not readable as what they should be: {', '.join(look.broken)}"
        return Step(name, Health.FAILED, detail + broken + ".", "Look at these objects; repair or remove them.")
    reindex = f"Run `ddao-async reindex {look.name}`"
    if look.foreign:
        detail += f"; {look.foreign} without revision, written by another tool"
        return Step(name, Health.NOTE, detail + ".", f"{reindex}: indexes do not find such documents otherwise.")
    if scanned := sorted({*unfinished, *look.unbuilt}):
        hint = f"{reindex} unless one is running: searches on {', '.join(scanned)} scan until then."
        return Step(name, Health.NOTE, detail + ".", hint)
    return Step(name, Health.OK, detail + ".")


async def _timed(name: str, action: Awaitable[str]) -> Step:
    began = time.monotonic()
    try:
        detail = await action
    except DDAOError as exc:
        return _failed(name, exc, began)
    return Step(name, Health.OK, detail, seconds=time.monotonic() - began)


def _failed(name: str, exc: DDAOError, began: float) -> Step:
    return Step(name, Health.FAILED, exc.message, exc.hint, time.monotonic() - began)
