"""
Deleting garbage under a key that may be written again, without ever deleting what was written since (protocol.md, 8).

    DELETE If-Match                                 where the server enforces it
    PUT If-Match {..., "dying": ...}; DELETE        elsewhere: writers leave a young `dying` body alone, and the delete
                                                    is signed so soon that it has landed before the body is old
"""

from __future__ import annotations

import asyncio

from ..conditional import Attempt, delete, put
from ..engine import Engine
from ..errors import ConflictError, NotFoundError, UnknownOutcomeError


async def bury(
    engine: Engine,
    key: str,
    etag: str,
    *,
    dying: bytes,
    metadata: dict[str, str] | None = None,
    attempt: Attempt | None = None,
) -> bool:
    """
    Delete a key that has this etag.

    Args:
        dying: The same body with a new `dying`, for servers without conditional delete.
        metadata: Of that body.
        attempt: Whose copy of `_state.json` this goes by: nothing is done once that is old or another.

    Returns:
        Whether it was deleted, as far as the answers tell.
    """
    if engine.conditional_delete:
        if attempt is None:
            return (await delete(engine, key, etag)).done
        return await _deleted_by(attempt, engine, key, etag)
    began = engine.monotonic()
    outcome = await put(engine, key, dying, etag, metadata=metadata, attempt=attempt)
    if not outcome.done and not (outcome.lost and await _holds(engine, key, dying)):
        return False
    left = engine.settings.copy_age - (engine.monotonic() - began)
    if left <= 0:
        return False  # too late to delete: the mark grows old, and writers write over it
    try:
        if engine.deadline <= left:
            await engine.store.delete(key)
        else:
            async with asyncio.timeout(left):
                await engine.store.delete(key)
    except (UnknownOutcomeError, TimeoutError):
        return False
    return True


async def _deleted_by(attempt: Attempt, engine: Engine, key: str, etag: str) -> bool:
    if not await attempt.may_send():
        return False
    try:
        await attempt.bounded(engine.store.delete(key, if_match=etag))
    except (ConflictError, UnknownOutcomeError):
        return False
    return True


async def _holds(engine: Engine, key: str, data: bytes) -> bool:
    try:
        found = await engine.store.get(key)
    except NotFoundError:
        return False
    return found is not None and found.data == data
