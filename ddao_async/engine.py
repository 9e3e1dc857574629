"""
What every document operation needs of the world: store, time, randomness, settings, and what the server enforces.

All of it is passed in, so that a simulation drives the very code that runs in production: the engine waits only in
requests to its store and in `sleep`, starts no task that outlives the call that started it (but a lease's renewal,
which its holder ends), and reads no clock but these two.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from .checked import CheckFirst
from .errors import UnsupportedError
from .state import TableStates
from .storage.capability import learned
from .storage.gate import Gate
from .storage.protocol import Capabilities, ObjectStore

_log = logging.getLogger("ddao_async.engine")

DEADLINE = 30.0
"""Seconds one write may take, repetitions included, on a store that does not tell."""
GRACE = 900.0
"""Seconds after which a signed request can still land, on a store that does not tell: S3's 15 minutes."""
LOOK_AGAIN = 60.0
"""Seconds until a server that was never probed is looked up again: somebody may have created tables meanwhile."""
CHECK_FIRST = "The server does not enforce conditional writes: inserts and updates check first, the last writer wins."


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    Times of the protocol, in seconds; tests shorten them.

    Attributes:
        copy_age: The oldest copy of `_state.json` that a document is written by, or an index read by.
        copy_reserve: A younger copy is fetched when less than this is left of `copy_age`: no request must hurry more.
        slack: Added to `copy_age` and the store's grace wherever nothing done in ignorance may land any more.
        hour: An attempt older than this signs no document, prewrite or decision.
        day: Age at which `vacuum` takes a thing for garbage.
        intent_lease: How long an undecided transaction is waited for before it is aborted.
        claim_wait: How long the owner of a claim without a document is waited for before it is fenced.
        repeat_for: How long a write that is never answered is repeated, beyond the store's own repetitions.
        retry_for: How long `modify` and `run` try again.
        max_transaction_keys: The most documents one transaction may read and write.
    """

    copy_age: float = 60.0
    copy_reserve: float = 10.0
    slack: float = 60.0
    hour: float = 3600.0
    day: float = 86400.0
    intent_lease: float = 10.0
    claim_wait: float = 0.2
    repeat_for: float = 30.0
    retry_for: float = 30.0
    max_transaction_keys: int = 500


LOCAL = Settings(copy_age=5.0, copy_reserve=3.0, slack=1.0)
"""Where no request is ever under way (grace 0: memory, SQLite) a copy costs microseconds, so a short wait will do."""


def monotonic() -> float:
    """Seconds that never go back and go on while the machine sleeps, where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Nonces:
    """Strings that nobody ever drew before: 64 random bits for this source, then a counter. Letters and digits."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._drawn = 0

    def __call__(self) -> str:
        self._drawn += 1
        return f"{self._prefix}{self._drawn:x}"


class Engine:
    """
    The context of all operations on one bucket; one for each open database.

    Args:
        store: Where the bytes are.
        settings: Times of the protocol; all clients of one bucket must agree on them. Default: by the store's grace.
        clock: The server's time, epoch seconds; default: the store's own, else this machine's.
        monotonic: Seconds that never go back; ages and waits are measured with it.
        sleep: How to wait.
        nonce: Draws strings that never come back, of letters and digits.
        jitter: Draws floats from 0 to 1, for backoff.
        capabilities: What the server enforces; None: what the store declares, else what `_ddao.json` records, read
            once before the first write.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        settings: Settings | None = None,
        clock: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        nonce: Callable[[], str] | None = None,
        jitter: Callable[[], float] = random.random,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.store = store
        self.deadline: float = getattr(store, "deadline", DEADLINE)
        self.grace: float = getattr(store, "grace", GRACE)
        self.settings = settings or (Settings() if self.grace else LOCAL)
        self.clock: Callable[[], float] = clock or getattr(store, "clock", None) or time.time
        self.monotonic = monotonic
        self.sleep = sleep
        self.nonce = nonce or Nonces()
        self.jitter = jitter
        self.capabilities = Capabilities()
        self.states = TableStates(self)
        self._gate: Gate | None = None
        self._is_prepared = False
        self._looked_at = -LOOK_AGAIN - 1e9
        self._preparing = asyncio.Lock()
        self._second = -1
        self._second_text = ""
        if capabilities is not None:
            self.learn(capabilities)

    @property
    def quiet_time(self) -> float:
        """Seconds after a change of `_state.json` from which on nothing done in ignorance of it can land."""
        return self.settings.copy_age + self.grace + self.settings.slack

    @property
    def gate(self) -> Gate:
        """What bulk work goes through: all imports, exports and copies of one open database together."""
        if self._gate is None:
            self._gate = Gate(self.store, clock=self.monotonic)
        return self._gate

    @property
    def conditional_delete(self) -> bool:
        """Deletes are sent with a condition. True as well where every condition is only looked at first."""
        return self.capabilities.conditional_delete is True or self.capabilities.conditional_put is False

    async def prepare(self) -> None:
        """
        Find out what the server enforces: one GET, and where nobody had probed it yet another one a minute later.

        Every write has done this before.
        """
        if self._is_prepared or self.monotonic() - self._looked_at < LOOK_AGAIN:
            return
        async with self._preparing:
            if not self._is_prepared and self.monotonic() - self._looked_at >= LOOK_AGAIN:
                self.learn(await learned(self.store))

    def learn(self, capabilities: Capabilities) -> None:
        """Go by these capabilities from now on, as after a probe."""
        self.capabilities = capabilities
        self._is_prepared = capabilities.conditional_put is not None
        self._looked_at = self.monotonic()
        is_checked = isinstance(self.store, CheckFirst)
        if capabilities.conditional_put is False and not is_checked:
            _log.warning(CHECK_FIRST)
            self.store = CheckFirst(self.store)
        elif capabilities.conditional_put is not False and isinstance(self.store, CheckFirst):
            self.store = self.store.inner

    def require_conditional_put(self, what: str) -> None:
        """Raise an UnsupportedError unless conditional writes are known to be enforced."""
        if self.capabilities.conditional_put is True:
            return
        if self.capabilities.conditional_put is False:
            raise UnsupportedError(
                f"{what} cannot be safe here: the server ignores conditional writes.",
                hint="Use a server that enforces If-Match and If-None-Match on PUT; `ddao-async doctor` tells.",
            )
        raise UnsupportedError(
            f"{what} cannot be safe here: nobody has found out yet whether the server enforces conditional writes.",
            hint="Run `create_tables` or `ddao-async doctor` once; both probe the server.",
        )

    def timestamp(self) -> str:
        """The server's time now: RFC 3339 in UTC with microseconds."""
        now = self.clock()
        second = int(now)
        if second != self._second:
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._second_text}.{int((now - second) * 1e6):06d}Z"

    def second(self) -> str:
        """The server's time as of the last `timestamp`, in whole seconds."""
        if self._second < 0:
            self.timestamp()
        return f"{self._second_text}Z"

    async def pause(self, attempt: int, longest: float = 1.0) -> None:
        """Wait with full jitter before attempt number `attempt` (from 1): 10 ms doubled each time, up to `longest`."""
        await self.sleep((0.1 + 0.9 * self.jitter()) * min(longest, 0.01 * 2.0 ** min(attempt, 20)))
