"""
The scheduler: which client goes on, what becomes of its request, when time moves, when a twin lands.

    parked request ── picked, fate decided ──> applied or not, answered or not
    timer ── fired, in the order of time, unless its client stands still
    twin ── lands at any later step, once

A crashed client is never picked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

from .client import MAX_STEPS, Bucket, Client, Parked, short
from .history import Sent, Violation
from .loop import OWNER
from .world import World

Program = Callable[[Client], Awaitable[None]]


class Scheduler:
    """
    Makes the choices of one run.

    Args:
        world: The run; its random source decides, its `misfortune` says how often what.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._clients: list[Client] = []
        self._sent: dict[int, Sent | None] = {}
        """What the operation of each twin knew, by the id of the twin."""
        world.scheduler = self

    def run(self, clients: list[tuple[Client, Program]]) -> None:
        """Run the clients until each has ended or died, then let the last requests land."""
        with self._world.loop:
            tasks = {client: self._start(client, program) for client, program in clients}
            self._clients = list(tasks)
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
                self._world.loop.drain()

    def _start(self, client: Client, program: Program) -> Any:
        context = copy_context()
        context.run(OWNER.set, client)
        return self._world.loop.create_task(program(client), context=context)

    def _schedule(self, tasks: dict[Client, Any]) -> None:
        rng, plan = self._world.rng, self._world.misfortune
        clients = self._clients
        current: Client | None = None
        self._world.loop.drain()
        while True:
            live = [c for c in clients if not c.is_dead and (c.parked or not self._is_over(tasks[c]))]
            if not live:
                return
            self._world.step += 1
            if self._world.step > MAX_STEPS:
                raise Violation(f"no progress: {MAX_STEPS} steps")
            if plan.leap.chance and rng.random() < plan.leap.chance:
                self._world.loop.now += rng.choice(plan.leap.seconds)
            if rng.random() < (0.5 if len(live) == 1 else plan.twin) and self._land_one(clients):
                continue
            choice = live
            if plan.frozen is not None and plan.freeze[0] <= self._world.step < plan.freeze[1]:
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
        rng = self._world.rng
        timer = self._world.loop.next_timer(client)
        if client.parked and not (timer is not None and timer <= self._world.loop.now and rng.random() < 0.3):
            parked = client.parked[rng.randrange(len(client.parked))]
            if not parked.held and self._world.misfortune.hold and rng.random() < self._world.misfortune.hold:
                parked.held = True
            if parked.held and not alone and rng.random() < 0.9:
                return False
            client.parked.remove(parked)
            self._decide(client, parked)
            return True
        if timer is None:
            raise Violation(f"{client} waits for nothing")
        if timer > self._world.loop.now + 5 and not alone:
            # A long sleep: do not always be the first to move the clock to its end.
            if rng.random() < 0.9 or timer > self._first_timer():
                return False
            if rng.random() < 0.7:
                self._world.loop.now += rng.choice(self._world.misfortune.leap.seconds)
                return False
        self._world.say(client, "wakes", "")
        self._world.loop.fire(client)
        return False

    def _first_timer(self) -> float:
        """When the first of the clients that still run wakes up."""
        timers = [self._world.loop.next_timer(client) for client in self._clients if not client.is_dead]
        return min(timer for timer in timers if timer is not None)

    def _decide(self, client: Client, parked: Parked) -> None:
        """Let one request happen, well or badly."""
        if parked.attempt is None:
            parked.arrived.set_result(None)
            self._world.loop.drain()
            return
        client.decided += 1
        fate, kind = self._fate(client, parked.attempt)
        if kind == "crash":
            client.is_dead = True
            self._world.loop.forget(client)
            if fate.applied or fate.twin:
                # A dead process runs no handler: its request is applied, its coroutine never resumed.
                self._apply_without_client(client, parked, twin=fate.twin)
            self._world.say(client, "dies", f"{short(parked.attempt)} {fate}")
            return
        self._world.sending(parked.sent, client, parked.attempt, "" if kind == "answer" else str(fate))
        twins = len(client.store.twins)
        parked.arrived.set_result(fate)
        self._world.loop.drain()
        for twin in client.store.twins[twins:]:
            self._sent.setdefault(id(twin), parked.sent)

    def abandoned(self, client: Client, parked: Parked) -> None:
        """A request was given up by its client while it was on its way: it may still arrive."""
        if not client.store.has_crashed and self._world.rng.random() < 0.5:
            self._apply_without_client(client, parked, twin=True)

    def _apply_without_client(self, client: Client, parked: Parked, *, twin: bool) -> None:
        attempt = parked.attempt
        if attempt.operation not in ("put", "delete"):
            return
        bucket = Bucket(self._world, self._world.capabilities)

        async def apply() -> None:
            if attempt.operation == "put":
                await bucket.put(
                    attempt.key, attempt.data, if_none_match=attempt.if_none_match, if_match=attempt.if_match
                )
            elif attempt.operation == "delete":
                await bucket.delete(attempt.key, if_match=attempt.if_match)

        letter = self._world.build.testing.Twin(attempt, apply)
        client.store.twins.append(letter)
        self._sent[id(letter)] = parked.sent
        if not twin:
            self._land(client, letter)

    def _fate(self, client: Client, attempt: Any) -> tuple[Any, str]:
        """What becomes of a request that is picked now."""
        rng, plan, testing = self._world.rng, self._world.misfortune, self._world.build.testing
        age = self._world.loop.now - attempt.began
        is_read = attempt.operation in ("get", "head", "list")
        is_dead = age > client.store.deadline + client.store.grace
        if is_dead or (age > client.store.deadline and rng.random() < 0.3):
            # Nobody waits for the answer any more; a signature this old is refused.
            if is_read:
                asleep = self._world.build.errors.ConnectionTimeoutError(f"No answer about {attempt.key}.")
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
        plan = self._world.misfortune
        if plan.victim is not None and client is not self._clients[plan.victim]:
            return False
        return plan.aim is None or plan.aim in attempt.key

    def _land_one(self, clients: list[Client]) -> bool:
        """A request that was on its way arrives, if there is one."""
        waiting = [(client, twin) for client in clients for twin in client.store.twins]
        if not waiting:
            return False
        self._land(*self._world.rng.choice(waiting))
        return True

    def _land(self, client: Client, twin: Any) -> None:
        self._world.sending(self._sent.pop(id(twin)), client, twin.attempt, "twin lands")
        task = self._world.loop.create_task(client.store.land(twin))
        self._world.loop.drain()
        task.result()

    def _land_the_rest(self, clients: list[Client]) -> None:
        for client in clients:
            for twin in list(client.store.twins):
                self._world.step += 1
                if self._world.rng.random() < 0.6:
                    self._land(client, twin)
            client.store.twins.clear()
        self._world.step += 1
