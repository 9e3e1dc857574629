"""
Leases: one holder at a time, by name, for a while (protocol.md, section 5).

    _leases/nightly-report.json   {"holder": "5f..3", "token": 7, "expires_at": "2026-11-22T10:00:30Z"}
                                  {"holder": null, "token": 7, "expires_at": "..."}      released

A lease is a promise about time, and clocks and stalls break such promises: whatever it guards should take the `token`,
which only ever grows, and refuse a smaller one than it has seen.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Self

import msgspec

from .conditional import JSON
from .engine import Engine
from .errors import (
    ConflictError,
    CorruptDocumentError,
    DDAOError,
    LeaseLostError,
    NotFoundError,
    UnknownOutcomeError,
    UnsupportedError,
    ValidationError,
)
from .model.keys import check_id, lease_key

_log = logging.getLogger("ddao_async.lease")

SKEW = 1.0
"""Seconds by which clients may differ in what they take for the server's time: `Date` tells whole seconds."""
LONGEST_POLL = 1.0


class LeaseState(msgspec.Struct, frozen=True):
    """The content of a lease's object; `holder` is None in a released one."""

    holder: str | None
    token: int
    expires_at: datetime


_decoder = msgspec.json.Decoder(LeaseState)
_encode = msgspec.json.Encoder().encode


