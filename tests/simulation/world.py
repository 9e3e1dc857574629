"""
One run: a bucket, its clients, a monitor that looks after every change, and a scheduler that makes every choice.

Each request of a client parks until the scheduler picks it and decides its fate; each timer waits until the scheduler
fires it. A crashed client is never picked again. All choices come from one seeded random source, so a seed is a run.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from .build import Build
from .history import History, Operation, Sent, State, Violation
from .loop import OWNER, SimulationLoop

EPOCH = 1_795_305_600.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
TABLE = "t"
MAX_STEPS = 4000


@dataclass(frozen=True)
class Leap:
    """How the clock moves between steps: a chance for each step, and by how many seconds."""

    chance: float = 0.0
    seconds: tuple[float, ...] = (0.5,)


@dataclass
class Misfortune:
    """What goes wrong in one run."""

    budget: int = 0
    chance: float = 0.0
    aim: str | None = None
    """Faults hit keys with this part only."""
    victim: int | None = None
    """Faults hit this client only."""
    fates: tuple[float, float] = (0.45, 0.45)
    """Of the writes without an answer: the share that was applied, and that becomes a twin."""
    crash: float = 0.35
    """Share of the faults that are the client's last."""
    twin: float = 0.08
    """Chance of each step that a twin lands."""
    sticky: float = 0.5
    """How often the same client goes on."""
    frozen: int | None = None
    freeze: tuple[int, int] = (0, 0)
    leap: Leap = field(default_factory=Leap)
    hold: float = 0.0
    late: float = 0.0
    busy: float = 0.0
    """Share of requests answered 503 or 409."""


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
                self.world.abandoned(self, parked)
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


Program = Callable[[Client], Awaitable[None]]


