"""ddao_async's store, by the aiobotocore lane."""

from __future__ import annotations

from typing import Any

from ..place import Place
from . import ddao_wire
from .ddao_wire import close, create, delete, get, head, insert, list, list_split, pour, read, stream, upload

__all__ = ["close", "create", "delete", "get", "head", "insert", "label", "list", "list_split", "open", "pour"]
__all__ += ["keys_are_relative", "read", "stream", "upload"]
label = "ddao_async, aiobotocore lane"
keys_are_relative = True


async def open(place: Place) -> Any:
    return await ddao_wire.open(place, transport="aiobotocore")
