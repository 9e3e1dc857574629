"""
Large objects into S3, in parts: never more than `concurrency` parts in memory, aborted if anything fails.

    read part 1 ─ upload ┐
    read part 2 ─ upload ├── complete          a source that fits one part is one plain put
    read part 3 ─ upload ┘
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Any, cast

from ..errors import DDAOError, NotFoundError, UnknownOutcomeError, ValidationError
from ..wire.request import Lane, Request
from .exchange import Exchange

MIN_PART_BYTES = 5 << 20
MAX_PARTS = 10_000
SLOW_BYTES_PER_SECOND = 256 * 1024
"""A part may take as long as this rate needs, beyond the deadline: slow lines are no failure."""

log = logging.getLogger("ddao_async")


class Upload:
    """
    One multipart upload.

    Args:
        exchange: Sends the requests.
        request: The create_upload request: key, metadata and content type.
        concurrency: The most parts read and not yet stored.
    """

    def __init__(self, exchange: Exchange, request: Request, concurrency: int) -> None:
        self._exchange = exchange
        self._request = request
        self._concurrency = concurrency
        self._etags: dict[int, str] = {}
        self._size = 0
        self._id = ""

    async def run(self, first: bytes | memoryview, rest: AsyncIterator[bytes | memoryview]) -> tuple[str, int]:
        """
        Store a first part and the rest.

        Returns:
            Etag and size of the object.
        """
        control = await self._exchange.lanes.full_lane()
        created = await self._exchange.send(self._request, control)
        self._id = created.upload_id
        is_complete = False
        try:
            await self._send_parts(first, rest)
            etag = await self._complete(control)
            is_complete = True
        except UnknownOutcomeError:
            is_complete = True  # aborting now could destroy what may have been stored
            raise
        finally:
            if not is_complete:
                await _uncancelled(self._abort(control))
        return etag, self._size

    async def _send_parts(self, first: bytes | memoryview, rest: AsyncIterator[bytes | memoryview]) -> None:
        slots = asyncio.Semaphore(self._concurrency - 1)
        failed: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                number = 0
                part: bytes | memoryview | None = first
                while part is not None:
                    number += 1
                    if number > MAX_PARTS:
                        raise ValidationError("An upload has 10,000 parts at most.", hint="Use a larger part_size.")
                    self._size += len(part)
                    group.create_task(self._send_part(number, part, slots))
                    del part
                    await slots.acquire()  # before the next part is read: that is what bounds the memory
                    part = await anext(rest, None)
        except BaseExceptionGroup as several:
            failed = _first_of(several)
        if failed is not None:
            raise failed

    async def _send_part(self, number: int, part: bytes | memoryview, slots: asyncio.Semaphore) -> None:
        request = Request(
            operation="upload_part", key=self._request.key, upload_id=self._id, part_number=number, body=part
        )
        response = await self._exchange.send(request, patience=len(part) / SLOW_BYTES_PER_SECOND)
        self._etags[number] = response.etag
        slots.release()

    async def _complete(self, control: Lane) -> str:
        parts = sorted(self._etags.items())
        request = Request(operation="complete_upload", key=self._request.key, upload_id=self._id, parts=parts)
        try:
            answer = await self._exchange.send(request, control)
        except UnknownOutcomeError:
            # A repetition of a completion that took effect finds no upload any more: the object tells.
            expected = composite_etag([etag for _, etag in parts])
            if expected is None or await self._current_etag() != expected:
                raise
            return expected
        return answer.etag

    async def _current_etag(self) -> str | None:
        try:
            return (await self._exchange.send(Request(operation="head", key=self._request.key))).etag
        except NotFoundError:
            return None

    async def _abort(self, control: Lane) -> None:
        request = Request(operation="abort_upload", key=self._request.key, upload_id=self._id)
        try:
            await self._exchange.send(request, control)
        except DDAOError as exc:
            log.warning("An upload of %r was left behind, its parts cost storage: %s", self._request.key, exc)


def composite_etag(etags: list[str]) -> str | None:
    """
    The etag that S3 gives to an object of parts; None where the parts' etags are not MD5s.

    Source: S3 User Guide, "Checking object integrity": the MD5 of the parts' MD5s, then a hyphen and their number.
    """
    if not all(re.fullmatch(r"[0-9a-f]{32}", etag) for etag in etags):
        return None
    digest = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(etags)}"


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of parts that failed together."""
    first: Any = group.exceptions[0]
    return (
        _first_of(cast("BaseExceptionGroup[BaseException]", first)) if isinstance(first, BaseExceptionGroup) else first
    )


async def _uncancelled(work: Awaitable[None]) -> None:
    """Let a clean-up finish even where its caller is cancelled again; then let the cancellation through."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
