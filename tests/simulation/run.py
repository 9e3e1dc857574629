"""One run from its seed: set up, let the clients loose, settle, judge."""

from __future__ import annotations

import logging

from .actor import Actor
from .build import Build
from .client import Client
from .history import Violation
from .maintenance import Maintenance
from .misfortune import DAY, MINUTE, drawn, stalls
from .monitor import Indexes, Leases
from .scenario import SCENARIOS, Scenario
from .scheduler import Scheduler
from .setup import Encoding, Setup
from .world import TABLE, World


def run(build: Build, name: str, seed: int, *, trace: bool = False) -> World:
    """
    Run one schedule of a scenario.

    Returns:
        The world as it ended.

    Raises:
        Violation: An invariant broke. Anything else that is raised is a mistake too, of engine or simulation.
    """
    logger = logging.getLogger("ddao_async")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # what the engine leaves to others is half of what happens here
    try:
        return _run(build, name, seed, trace)
    finally:
        logger.setLevel(level)


def _run(build: Build, name: str, seed: int, trace: bool) -> World:
    scenario = SCENARIOS[name]
    world = World(build, f"{name}/{seed}", trace=trace)
    world.columns = scenario.columns
    world.encoding = Encoding(world)
    world.maintenance = Maintenance(build)
    world.settings = build.module("engine").Settings(**_settings(world, scenario))
    setup = Setup(world, scenario.columns)
    programs = scenario.prepare(setup)
    setup.done()
    world.misfortune = drawn(world.rng, has_claims="u" in scenario.columns, is_timed=scenario.timed)
    if scenario.focus is not None:
        scenario.focus(world.misfortune, world.rng)
    monitor = Indexes()
    world.leases = Leases()
    world.monitors += [monitor, world.leases]
    monitor(world, "")
    clients = [Client(world, f"c{i}") for i in range(len(programs))]
    for client in clients:
        client.stalls = stalls(world.rng)
    Scheduler(world).run([(client, _on_actor(program)) for client, program in zip(clients, programs, strict=True)])
    world.history.check()
    _settle(world, scenario)
    return world


def _on_actor(program):
    async def on_client(client: Client) -> None:
        await program(Actor(client))

    return on_client


def _settings(world: World, scenario: Scenario) -> dict[str, float]:
    """Waits short enough that runs are about races, not about waiting; the times that are rules stay as they are."""
    return {
        "intent_lease": world.rng.choice((0.0, 0.02, 0.3, 10.0)),
        "claim_wait": world.rng.choice((0.0, 0.2)),
        "repeat_for": world.rng.choice((0.0, 30.0)),
    }


def _settle(world: World, scenario: Scenario) -> None:
    """All clients have stopped: a fresh one reads and writes every key; vacuum changes nothing."""
    world.loop.now += 20 * MINUTE
    final = {doc: world.history.now(doc) for doc in world.history.logs}
    client = Client(world, "z", faulty=False)
    actor = Actor(client)
    for doc in final:
        world.alone(lambda doc=doc: actor.read(doc))
    for column in scenario.columns:
        for value in sorted({s.fields[column] for s in final.values() if s is not None and s.fields.get(column)}):
            world.alone(lambda column=column, value=value: actor.find_by(column, value))
    for _ in range(2):
        world.loop.now += 2 * DAY
        world.alone(actor.vacuum)
    _is_clean(world)
    for doc, state in final.items():
        if state is None:
            world.alone(lambda doc=doc: actor.insert(doc, n=100, u=f"z{doc}", x="9"))
        else:
            world.alone(lambda doc=doc: actor.update(doc, lambda d: {"n": 100}))
    world.history.check()
    for operation in world.history.operations:
        if operation.client == "z" and operation.outcome != "ok":
            raise Violation(f"no progress: the last client failed: {operation}")


def _is_clean(world: World) -> None:
    """Days later nothing is left but documents, their entries and their claims."""
    for key in world.keys(""):
        body = world.object(key) if key.endswith(".json") else {}
        if key.startswith("_transactions/") or (key.startswith(f"tables/{TABLE}/objects/") and body.get("absent")):
            raise Violation(f"vacuum left {key}")
        if key.startswith(f"tables/{TABLE}/_uniques/"):
            owner = world.history.logs.get(body["id"])
            if owner is None or owner[-1][1] is None:
                raise Violation(f"vacuum left the claim {key} of {body}")
