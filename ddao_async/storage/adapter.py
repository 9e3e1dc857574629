"""From a connection string to its adapter, not yet open. Only the one that is needed is imported."""

from __future__ import annotations

import os
from typing import Any

from ..config import MemorySettings, S3Settings, SQLiteSettings, settings_from_url
from .protocol import ObjectStore


def adapter_for(url: str, **options: Any) -> ObjectStore:
    """
    The adapter of a connection string.

    Args:
        options: Fields of the store's settings, and components: `clock`; for S3 `session` and `credentials`.

    Raises:
        ConfigurationError: The connection string or an option is wrong.
    """
    parts = {name: options.pop(name) for name in ("session", "credentials", "clock") if name in options}
    settings = settings_from_url(url, os.environ, **options)
    match settings:
        case S3Settings():
            from .s3 import S3Adapter

            return S3Adapter(**_values(settings), **parts)
        case SQLiteSettings():
            from .sqlite import SQLiteAdapter

            return SQLiteAdapter(**_values(settings), **parts)
        case MemorySettings():
            from .memory import MemoryAdapter

            return MemoryAdapter(**parts)


def _values(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}
