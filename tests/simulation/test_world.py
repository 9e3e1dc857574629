"""The simulation itself: does it find planted mistakes, and is a seed a run? On a toy engine of two operations."""

from __future__ import annotations

import inspect
import json

import pytest

from .build import Build, Edit, mutant
from .client import Client
from .history import Operation, Violation
from .misfortune import Misfortune
from .scheduler import Scheduler
from .serial import Step, explain
from .world import TABLE, World

BUILD = Build()


class Toy:
    """
    Counters in documents: the least that needs the rules for conditional writes.

    Args:
        mistake: `blind` writes without condition, `conflict` takes a lost answer for a refusal.
    """

    def __init__(self, client: Client, mistake: str = "") -> None:
        self.client, self.mistake = client, mistake

    async def add(self, id: str) -> None:
        world, store, errors = self.client.world, self.client.store, BUILD.errors
        operation = Operation("add", self.client.name, world.step)
        self.client.operation = operation
        world.history.operations.append(operation)
        while True:
            found = await store.get(f"tables/{TABLE}/objects/{id}.json")
            body = json.loads(found.data)
            operation.reads = {id: body["revision"]}
            fields = {"n": body["fields"]["n"] + 1}
            operation.intended = {id: fields}
            revision = self.client.nonce()
            past = [body["revision"], *body["past"]]
            new = json.dumps({"id": id, "fields": fields, "revision": revision, "past": past}).encode()
            try:
                await store.put(found.info.key, new, if_match=None if self.mistake == "blind" else found.info.etag)
            except errors.ConflictError:
                continue
            except errors.UnknownOutcomeError as unknown:
                if self.mistake == "conflict":
                    continue
                now = json.loads((await store.get(found.info.key)).data)
                if revision not in [now["revision"], *now["past"]]:
                    # Refused, and nobody has written since: a conflict. Never answered: it may still land.
                    if unknown.status is not None and body["revision"] in [now["revision"], *now["past"]]:
                        continue
                    operation.outcome = "unknown"
                    break
            operation.outcome = "ok"
            break
        operation.end = world.step


def toy_world(seed: int, mistake: str = "", trace: bool = False) -> World:
    world = World(BUILD, f"toy/{seed}", trace=trace)
    world.misfortune = Misfortune(budget=2, chance=0.2)
    key = f"tables/{TABLE}/objects/a.json"

    async def seed_document() -> None:
        await world.memory.put(key, json.dumps({"fields": {"n": 0}, "revision": "0", "past": []}).encode())

    world.alone(seed_document)
    world.history.logs = {"a": [(0, world.committed("a"))]}

    async def program(client: Client) -> None:
        toy = Toy(client, mistake)
        await toy.add("a")
        await toy.add("a")

    Scheduler(world).run([(Client(world, f"c{i}"), program) for i in range(3)])
    world.history.check()
    return world


def run_toys(count: int, mistake: str = "") -> None:
    for seed in range(count):
        toy_world(seed, mistake)


def test_a_right_engine_breaks_nothing():
    run_toys(300)


@pytest.mark.parametrize("mistake", ["blind", "conflict"])
def test_a_wrong_engine_is_found_out(mistake: str):
    with pytest.raises(Violation):
        run_toys(300, mistake)


def test_a_seed_is_a_run(capsys: pytest.CaptureFixture[str]):
    traces = []
    for seed in (1, 2, 1, 2):
        toy_world(seed, trace=True)
        traces.append(capsys.readouterr().out)

    assert traces[:2] == traces[2:]
    assert traces[0] != traces[1]


def test_every_kind_of_misfortune_happens(capsys: pytest.CaptureFixture[str]):
    for seed in range(200):
        toy_world(seed, trace=True)
    out = capsys.readouterr().out

    for sign in ("dies", "twin lands", "Lost(applied=True", "twin=True"):
        assert sign in out


@pytest.mark.parametrize(
    ("steps", "versions", "is_serial"),
    [
        ([], {"a": [("0", None)]}, True),
        # two updates, one after the other
        (
            [Step("x", 1, 2, {"a": "0"}, {"a": "1"}), Step("y", 3, 4, {"a": "1"}, {"a": "2"})],
            {"a": [("0", None), ("1", 0), ("2", 1)]},
            True,
        ),
        # the second never saw the first
        (
            [Step("x", 1, 9, {"a": "0"}, {"a": "1"}), Step("y", 1, 9, {"a": "0"}, {"a": "2"})],
            {"a": [("0", None), ("1", 0), ("2", 1)]},
            False,
        ),
        # write skew
        (
            [Step("x", 1, 9, {"a": "0", "b": "0"}, {"a": "1"}), Step("y", 1, 9, {"a": "0", "b": "0"}, {"b": "1"})],
            {"a": [("0", None), ("1", 0)], "b": [("0", None), ("1", 1)]},
            False,
        ),
        # a reader of the old state that began after the writer had ended
        (
            [Step("x", 1, 2, {"a": "0"}, {"a": "1"}), Step("y", 3, 4, {"a": "0"})],
            {"a": [("0", None), ("1", 0)]},
            False,
        ),
        # missing twice: the reader may have been at either time
        (
            [
                Step("x", 1, 2, {"a": None}, {"a": "1"}),
                Step("y", 1, 9, {"a": None}),
                Step("z", 3, 4, {"a": "1"}, {"a": None}),
            ],
            {"a": [(None, None), ("1", 0), (None, 2)]},
            True,
        ),
        # half of a transaction seen
        (
            [Step("x", 1, 9, {"a": "0", "b": "0"}, {"a": "1", "b": "1"}), Step("y", 1, 9, {"a": "1", "b": "0"})],
            {"a": [("0", None), ("1", 0)], "b": [("0", None), ("1", 0)]},
            False,
        ),
    ],
)
def test_serial_order(steps, versions, is_serial):
    assert (explain(steps, versions) is None) == is_serial


def test_a_mutation_must_fit_the_code():
    with pytest.raises(ValueError, match="not once"), mutant([Edit("errors.py", "no such text", "")]):
        pass


def test_a_mutant_is_a_package_of_its_own():
    edit = Edit("storage/memory.py", "if if_none_match and current is not None:", "if False:")
    with mutant([edit]) as build:
        assert build.errors.ConflictError is not BUILD.errors.ConflictError
        assert "if False:" in inspect.getsource(build.memory)
