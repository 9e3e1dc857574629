"""
The seam between `storage.s3` and its two lanes: one request as a value, one answer as a value, two ways to get none.

A lane is anything with `async send(request, deadline) -> Response`. It makes exactly one attempt and never retries:
whether to try again is decided once, in `storage.s3` by the rules of `wire.retry`, over either lane.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, Protocol

import msgspec

Operation = Literal[
    "put",
    "get",
    "head",
    "delete",
    "list",
    "delete_objects",
    "head_bucket",
    "create_bucket",
    "copy",
    "create_upload",
    "upload_part",
    "complete_upload",
    "abort_upload",
]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """
    One S3 request. `key` is the whole key in the bucket (the store's prefix included), not encoded.

    `if_none_match` is an etag, or `*` on a put. Etags are bare; a lane quotes them. `range` is (start, stop), stop
    exclusive or None. `is_create`: a put that must not be repeated when its answer is lost; it goes out on a
    connection that is new or was idle for less than a second. `bare_etag`: send `if_match` without quotes, for servers
    (Ceph) that compare the header as it is. `attempt` counts from 1 within one call.

    `keys` are those of a delete_objects; `source` is the whole key that a copy reads; `upload_id`, `part_number` and
    `parts` (number and etag of each, in order) belong to multipart uploads.
    """

    operation: Operation
    key: str = ""
    body: bytes | memoryview = b""
    if_match: str | None = None
    if_none_match: str | None = None
    range: tuple[int, int | None] | None = None
    metadata: dict[str, str] | None = None
    content_type: str | None = None
    prefix: str = ""
    start_after: str | None = None
    delimiter: str | None = None
    max_keys: int = 1000
    continuation_token: str | None = None
    is_create: bool = False
    attempt: int = 1
    bare_etag: bool = False
    keys: list[str] | None = None
    source: str = ""
    upload_id: str = ""
    part_number: int = 0
    parts: list[tuple[int, str]] | None = None


Rows = tuple[list[str], list[int], list[str], list[datetime]]
"""Rows of a LIST answer, by column: whole decoded keys, sizes, bare etags, instants of the last change."""


class ListAnswer(msgspec.Struct, frozen=True):
    """
    A LIST answer. `rows` reads the rows when it is called (so that the next page may be asked for before), and raises
    ValueError where they are malformed.
    """

    rows: Callable[[], Rows]
    prefixes: list[str]
    next_token: str | None


class Response(msgspec.Struct, kw_only=True):
    """
    One S3 answer, parsed. An answer with status 300 or more (304 apart) has `code` and `message` of its error body.

    `date` is the server's clock at the answer, epoch seconds, where it told; a lane may leave it out where it would say
    the same as the last one. `retry_after` in seconds. `size` is that of the whole object, also of a ranged get.
    `region` is the bucket's, where the server names it. An answer 200 whose body is an error (copy, complete_upload)
    comes with `code`, like any other error.
    """

    status: int
    body: bytes = b""
    etag: str = ""
    size: int = 0
    last_modified: datetime | None = None
    metadata: dict[str, str] | None = None
    content_type: str | None = None
    listing: ListAnswer | None = None
    code: str | None = None
    message: str = ""
    request_id: str | None = None
    region: str | None = None
    retry_after: float | None = None
    date: float | None = None
    upload_id: str = ""
    undeleted: dict[str, tuple[str, str]] | None = None
    """Of a delete_objects: whole key -> (code, message) of each that was not deleted."""


class Unsent(Exception):
    """Nothing of the request can have taken effect (no connection, no credentials in time). `timed_out` tells why."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Unanswered(Exception):
    """The request, or part of it, went out and no whole answer came back: it may take effect at any later time."""

    def __init__(self, message: str, *, timed_out: bool = False, stale_connection: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.stale_connection = stale_connection


class Lane(Protocol):
    """One way to reach a bucket."""

    async def send(self, request: Request, deadline: float) -> Response:
        """
        Make one attempt.

        Args:
            request: What to send.
            deadline: Event-loop time (`loop.time()`) by which the whole attempt must be over.

        Raises:
            Unsent: Nothing took effect.
            Unanswered: Sent, no whole answer.
        """
        ...

    async def close(self) -> None: ...


class Body(Protocol):
    """
    The body of one answer, while it arrives. `response` is the answer without it: where its status is 300 or more, the
    body is the error's, already read and parsed, and nothing is left to read.
    """

    response: Response

    async def read(self) -> bytes:
        """
        The next bytes, as many as came; empty at the end. Silence is bounded by the lane's read timeout.

        Raises:
            Unanswered: The body was cut short.
        """
        ...

    async def close(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end. Safe to call twice."""
        ...


class StreamingLane(Lane, Protocol):
    """A lane that can hand out a body in pieces."""

    async def open(self, request: Request, deadline: float) -> Body:
        """Make one attempt at a get, up to the head of its answer; `deadline` and errors as in `send`."""
        ...


class LearningLane(Lane, Protocol):
    """A lane that can make use of what a refusal says."""

    async def learn(self, response: Response) -> bool:
        """
        Take what a refused attempt tells: newer credentials after ExpiredToken, the server's clock after
        RequestTimeTooSkewed, the bucket's region after a redirect.

        Returns:
            Whether the same request is worth one more attempt.
        """
        ...