class World:
    """
    Everything of one run.

    Args:
        build: The package under test.
        seed: Any string; the same string is the same run.
        trace: Print each step.
    """

    def __init__(self, build: Build, seed: str, *, trace: bool = False) -> None:
        self.build = build
        self.seed = seed
        self.rng = random.Random(seed)
        self.trace = trace
        self.loop = SimulationLoop(EPOCH)
        self.clock = self.loop.time
        self.step = 0
        self.memory = build.memory.MemoryAdapter(clock=self.clock)
        conditional_delete = self.rng.random() < 0.7
        self.capabilities = build.protocol.Capabilities(
            conditional_put=True, conditional_delete=conditional_delete, sorted_list=True
        )
        self.page_size = self.rng.choice((1, 2, 1000))
        self.max_attempts = self.rng.choice((1, 2, 8))
        self.misfortune = Misfortune()
        self.history = History({})
        self.monitors: list[Callable[[World, str], None]] = []
        self.twins: dict[int, Sent | None] = {}
        self.clients: list[Client] = []
        self._applying: Sent | None = None

    # The bucket, watched

    def object(self, key: str) -> dict[str, Any] | None:
        """The JSON of a key, past all faults."""
        found = self.memory._objects.get(key)
        return found and json.loads(found.data)

    def is_locked(self, id: str, *, decided: bool = False) -> bool:
        """Is there an intent on this document, and is it decided?"""
        body = self.object(f"tables/{TABLE}/objects/{id}.json")
        if body is None or "intent" not in body:
            return False
        return not decided or self.object(f"_transactions/{body['intent']['tx']}.json") is not None

    def is_fenced(self, id: str) -> bool:
        """Has somebody fenced this document?"""
        body = self.object(f"tables/{TABLE}/objects/{id}.json")
        return body is not None and "fence" in body

    def index_state(self, column: str) -> str | None:
        """What `_state.json` says of an index; None: there is none."""
        indexes = (self.object(f"tables/{TABLE}/_state.json") or {"indexes": {}})["indexes"]
        return indexes[column]["state"] if column in indexes else None

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.memory._keys if key.startswith(prefix)]

    def committed(self, id: str) -> State | None:
        """The committed state of a document: through its intent, if that is decided."""
        body = self.object(f"tables/{TABLE}/objects/{id}.json")
        if body is None:
            return None
        if intent := body.get("intent"):
            decision = self.object(f"_transactions/{intent['tx']}.json")
            if decision is not None and decision["state"] == "committed":
                if intent["op"] == "delete":
                    return None
                return _state(intent["document"])
        return None if body.get("absent") else _state(body)

    def changed(self, key: str) -> None:
        """A request was applied to this key: see what became visible by it."""
        if key.startswith((f"tables/{TABLE}/objects/", "_transactions/")):
            after = {}
            for doc in self.history.logs:
                state, before = self.committed(doc), self.history.now(doc)
                if (state and state.revision) != (before and before.revision):
                    after[doc] = state
                elif state is not None and before is not None and state.fields != before.fields:
                    raise Violation(f"{doc} changed from {before} to {state} without a new revision")
            if after:
                self.history.record(self.step, self._applying, after)
        for monitor in self.monitors:
            monitor(self, key)

    # The scheduler

    def run(self, clients: list[tuple[Client, Program]]) -> None:
        """Run the clients until each has ended or died, then let the last requests land."""
        with self.loop:
            tasks = {client: self._start(client, program) for client, program in clients}
            try:
                self._schedule(tasks)
                self._land_the_rest(list(tasks))
            finally:
                for client, task in tasks.items():
                    client.store.has_crashed = True
                    if not task.done():
                        task.cancel()
                    for parked in client.parked:
                        parked.arrived.cancel()
                self.loop.drain()

    def alone(self, program: Callable[[], Awaitable[Any]]) -> Any:
        """Run something by itself to its end, timers fired as soon as they stand."""
        with self.loop:
            context = copy_context()
            owner = object()
            context.run(OWNER.set, owner)
            task = self.loop.create_task(program(), context=context)
            self.loop.drain()
            for _ in range(2000):
                if task.done():
                    return task.result()
                if self.loop.next_timer(owner) is None:
                    break
                self.loop.fire(owner)
            task.cancel()
            self.loop.drain()
            raise Violation("no progress: a client alone does not come to an end")

    def _start(self, client: Client, program: Program) -> Any:
        context = copy_context()
        context.run(OWNER.set, client)
        return self.loop.create_task(program(client), context=context)

    def _schedule(self, tasks: dict[Client, Any]) -> None:
        rng, plan = self.rng, self.misfortune
        clients = self.clients = list(tasks)
        current: Client | None = None
        self.loop.drain()
        while True:
            live = [c for c in clients if not c.is_dead and (c.parked or not self._is_over(tasks[c]))]
            if not live:
                return
            self.step += 1
            if self.step > MAX_STEPS:
                raise Violation(f"no progress: {MAX_STEPS} steps")
            if plan.leap.chance and rng.random() < plan.leap.chance:
                self.loop.now += rng.choice(plan.leap.seconds)
            if rng.random() < (0.5 if len(live) == 1 else plan.twin) and self._land_one(clients):
                continue
            choice = live
            if plan.frozen is not None and plan.freeze[0] <= self.step < plan.freeze[1]:
                choice = [c for c in live if c is not clients[plan.frozen % len(clients)]] or live
            choice = [c for c in choice if not c.is_stalled()] or choice
            if current not in choice or rng.random() >= plan.sticky:
                current = rng.choice(choice)
            if not self._advance(current, alone=len(live) == 1):
                current = None

    def _is_over(self, task: Any) -> bool:
        """Has the program ended? A surprise in it ends the run."""
        if not task.done():
            return False
        if error := task.exception():
            raise error
        return True

    def _advance(self, client: Client, *, alone: bool) -> bool:
        """One step of one client; False when it only waited."""
        rng = self.rng
        timer = self.loop.next_timer(client)
        if client.parked and not (timer is not None and timer <= self.loop.now and rng.random() < 0.3):
            parked = client.parked[rng.randrange(len(client.parked))]
            if not parked.held and self.misfortune.hold and rng.random() < self.misfortune.hold:
                parked.held = True
            if parked.held and not alone and rng.random() < 0.9:
                return False
            client.parked.remove(parked)
            self._decide(client, parked)
            return True
        if timer is None:
            raise Violation(f"{client} waits for nothing")
        if timer > self.loop.now + 5 and not alone:
            # A long sleep: do not always be the first to move the clock to its end.
            if rng.random() < 0.9 or timer > self._first_timer():
                return False
            if rng.random() < 0.7:
                self.loop.now += rng.choice(self.misfortune.leap.seconds)
                return False
        self.say(client, "wakes", "")
        self.loop.fire(client)
        return False

    def _first_timer(self) -> float:
        """When the first of the clients that still run wakes up."""
        timers = [self.loop.next_timer(client) for client in self.clients if not client.is_dead]
        return min(timer for timer in timers if timer is not None)

    def _decide(self, client: Client, parked: Parked) -> None:
        """Let one request happen, well or badly."""
        if parked.attempt is None:
            parked.arrived.set_result(None)
            self.loop.drain()
            return
        client.decided += 1
        fate, kind = self._fate(client, parked.attempt)
        if kind == "crash":
            client.is_dead = True
            self.loop.forget(client)
            if fate.applied or fate.twin:
                # A dead process runs no handler: its request is applied, its coroutine never resumed.
                self._apply_without_client(client, parked, twin=fate.twin)
            self.say(client, "dies", f"{_short(parked.attempt)} {fate}")
            return
        self.sending(parked.sent, client, parked.attempt, "" if kind == "answer" else str(fate))
        twins = len(client.store.twins)
        parked.arrived.set_result(fate)
        self.loop.drain()
        for twin in client.store.twins[twins:]:
            self.twins.setdefault(id(twin), parked.sent)

    def abandoned(self, client: Client, parked: Parked) -> None:
        """A request was given up by its client while it was on its way: it may still arrive."""
        if not client.store.has_crashed and self.rng.random() < 0.5:
            self._apply_without_client(client, parked, twin=True)

    def _apply_without_client(self, client: Client, parked: Parked, *, twin: bool) -> None:
        attempt = parked.attempt
        if attempt.operation not in ("put", "delete"):
            return
        bucket = Bucket(self, self.capabilities)

        async def apply() -> None:
            if attempt.operation == "put":
                await bucket.put(
                    attempt.key, attempt.data, if_none_match=attempt.if_none_match, if_match=attempt.if_match
                )
            elif attempt.operation == "delete":
                await bucket.delete(attempt.key, if_match=attempt.if_match)

        letter = self.build.testing.Twin(attempt, apply)
        client.store.twins.append(letter)
        self.twins[id(letter)] = parked.sent
        if not twin:
            self._land(client, letter)

    def _fate(self, client: Client, attempt: Any) -> tuple[Any, str]:
        """What becomes of a request that is picked now."""
        rng, plan, testing = self.rng, self.misfortune, self.build.testing
        age = self.loop.now - attempt.began
        is_read = attempt.operation in ("get", "head", "list")
        is_dead = age > client.store.deadline + client.store.grace
        if is_dead or (age > client.store.deadline and rng.random() < 0.3):
            # Nobody waits for the answer any more; a signature this old is refused.
            if is_read:
                asleep = self.build.errors.ConnectionTimeoutError(f"No answer about {attempt.key}.")
                return testing.Failed(asleep), "failed"
            return testing.Lost(applied=not is_dead and rng.random() < 0.5), "lost"
        if plan.busy and rng.random() < plan.busy:
            conditional = attempt.if_none_match or attempt.if_match is not None
            return testing.Refused(409 if conditional and rng.random() < 0.5 else 503), "refused"
        if plan.budget and self._is_aimed_at(client, attempt) and rng.random() < plan.chance:
            if is_read:
                if rng.random() < plan.crash / 2:
                    plan.budget -= 1
                    return testing.Crash(), "crash"
            else:
                plan.budget -= 1
                fate = rng.random()
                applied = fate < plan.fates[0]
                twin = not applied and fate < sum(plan.fates)
                if rng.random() < plan.crash:
                    return testing.Crash(applied, twin), "crash"
                return testing.Lost(applied, twin), "lost"
        if (nap := client.naps.pop(client.decided, None)) is not None:
            return testing.Answer(late=nap), "late"
        if plan.late and rng.random() < plan.late:
            return testing.Answer(late=rng.choice(plan.leap.seconds)), "late"
        return testing.Answer(), "answer"

    def _is_aimed_at(self, client: Client, attempt: Any) -> bool:
        plan = self.misfortune
        if plan.victim is not None and client is not self.clients[plan.victim]:
            return False
        return plan.aim is None or plan.aim in attempt.key

    def _land_one(self, clients: list[Client]) -> bool:
        """A request that was on its way arrives, if there is one."""
        waiting = [(client, twin) for client in clients for twin in client.store.twins]
        if not waiting:
            return False
        self._land(*self.rng.choice(waiting))
        return True

    def _land(self, client: Client, twin: Any) -> None:
        self.sending(self.twins.pop(id(twin)), client, twin.attempt, "twin lands")
        task = self.loop.create_task(client.store.land(twin))
        self.loop.drain()
        task.result()

    def _land_the_rest(self, clients: list[Client]) -> None:
        for client in clients:
            for twin in list(client.store.twins):
                self.step += 1
                if self.rng.random() < 0.6:
                    self._land(client, twin)
            client.store.twins.clear()
        self.step += 1

    # The trace

    def sending(self, sent: Sent | None, client: Client, attempt: Any, note: str) -> None:
        """The next change of the bucket is this request's."""
        self._applying = sent
        if self.trace:
            self.say(client, _short(attempt), note)

    def say(self, client: object, what: str, note: str) -> None:
        if self.trace:
            print(f"{self.step:5} {self.loop.now - EPOCH:10.1f} {client!r:4} {what} {note}")


def _state(body: dict[str, Any]) -> State:
    return State(body.get("revision"), body.get("fields") or {}, body.get("tags") or {})


def _short(attempt: Any) -> str:
    condition = " if-none-match" if attempt.if_none_match else f" if {attempt.if_match[:6]}" if attempt.if_match else ""
    data = b" " + attempt.data if attempt.data else b""
    number = f" (attempt {attempt.number})" if attempt.number > 1 else ""
    return f"{attempt.operation} {attempt.key}{condition}{data.decode(errors='replace')}{number}"
