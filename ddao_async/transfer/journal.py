"""
The journal of an import, in the bucket it writes to: what is imported, and for each part of it how far it has come.

    _imports/users-3f9a…/_plan.json        table, key, sources with their identities, parts; never changes
    _imports/users-3f9a…/000000-0000.json  file 0, part 0: the low-water mark, what became of the rows below it, rejects

Everything is written under a condition. Who takes a part over draws a new `run` and writes it: the one who had it finds
its next write refused, and stops. Rows that both write meanwhile are the same documents (`identity`).
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ..engine import Engine
from ..errors import (
    AlreadyExistsError,
    ConfigurationError,
    ConflictError,
    CorruptDocumentError,
    NotFoundError,
    UnknownOutcomeError,
)
from ..model.keys import import_key
from .watermark import Done

_PLAN = "_plan"
_ATTEMPTS = 20

T = TypeVar("T")


class PlannedSource(msgspec.Struct, frozen=True):
    """One source of an import: what it was called, and what its content was."""

    name: str
    identity: str


class Plan(msgspec.Struct, frozen=True):
    """What an import does. A row belongs to the part of its number; see `imports`."""

    table: str
    key: str | None
    on_conflict: str
    sources: list[PlannedSource]
    parts: int = 1


class Entry(msgspec.Struct, frozen=True):
    """How far one part of one file has come. `nonce` tells two writes of the same apart."""

    run: str
    nonce: str
    is_done: bool
    done: Done


class Journal:
    """
    The journal of one run of an import.

    Args:
        engine: Of the database.
        name: Of the import.
        run: Drawn by this run.
    """

    def __init__(self, engine: Engine, name: str, run: str) -> None:
        self.name = name
        self._engine = engine
        self._run = run
        self._versions: dict[tuple[int, int], str] = {}

    async def begin(self, plan: Plan) -> Plan:
        """
        Begin the import, or go on with it.

        Returns:
            The plan that holds: of an import that was begun before, with the parts that it has.

        Raises:
            ConfigurationError: An import of this name does something else.
        """
        key = import_key(self.name, _PLAN)
        try:
            await self._engine.store.put(
                key, msgspec.json.encode(plan), if_none_match=True, content_type="application/json"
            )
        except (AlreadyExistsError, UnknownOutcomeError):
            held = await self._read(key, Plan)
            if held is None:
                raise
        else:
            return plan
        begun, _ = held
        for name in ("table", "key", "on_conflict", "sources"):
            if getattr(begun, name) != getattr(plan, name):
                what = "other files, or files that have changed" if name == "sources" else f"another {name}"
                raise ConfigurationError(
                    f"The import {self.name!r} was begun with {what}.",
                    hint="Go on with what it was begun with, or give another name.",
                )
        return begun

    async def plan(self) -> Plan | None:
        """The plan of an import that was begun; None: there is none."""
        held = await self._read(import_key(self.name, _PLAN), Plan)
        return None if held is None else held[0]

    async def take(self, file: int, part: int) -> Entry:
        """
        Take a part over from whoever had it; a part that is done stays as it is.

        Raises:
            ConflictError: Others keep taking it.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            held = await self._read(_entry_key(self.name, file, part), Entry)
            entry, version = held or (Entry("", "", False, Done()), "")
            if entry.is_done:
                return entry
            try:
                return await self._put(file, part, False, entry.done, version)
            except ConflictError:
                await self._engine.pause(attempt)
        raise ConflictError(
            f"Others keep taking over the import {self.name!r}.", hint="Let one process run an import at a time."
        )

    async def save(self, file: int, part: int, done: Done, *, is_done: bool) -> None:
        """
        Write how far a part has come.

        Raises:
            ConflictError: Another run has taken it over: stop.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._put(file, part, is_done, done, self._versions[file, part])
                return
            except ConflictError as error:
                # An earlier write of this very run, cut off before its answer, is no other process.
                held = await self._read(_entry_key(self.name, file, part), Entry)
                if held is None or held[0].run != self._run or attempt == _ATTEMPTS:
                    raise ConflictError(
                        f"Another process has taken over the import {self.name!r}.",
                        hint="Let that one finish; nothing is lost.",
                    ) from error
                self._versions[file, part] = held[1]

    async def _put(self, file: int, part: int, is_done: bool, done: Done, version: str) -> Entry:
        engine, key = self._engine, _entry_key(self.name, file, part)
        entry = Entry(self._run, engine.nonce(), is_done, done)
        data = msgspec.json.encode(entry)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                info = await engine.store.put(
                    key, data, if_none_match=not version, if_match=version or None, content_type="application/json"
                )
            except UnknownOutcomeError:
                held = await self._read(key, Entry)
                if held is not None and held[0].nonce == entry.nonce:
                    version = held[1]
                    break
                if held is not None and held[1] != version:
                    raise ConflictError(f"{key!r} changed.", hint="Read it again.") from None
                if attempt == _ATTEMPTS:
                    raise
                await engine.pause(attempt)
            else:
                version = info.etag
                break
        self._versions[file, part] = version
        return entry

    async def _read(self, key: str, kind: type[T]) -> tuple[T, str] | None:
        try:
            found = await self._engine.store.get(key)
            return None if found is None else (msgspec.json.decode(found.data, type=kind), found.info.etag)
        except NotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CorruptDocumentError(
                f"{key!r} is no journal of an import: {error}.", hint="Give another name, or delete it."
            ) from error


def _entry_key(name: str, file: int, part: int) -> str:
    return import_key(name, f"{file:06d}-{part:04d}")
