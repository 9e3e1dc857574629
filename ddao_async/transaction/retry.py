"""Running a transaction again until it meets no other writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..engine import Engine
from ..errors import ConflictError, TransactionConflictError

T = TypeVar("T")


async def again(
    engine: Engine, attempt: Callable[[], Awaitable[T]], *, on: type[ConflictError] = TransactionConflictError
) -> T:
    """
    Run an attempt, and again after a conflict, with backoff, until `retry_for` seconds have passed.

    Args:
        attempt: The whole of it: reads, decides and writes anew each time.
        on: The conflict to try again on; a subclass of it that says more (a unique violation, say) is raised at once.

    Raises:
        TransactionConflictError: The last one, when time is up.
    """
    until, number = engine.monotonic() + engine.settings.retry_for, 0
    while True:
        try:
            return await attempt()
        except on as exc:
            if type(exc) is not on or engine.monotonic() >= until:
                raise
        number += 1
        await engine.pause(number)
