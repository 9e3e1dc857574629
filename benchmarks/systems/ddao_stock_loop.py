"""ddao_async's wire lane on asyncio's own event loop: what leaving uvloop out costs."""

from __future__ import annotations

from .ddao_wire import close, create, delete, get, head, insert, open

__all__ = ["close", "create", "delete", "get", "head", "insert", "keys_are_relative", "label", "open"]
label = "ddao_async, wire lane, no uvloop"
keys_are_relative = True
