"""
The probe: what a server really enforces, found out with a dozen requests on throw-away keys.

    _probe/5f2c.../object        written, overwritten and deleted under right and wrong conditions
    _probe/5f2c.../race          created by several requests at once: exactly one may win
    _probe/5f2c.../n-b, .../n/a  listed: byte order puts `n-b` first, order by directory `n/a`

Servers are probed, never believed: some refuse a condition, some ignore it in silence, some have it on PUT and not on
DELETE (servers.md). A verdict rests on what the key holds afterwards, not on the status of the answer alone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable
from datetime import UTC, datetime
from enum import Enum

import msgspec

from ..errors import (
    AccessDeniedError,
    ConflictError,
    DDAOError,
    NotFoundError,
    StoreError,
    UnknownOutcomeError,
    UnsupportedError,
)
from ..model.keys import PROBES_PREFIX
from ..storage.capability import Probe, combined, declared, is_known, learned, record, tell
from ..storage.protocol import Capabilities, ObjectStore

_log = logging.getLogger("ddao_async.maintenance")

RACERS = 4
ATTEMPTS = 3
NOT_IMPLEMENTED = (400, 405, 501)
"""Answers of servers that know a condition and refuse to serve it, instead of ignoring it."""


class Outcome(Enum):
    """How a server took one conditional request."""

    DONE = "done"
    REFUSED = "refused"
    NOT_SUPPORTED = "answered with an error"
    DENIED = "denied by the bucket's policy"


class Look(msgspec.Struct, frozen=True):
    """One question of the probe: what was sent, whether the server enforced the condition, and what it did."""

    question: str
    enforced: bool
    observed: str


class Findings(msgspec.Struct, frozen=True):
    """A probe and the looks that it rests on."""

    probe: Probe
    looks: tuple[Look, ...]


async def ensure_probed(store: ObjectStore) -> Capabilities:
    """
    What the store enforces, probing it if nobody has: once for each address and bucket, as `create_tables` does.

    Safe beside other clients that do the same: each uses keys of its own, and where two records meet, the weaker stays.

    Returns:
        Capabilities without None. A store that declares everything itself costs no request.
    """
    known = await learned(store)
    if is_known(known):
        return known
    findings = await probe(store)
    kept = await record(store, findings.probe, replace=False)
    return tell(store, combined(declared(store), kept))


async def probe_again(store: ObjectStore) -> Findings:
    """Probe whatever is recorded, and let the new findings replace the old (`doctor`)."""
    tell(store, Capabilities())  # what it learned before would keep it from asking again
    findings = await probe(store)
    kept = await record(store, findings.probe, replace=True)
    tell(store, combined(declared(store), kept))
    return findings


async def probe(store: ObjectStore) -> Findings:
    """
    Find out what the store enforces. Writes below `_probe/` only, and cleans up; records nothing.

    Raises:
        UnknownOutcomeError: The server lost an answer in each of three rounds.
        StoreError: The server refuses plain reads, writes or lists.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await _round(store)
        except UnknownOutcomeError:
            continue  # an unanswered request proves nothing: again, on other keys
    return await _round(store)


async def _round(store: ObjectStore) -> Findings:
    base = f"{PROBES_PREFIX}{secrets.token_hex(8)}/"
    keys = [base + name for name in ("object", "missing", "race", "n-b", "n/a")]
    try:
        puts = [*await _look_at_puts(store, base), await _look_at_race(store, base)]
        deletes = await _look_at_deletes(store, base)
        order = await _look_at_order(store, base)
    finally:
        await _clean_up(store, keys)
    found = Probe(
        conditional_put=all(look.enforced for look in puts),
        conditional_delete=all(look.enforced for look in deletes),
        sorted_list=order.enforced,
        probed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return Findings(found, (*puts, *deletes, order))


async def _look_at_puts(store: ObjectStore, base: str) -> list[Look]:
    key = base + "object"
    first = await store.put(key, b"first")
    again = await _outcome(store.put(key, b"again", if_none_match=True))
    created = Look("PUT If-None-Match: * on an existing key", again is Outcome.REFUSED, again.value)
    if again is Outcome.DONE:
        first = await store.put(key, b"first")
    right = await _outcome(store.put(key, b"second", if_match=first.etag))
    wrong = await _outcome(store.put(key, b"third", if_match=first.etag))
    found = await store.get(key)
    held = b"" if found is None else found.data
    missing = await _outcome(store.put(base + "missing", b"", if_match=first.etag))
    return [
        created,
        Look("PUT If-Match with the right etag", right is Outcome.DONE, right.value),
        Look("PUT If-Match with a wrong etag", wrong is Outcome.REFUSED and held == b"second", wrong.value),
        Look("PUT If-Match on a missing key", missing is Outcome.REFUSED, missing.value),
    ]


async def _look_at_race(store: ObjectStore, base: str) -> Look:
    puts = [_outcome(store.put(base + "race", b"%d" % n, if_none_match=True)) for n in range(RACERS)]
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    winners = outcomes.count(Outcome.DONE)
    return Look(f"{RACERS} racing PUT If-None-Match: *", winners == 1, f"{winners} won")


async def _look_at_deletes(store: ObjectStore, base: str) -> list[Look]:
    key = base + "object"
    stale = await store.put(key, b"before")
    right = await store.put(key, b"after")
    outcome = await _outcome(store.delete(key, if_match=stale.etag))
    kept = await _exists(store, key)
    refused = Look(
        "DELETE If-Match with a wrong etag",
        outcome is Outcome.REFUSED and kept,
        outcome.value if kept else "deleted",
    )
    if not refused.enforced:
        return [refused]
    outcome = await _outcome(store.delete(key, if_match=right.etag))
    kept = await _exists(store, key)
    return [refused, Look("DELETE If-Match with the right etag", outcome is Outcome.DONE and not kept, outcome.value)]


async def _look_at_order(store: ObjectStore, base: str) -> Look:
    await store.put(base + "n-b", b"")
    await store.put(base + "n/a", b"")
    listed = [info.key async for info in store.list(base + "n")]
    in_order = listed == [base + "n-b", base + "n/a"]
    return Look("LIST in byte order of the keys", in_order, ", ".join(key.removeprefix(base) for key in listed))


async def _outcome(request: Awaitable[object]) -> Outcome:
    try:
        await request
    except ConflictError:
        return Outcome.REFUSED
    except UnsupportedError:
        return Outcome.NOT_SUPPORTED
    except AccessDeniedError:
        return Outcome.DENIED
    except UnknownOutcomeError:
        raise
    except StoreError as exc:
        if exc.status not in NOT_IMPLEMENTED:
            raise
        return Outcome.NOT_SUPPORTED
    return Outcome.DONE


async def _exists(store: ObjectStore, key: str) -> bool:
    try:
        await store.head(key)
    except NotFoundError:
        return False
    return True


async def _clean_up(store: ObjectStore, keys: list[str]) -> None:
    for key in keys:
        try:
            await store.delete(key)
        except DDAOError as exc:
            _log.warning("The probe left %r behind, vacuum removes it: %s", key, exc)
