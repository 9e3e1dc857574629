"""One run from its seed: set up, let the clients loose, settle, judge."""

from __future__ import annotations

import logging

from .actor import Actor
from .build import Build
from .history import Violation
from .maintenance import Maintenance
from .monitor import Indexes, Leases
from .scenario import SCENARIOS, Scenario
from .setup import Encoding, Setup
from .world import DAY, MINUTE, TABLE, Client, Leap, Misfortune, World


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
    world.misfortune = _misfortune(world, scenario)
    monitor = Indexes()
    world.leases = Leases()
    world.monitors += [monitor, world.leases]
    monitor(world, "")
    clients = [Client(world, f"c{i}") for i in range(len(programs))]
    for client in clients:
        client.stalls = _stalls(world)
    world.run([(client, _on_actor(program)) for client, program in zip(clients, programs, strict=True)])
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


def _misfortune(world: World, scenario: Scenario) -> Misfortune:
    """What goes wrong in this run: faults at some keys, a client that freezes, a clock that leaps."""
    rng = world.rng
    plan = Misfortune(
        budget=rng.choice((0, 0, 1, 1, 2, 2, 3, 4)),
        chance=rng.choice((0.03, 0.06, 0.12)),
        aim=rng.choice((None, None, "_transactions/", "/objects/", "/_uniques/" if "u" in scenario.columns else None)),
        fates=rng.choice(((0.45, 0.45), (0.45, 0.45), (0.0, 1.0), (1.0, 0.0))),
        crash=rng.choice((0.35, 0.35, 0.0, 0.8)),
        twin=rng.choice((0.02, 0.08, 0.08, 0.25)),
        sticky=rng.choice((0.0, 0.5, 0.85, 0.95)),
        frozen=rng.choice((None, None, 0, 1, 2)),
        freeze=(rng.randrange(40), rng.randrange(20, 120)),
        busy=rng.choice((0.0, 0.0, 0.0, 0.1)),
    )
    if plan.aim:
        plan.chance = 0.3
    if scenario.timed:
        minutes = rng.choice(((0.5, 2, 5), (0.5, 2, 14, 17), (0.5, 2, 10, 17, 30, 1500), (2, 10, 40, 1500)))
        plan.leap = Leap(rng.choice((0.02, 0.05, 0.15)), tuple(m * MINUTE for m in minutes))
        plan.hold = rng.choice((0.0, 0.02, 0.1))
        plan.late = rng.choice((0.0, 0.02, 0.1))
    else:
        plan.leap = Leap(rng.choice((0.0, 0.02)), (0.5, 3.0, 11.0))
    if scenario.focus is not None:
        scenario.focus(plan, rng)
    return plan


def _stalls(world: World) -> dict[int, int]:
    """Points where a client stands still, so that the others get far meanwhile."""
    rng = world.rng
    if rng.random() < 0.5:
        return {}
    return {rng.randrange(1, 16): rng.randrange(3, 40) for _ in range(rng.randrange(1, 4))}


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