class Lease:
    """
    A lease, held inside `async with` and renewed in the background. Use once.

    When it is lost (taken over, or not renewed in time) the block inside is cancelled, as `asyncio.timeout` does, and
    leaves with a LeaseLostError. Whatever the block does after that may overlap with the next holder.

    Args:
        name: One holder at a time for each name.
        ttl: Seconds that it stays held after the last renewal; renewed after a third of that. A crashed holder blocks
            others for so long.
        timeout: Seconds to wait for another holder; None: for ever.

    Attributes:
        token: Grows by one with each new holder; 0 before it is held.
    """

    def __init__(self, engine: Engine, name: str, *, ttl: float = 30.0, timeout: float | None = None) -> None:
        if not ttl > 0:
            raise ValidationError(f"A lease's ttl is a positive number of seconds, not {ttl!r}.", hint="Try 30.")
        self.name = check_id(name)
        self.ttl = ttl
        self.token = 0
        self._engine = engine
        self._timeout = timeout
        self._key = lease_key(name)
        self._holder = ""
        self._etag = ""
        self._until = 0.0  # monotonic; counted from before the request was sent
        self._is_lost = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._renewing: asyncio.Task[None] | None = None

    @property
    def is_lost(self) -> bool:
        """It was held, and somebody else may hold it by now."""
        return self._is_lost or (self.token > 0 and self._engine.monotonic() >= self._until)

    def check(self) -> None:
        """Raise a LeaseLostError if the lease is lost: right before what must not happen twice."""
        if self.is_lost:
            raise self._lost()

    async def __aenter__(self) -> Self:
        """
        Wait for the lease, then hold it.

        Raises:
            ConflictError: Another holder kept it for longer than `timeout`.
            UnsupportedError: The server does not enforce conditional writes; or this object was used before.
        """
        if self._holder:
            raise UnsupportedError(f"The lease {self.name!r} was entered before.", hint="Make a new one each time.")
        await self._engine.prepare()
        self._engine.require_conditional_put("A lease")
        self._holder = self._engine.nonce()
        await self._acquire()
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0
        self._renewing = asyncio.create_task(self._renew(), name=f"renew lease {self.name}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        was_cancelled_now = await self._stop_renewing()
        if not self._is_lost:
            await self._release()
            if was_cancelled_now:
                raise asyncio.CancelledError
            return
        # Take back our own cancellation of the block. Somebody else's goes on.
        is_only_ours = self._task is None or self._task.uncancel() <= self._cancelling
        if was_cancelled_now and not is_only_ours:
            raise asyncio.CancelledError
        if is_only_ours and (kind is None or kind is asyncio.CancelledError):
            raise self._lost() from error

    # Taking it

    async def _acquire(self) -> None:
        engine = self._engine
        give_up = None if self._timeout is None else engine.monotonic() + self._timeout
        number = 0
        while True:
            state, etag = await self._read()
            if state is None or state.holder is None or self._has_expired(state):
                is_taken = await self._take(state.token + 1 if state else 1, etag)
            else:
                # Our own, if an answer was lost: how long ago it landed is not known, so it is renewed first.
                is_taken = state.holder == self._holder and await self._take(state.token, etag)
            if is_taken:
                return
            if give_up is not None and engine.monotonic() >= give_up:
                raise ConflictError(
                    f"The lease {self.name!r} has another holder.", hint="Try later, or wait longer with timeout=."
                )
            number += 1
            await engine.pause(number, longest=LONGEST_POLL)

    async def _take(self, token: int, etag: str | None) -> bool:
        """Write oneself down as the holder; False: not for certain, look again."""
        engine = self._engine
        sent_at = engine.monotonic()
        body = self._body(self._holder, token, engine.clock() + self.ttl)
        try:
            info = await engine.store.put(self._key, body, if_none_match=etag is None, if_match=etag, content_type=JSON)
        except (ConflictError, UnknownOutcomeError):
            return False
        self.token, self._etag, self._until = token, info.etag, sent_at + self.ttl
        return True

    def _has_expired(self, state: LeaseState) -> bool:
        return self._engine.clock() > state.expires_at.timestamp() + SKEW

    # Keeping it

    async def _renew(self) -> None:
        engine = self._engine
        while True:
            await engine.sleep(self.ttl / 3)
            if not await self._renewed():
                self._is_lost = True
                if self._task is not None:
                    self._task.cancel()
                return

    async def _renewed(self) -> bool:
        """Renew once, tried again until the time is over; False: lost."""
        engine, number = self._engine, 0
        while (left := self._until - engine.monotonic()) > 0:
            try:
                async with asyncio.timeout(left):
                    if await self._take(self.token, self._etag):
                        return True
                    state, etag = await self._read()
                if state is None or etag is None or state.holder != self._holder:
                    return False
                self._etag = etag  # a renewal of ours whose answer was lost
            except (DDAOError, TimeoutError) as exc:
                _log.info("Renewing lease %r: %s", self.name, exc)
            number += 1
            await engine.pause(number, longest=self.ttl / 10)
        return False

    async def _stop_renewing(self) -> bool:
        """End the renewal, so that nothing cancels the block any more; True: a cancellation came while it ended."""
        if self._renewing is None:
            return False
        self._renewing.cancel()
        try:
            await asyncio.wait((self._renewing,))
        except asyncio.CancelledError:
            return True
        return False

    # Giving it back

    async def _release(self) -> None:
        """Released for the next holder, with the token kept. Where that fails the lease ends by itself."""
        body = self._body(None, self.token, self._engine.clock())
        try:
            try:
                await self._engine.store.put(self._key, body, if_match=self._etag, content_type=JSON)
            except ConflictError:
                # The renewal that was just cut off may have landed.
                state, etag = await self._read()
                if state is not None and state.holder == self._holder:
                    await self._engine.store.put(self._key, body, if_match=etag, content_type=JSON)
        except DDAOError as exc:
            _log.info("The lease %r ends by itself within %s s: %s", self.name, self.ttl, exc)

    # The object

    def _body(self, holder: str | None, token: int, expires_at: float) -> bytes:
        return _encode(LeaseState(holder, token, datetime.fromtimestamp(expires_at, UTC)))

    async def _read(self) -> tuple[LeaseState | None, str | None]:
        try:
            found = await self._engine.store.get(self._key)
        except NotFoundError:
            return None, None
        if found is None:  # only a get with if_none_match answers None
            return None, None
        try:
            return _decoder.decode(found.data), found.info.etag
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise CorruptDocumentError(f"{self._key!r} is not a lease: {exc}.", hint="Delete the object.") from exc

    def _lost(self) -> LeaseLostError:
        return LeaseLostError(
            f"The lease {self.name!r} (token {self.token}) was lost.",
            hint="Stop what it guarded; take it again for a new token.",
        )
