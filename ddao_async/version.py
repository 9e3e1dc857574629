"""
Versions: what `read` hands out beside a record, and what a conditional write takes back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from .errors import ValidationError
from .model.body import Versioned

T = TypeVar("T")


class Version(str):
    """An opaque version. It remembers what was read, so that writing over it needs no second look."""

    __slots__ = ("known",)
    known: Versioned | None

    def __new__(cls, known: Versioned) -> Version:
        version = super().__new__(cls, known.version)
        version.known = known
        return version


class Snapshot(msgspec.Struct, Generic[T], frozen=True):
    """A record as it was read, its version, and the times that the library keeps of its document."""

    value: T
    version: str
    created_at: datetime
    updated_at: datetime


def expected(if_version: object) -> tuple[str | None, Versioned | None]:
    """The version that a write was asked to be over, and what is known of it; both None where none was asked for."""
    if if_version is msgspec.UNSET:
        return None, None
    if not isinstance(if_version, str) or not if_version:
        raise ValidationError(
            f"if_version={if_version!r} is not a version.", hint="Pass what `read` returned, or leave it out."
        )
    return str(if_version), if_version.known if isinstance(if_version, Version) else None
