"""One client of a run: its view of the bucket, and its requests, each of which parks until the scheduler picks it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .history import Operation, Sent, Violation

if TYPE_CHECKING:
    from .world import World

MAX_STEPS = 4000
"""After so many steps of one run nobody gets on any more."""


@dataclass
class Parked:
    """A request that waits to be picked."""

    attempt: Any
    sent: Sent | None
    arrived: Any
    held: bool = False


class Bucket:
    """What one client sees of the shared memory: the six primitives, reported to the monitor."""

    def __init__(self, world: World, capabilities: Any) -> None:
        self._world = world
        self._memory = world.memory
        self.clock = world.clock
        self.capabilities = capabilities

    async def put(self, key: str, data: bytes, **conditions: Any) -> Any:
        info = await self._memory.put(key, data, **conditions)
        self._world.changed(key)
        return info

    async def get(self, key: str, **conditions: Any) -> Any:
        return await self._memory.get(key, **conditions)

    async def head(self, key: str) -> Any:
        return await self._memory.head(key)

    async def delete(self, key: str, **conditions: Any) -> None:
        await self._memory.delete(key, **conditions)
        self._world.changed(key)

    def list(self, *args: Any, **options: Any) -> Any:
        return self._memory.list(*args, **options)

    def list_pages(self, *args: Any, **options: Any) -> Any:
        return self._memory.list_pages(*args, **options)


class Client:
    """
    One process: its store, its requests on their way, its current operation.

    Args:
        world: Where it lives.
        name: Unique; also the start of every nonce it draws.
        faulty: False for the clients that look after everything is over.
    """

    def __init__(self, world: World, name: str, *, faulty: bool = True) -> None:
        self.world = world
        self.name = name
        self.parked: list[Parked] = []
        self.operation: Operation | None = None
        self.is_dead = False
        self.nonces = 0
        self.decided = 0
        self.stalls: dict[int, int] = {}
        """After its answer of this number (from 1) it stands still for so many steps."""
        self.naps: dict[int, float] = {}
        """The answer to the request of this number (from 1) arrives so many seconds late."""
        testing = world.build.testing
        faults = self._park if faulty else self._answer
        self.store = testing.FaultyStore(
            Bucket(world, world.capabilities),
            faults,
            capabilities=world.capabilities,
            page_size=world.page_size,
            max_attempts=world.max_attempts,
        )

    def __repr__(self) -> str:
        return self.name

    def nonce(self) -> str:
        self.nonces += 1
        return f"{self.name}_{self.nonces}"

    def sent(self) -> Sent | None:
        """What the operation of this moment knows."""
        operation = self.operation
        return operation and Sent(operation, dict(operation.reads), dict(operation.intended))

    async def _park(self, attempt: Any) -> Any:
        parked = Parked(attempt, self.sent(), self.world.loop.create_future())
        self.parked.append(parked)
        try:
            return await parked.arrived
        except asyncio.CancelledError:
            if parked in self.parked:
                self.parked.remove(parked)
                self.world.scheduler.abandoned(self, parked)
            raise

    async def turn(self) -> None:
        """Wait until the scheduler picks this client again."""
        parked = Parked(None, None, self.world.loop.create_future())
        self.parked.append(parked)
        await parked.arrived

    def is_stalled(self) -> bool:
        """Does it want to stand still a while longer?"""
        steps = self.stalls.get(self.decided, 0)
        if steps <= 0:
            return False
        self.stalls[self.decided] = steps - 1
        return True

    async def _answer(self, attempt: Any) -> Any:
        self.world.step += 1
        if self.world.step > MAX_STEPS * 2:
            raise Violation("no progress: a client alone does not come to an end")
        self.world.sending(self.sent(), self, attempt, "")
        return self.world.build.testing.Answer()


def short(attempt: Any) -> str:
    """A request on one line."""
    condition = " if-none-match" if attempt.if_none_match else f" if {attempt.if_match[:6]}" if attempt.if_match else ""
    data = b" " + attempt.data if attempt.data else b""
    number = f" (attempt {attempt.number})" if attempt.number > 1 else ""
    return f"{attempt.operation} {attempt.key}{condition}{data.decode(errors='replace')}{number}"
