"""Maintenance as the scenarios ask for it: an index built, an index dropped, the garbage removed."""

from __future__ import annotations

from typing import Any

from .build import Build


class Maintenance:
    """The functions of this build."""

    def __init__(self, build: Build) -> None:
        self._build = build

    async def build(self, actor: Any, column: str) -> None:
        add_indexes = self._build.module("maintenance.build").add_indexes
        concurrency = actor.world.rng.choice((1, 2))
        await add_indexes(actor.engine, actor.layout, [actor.indexes[column]], concurrency=concurrency)

    async def drop(self, actor: Any, column: str) -> None:
        drop_index = self._build.module("maintenance.drop").drop_index
        await drop_index(actor.engine, actor.layout, column, concurrency=actor.world.rng.choice((1, 2)))

    async def vacuum(self, actor: Any) -> None:
        vacuum = self._build.module("maintenance.vacuum").vacuum
        await vacuum(actor.engine, concurrency=actor.world.rng.choice((1, 2)))
