"""
One competitor in a process of its own: takes one command a line on stdin, answers one JSON value a line on stdout.

    {"do": "open", "place": [...]}                                               -> label, verbs
    {"do": "run", "verb": "get", "count": 2000, "concurrency": 64}               -> cpu and wall seconds, done, memory
    {"do": "close"}

What a run needs is made before its clock starts. CPU is `time.process_time`: all threads of this process, those of
native code too. It must run in environments that have only the competitor: no msgspec, no ddao_async.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from typing import Any

from . import data, memory
from .place import Item, Place
from .systems import SYSTEMS, opened

VERBS = ("get", "insert", "create", "head", "delete", "list", "list_split", "upload", "read", "stream", "pour")
_LARGE = ("upload", "read", "stream")
_LISTS = ("list", "list_split")


class Bench:
    """An open client of one competitor, and what it is asked to do."""

    def __init__(self, module: Any, client: Any, place: Place) -> None:
        self._module = module
        self._client = client
        self._prefix = "" if getattr(module, "keys_are_relative", False) else place.prefix
        self._prepare = getattr(module, "prepare", lambda item: item)
        self._large = b""
        self._written = os.getpid() * 1_000_000  # every document that is written is new, whoever else writes

    async def run(self, verb: str, count: int, concurrency: int) -> dict[str, float]:
        """
        Call a verb `count` times, `concurrency` at a time.

        Returns:
            `cpu` and `wall` in seconds, and `done`: calls, or for lists the keys that they gave.
        """
        if verb == "pour":
            return await self._pour(count)
        call = getattr(self._module, verb)
        items = [self._prepare(item) for item in self._items(verb, count)]
        answers: list[Any] = []
        client, rest = self._client, iter(items)

        async def work() -> None:
            for item in rest:
                answer = await call(client, item)
            answers.append((item, answer))

        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        if concurrency == 1 and count == 1:
            answers.append((items[0], await call(client, items[0])))
        else:
            await asyncio.gather(*(work() for _ in range(min(concurrency, count))))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        for item, answer in answers:
            _check(verb, item, answer, count)
        return {"cpu": cpu, "wall": wall, "done": answers[0][1] if verb in _LISTS else count}

    async def _pour(self, count: int) -> dict[str, float]:
        """As many new documents as asked for, made while they are written."""
        items = self._items("insert", count)
        wall, cpu = time.perf_counter(), time.process_time()
        if hasattr(self._module, "pour"):
            done = await self._module.pour(self._client, items)
        else:
            done = await self._insert_all(items)
        if done != count:
            raise AssertionError(f"{done} of {count} documents were written")
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "done": done}

    async def _insert_all(self, items: Iterator[Item]) -> int:
        done = 0

        async def work() -> None:
            nonlocal done
            for item in items:
                await self._module.insert(self._client, item)
                done += 1

        await asyncio.gather(*(work() for _ in range(64)))
        return done

    def _items(self, verb: str, count: int) -> Iterator[Item]:
        if verb in _LARGE:
            self._large = self._large or data.large_object()
            yield Item("", self._prefix + data.LARGE_KEY, self._large if verb == "upload" else b"")
        elif verb in _LISTS:
            folder = data.document_key("", data.LISTED_TABLE).removesuffix(".json")
            yield Item("", self._prefix + folder)
        elif verb in ("insert", "create"):
            self._written += count
            for name, body in data.documents(self._written - count, count):
                yield Item(name, self._prefix + data.document_key(name), body)
        else:
            for index in range(count):
                name = data.document_id(index % data.STORED) if verb != "delete" else f"gone{index}"
                yield Item(name, self._prefix + data.document_key(name))


def _check(verb: str, item: Item, answer: Any, count: int) -> None:
    """An answer must be the one that was asked for: a client that is fast and wrong is not compared."""
    right = True
    if verb == "get":
        right = item.id.encode() in answer if isinstance(answer, bytes) else getattr(answer, "id", item.id) == item.id
    elif verb in ("read", "stream"):
        right = answer == data.LARGE_BYTES
    elif verb == "head":
        right = answer > 300
    elif verb in _LISTS:
        right = answer > 0 and count == 1
    if not right:
        raise AssertionError(f"{verb} of {item.key!r} gave {str(answer)[:80]!r}")


async def _serve(name: str) -> None:
    resident = memory.resident_bytes()
    place = Place(*json.loads(await _line())["place"])
    async with opened(name, place) as (module, client):
        _answer({"label": module.label, "verbs": [verb for verb in VERBS if hasattr(module, verb)]})
        bench = Bench(module, client, place)
        while (command := json.loads(await _line() or '{"do": "close"}'))["do"] == "run":
            del command["do"]
            try:
                measured = await bench.run(**command)
            except Exception as error:  # reported to the parent, which leaves this competitor out of the case
                _answer({"error": f"{type(error).__name__}: {error}"[:400]})
                continue
            _answer({**measured, "memory": memory.peak_bytes() - resident})


def versions(name: str) -> dict[str, str]:
    """Versions of the competitor, of what it stands on, and of Python."""
    system = next(system for system in SYSTEMS if system.name == name)
    found = {"python": platform.python_version()}
    for package in (system.package, "aiobotocore", "botocore", "aiohttp", "uvloop", "msgspec", "httptools"):
        try:
            found[package] = importlib.metadata.version(package)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            found.pop(package, None)  # not in this environment: nothing to report
    return found


async def _line() -> str:
    """The next command. Read on a thread, so that the client's idle connections live on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _answer(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def main() -> None:
    """Serve one competitor, named on the command line, until told to close."""
    name, loop = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "uvloop"
    if loop == "--introduce":
        label = importlib.import_module(f"{__package__}.systems.{name}").label
        _answer({"label": label, "versions": versions(name)})
    elif loop == "uvloop":
        import uvloop

        uvloop.run(_serve(name))
    else:
        asyncio.run(_serve(name))


if __name__ == "__main__":
    main()
