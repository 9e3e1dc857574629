"""
What a server was found to enforce: the object `_ddao.json`, one record for each address it was reached under.

    {"servers": {"http://127.0.0.1:9000/bucket": {"conditional_put": true, "conditional_delete": false,
                                                   "sorted_list": true, "probed_at": "2026-11-22T10:00:00Z"}}}

The address is the store's optional attribute `address` (endpoint and bucket; empty for a store that has none): a
bucket that was copied to another server brings its `_ddao.json` along, and what one server enforces says nothing about
another.
`maintenance.probe` finds out and records; whoever writes documents only reads.
"""

from __future__ import annotations

import msgspec

from ..errors import ConflictError, CorruptDocumentError, NotFoundError, UnknownOutcomeError
from ..model.keys import SERVER_KEY
from .protocol import Capabilities, ObjectStore


class Probe(msgspec.Struct, frozen=True):
    """What one probe found at one address. `probed_at` is RFC 3339 in UTC."""

    conditional_put: bool
    conditional_delete: bool
    sorted_list: bool
    probed_at: str = ""


class _Servers(msgspec.Struct, frozen=True):
    servers: dict[str, Probe] = msgspec.field(default_factory=dict[str, Probe])


RECORD_ATTEMPTS = 20
"""Each lost attempt is another client's record; more clients than this do not probe one bucket at once."""

_decoder = msgspec.json.Decoder(_Servers)
_encoder = msgspec.json.Encoder()


def address(store: ObjectStore) -> str:
    """The name under which a store's probe is kept; empty for a store that does not tell its own."""
    return str(getattr(store, "address", ""))


def declared(store: ObjectStore) -> Capabilities:
    """What the store itself says that it enforces; all None for a wrapper that says nothing."""
    return getattr(store, "capabilities", None) or Capabilities()


def is_known(capabilities: Capabilities) -> bool:
    """Nothing is left to find out."""
    return None not in (capabilities.conditional_put, capabilities.conditional_delete, capabilities.sorted_list)


def combined(capabilities: Capabilities, probe: Probe | None) -> Capabilities:
    """What a store declares, completed by what a probe found. A declaration wins."""
    if probe is None:
        return capabilities

    def known(own: bool | None, found: bool) -> bool:
        return found if own is None else own

    return Capabilities(
        conditional_put=known(capabilities.conditional_put, probe.conditional_put),
        conditional_delete=known(capabilities.conditional_delete, probe.conditional_delete),
        sorted_list=known(capabilities.sorted_list, probe.sorted_list),
    )


async def learned(store: ObjectStore) -> Capabilities:
    """
    What is known of a store: declared by itself, else recorded in its bucket; None where neither.

    Costs one GET, none for a store that declares everything (memory, SQLite). A store with a method `learn` is told.

    Raises:
        CorruptDocumentError: `_ddao.json` is not what this library writes.
    """
    own = declared(store)
    if is_known(own):
        return own
    servers, _ = await _read(store)
    return tell(store, combined(own, servers.get(address(store))))


def tell(store: ObjectStore, capabilities: Capabilities) -> Capabilities:
    """Let a store that can `learn` know what it enforces, so that it refuses by itself what would go wrong."""
    learn = getattr(store, "learn", None)
    if learn is not None:
        learn(capabilities)
    return capabilities


async def record(store: ObjectStore, probe: Probe, *, replace: bool) -> Probe:
    """
    Keep a probe in the bucket, beside those of other addresses.

    Args:
        replace: A newer look replaces what is recorded for this address (`doctor`). Otherwise, where another client
            was faster, both stay right only if each believes the weaker of the two: that is recorded and returned.
    """
    attempt = 0
    while True:
        attempt += 1
        servers, etag = await _read(store)
        found = servers.get(address(store))
        kept = probe if replace or found is None else weaker(found, probe)
        if found is not None and found in (kept, msgspec.structs.replace(kept, probed_at=found.probed_at)):
            return found
        body = _encoder.encode(_Servers({**servers, address(store): kept}))
        try:
            if not probe.conditional_put:
                await store.put(SERVER_KEY, body, content_type="application/json")
            elif etag is None:
                await store.put(SERVER_KEY, body, if_none_match=True, content_type="application/json")
            else:
                await store.put(SERVER_KEY, body, if_match=etag, content_type="application/json")
        except (ConflictError, UnknownOutcomeError):
            if attempt == RECORD_ATTEMPTS:
                raise
            continue  # somebody else recorded first, or our own write is already there: look again
        return kept


def weaker(one: Probe, other: Probe) -> Probe:
    """What both found; dated by the later."""
    return Probe(
        conditional_put=one.conditional_put and other.conditional_put,
        conditional_delete=one.conditional_delete and other.conditional_delete,
        sorted_list=one.sorted_list and other.sorted_list,
        probed_at=max(one.probed_at, other.probed_at),
    )


async def _read(store: ObjectStore) -> tuple[dict[str, Probe], str | None]:
    try:
        found = await store.get(SERVER_KEY)
    except NotFoundError:
        return {}, None
    if found is None:  # only a get with if_none_match answers None
        return {}, None
    try:
        return _decoder.decode(found.data).servers, found.info.etag
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CorruptDocumentError(
            f"{SERVER_KEY!r} is not a record of what the server enforces: {exc}.",
            hint="Delete this object and run `ddao-async doctor`, which probes the server again.",
        ) from exc
