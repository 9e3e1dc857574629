"""
What can happen to one request, and who decides it.

A *fate* is a value: `Answer`, `Lost`, `Refused`, `Failed` or `Crash`. *Faults* is anything that gives a fate for an
`Attempt`: a `Script` for one exact course of events, `RandomFaults` for seeded misfortune, or an async function.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

Operation = Literal["put", "get", "head", "delete", "list"]


class Crashed(BaseException):
    """
    The client died at this request. Not an `Exception`: no handler of a dead process runs.

    Every later request through the same `FaultyStore` raises it too.
    """


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """
    One request about to be sent.

    `number` counts the attempts of one call from 1; `began` is the store's clock when the call came in.
    """

    operation: Operation
    key: str
    number: int
    began: float
    data: bytes = b""
    if_none_match: bool = False
    if_match: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """The request is applied and answered; the answer arrives `late` seconds after."""

    late: float = 0.0


class Lost(msgspec.Struct, frozen=True):
    """
    No answer arrives.

    `applied`: the request took effect all the same. `twin`: it is still on its way (`FaultyStore.twins`) and takes
    effect when `land` is called. Neither: it never does.
    """

    applied: bool = False
    twin: bool = False


class Refused(msgspec.Struct, frozen=True):
    """The server answers without applying: 503 (slow down) or 409 (another conditional request is in progress)."""

    status: Literal[409, 503] = 503


class Failed(msgspec.Struct, frozen=True):
    """The call ends with this error; the request was not applied. For access denied and its like."""

    error: Exception


class Crash(msgspec.Struct, frozen=True):
    """The client dies: `Crashed` now and from now on. `applied` and `twin` as in `Lost`."""

    applied: bool = False
    twin: bool = False


Fate = Answer | Lost | Refused | Failed | Crash
Faults = Callable[[Attempt], Awaitable[Fate]]
"""Decides over one request. May wait before it returns: that is a delay on the way to the server."""

ANSWER = Answer()


class Script:
    """
    Fates in order, one per request; when they run out everything is answered.

    Args:
        fates: E.g. `Answer(), Lost(applied=True)`: the second request takes effect, its answer is lost.
    """

    def __init__(self, *fates: Fate) -> None:
        self._fates = list(reversed(fates))
        self.attempts: list[Attempt] = []

    async def __call__(self, attempt: Attempt) -> Fate:
        self.attempts.append(attempt)
        return self._fates.pop() if self._fates else ANSWER


class RandomFaults:
    """
    Seeded misfortune; the same seed and the same requests give the same faults.

    Args:
        seed: Of the random source.
        lost: Share of requests without an answer; half of them applied, a quarter twins, the rest never.
        refused: Share answered 503 or 409 (409 on conditional writes only).
        crash: Share that are the client's last.
        delay: Each request waits up to this many seconds before it is applied.
        sleep: How to wait.
    """

    def __init__(
        self,
        seed: int,
        *,
        lost: float = 0.0,
        refused: float = 0.0,
        crash: float = 0.0,
        delay: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._random = random.Random(seed)
        self._lost, self._refused, self._crash, self._delay = lost, refused, crash, delay
        self._sleep = sleep

    async def __call__(self, attempt: Attempt) -> Fate:
        if self._delay:
            await self._sleep(self._random.uniform(0, self._delay))
        chance = self._random.random()
        fate = self._random.random()
        applied, twin = fate < 0.5, 0.5 <= fate < 0.75
        if chance < self._crash:
            return Crash(applied, twin)
        if (chance := chance - self._crash) < self._lost:
            return Lost(applied, twin)
        if chance - self._lost < self._refused:
            is_conditional = attempt.if_none_match or attempt.if_match is not None
            return Refused(409 if is_conditional and fate < 0.5 else 503)
        return ANSWER
