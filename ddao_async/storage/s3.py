"""
S3Adapter: an `ObjectStore` over a bucket. Conditions become headers here and answers values; `exchange` repeats what
may be repeated, `faults` knows what refusals mean, `lanes` how requests travel.

The four small primitives make their first attempt in their own frame: under them there is nothing but the lane.
"""

from __future__ import annotations

import os
import time
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # None where there is none, after a fork too
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

from msgspec.structs import replace

from ..config import Credentials, S3Settings, s3_settings, settings_from_url
from ..errors import ClosedError, ConfigurationError
from ..wire.endpoint import endpoint_for
from ..wire.request import Request, Response, Unanswered, Unsent
from ..wire.retry import Verdict, verdict_of
from . import batch, bulk, large, listing, split
from .clock import ServerClock
from .exchange import CLOSED_HINT, Exchange
from .habit import Habits, require_conditional_delete
from .lanes import CredentialSource, Lanes, fixed_source
from .protocol import Capabilities, ObjectInfo, StoredObject
from .rule import as_bytes, check_conditions, check_key, check_range, cut, lowered
from .watch import Watcher, log_sent

SURELY_SHORT = 255
"""A key of at most this many characters has at most 1,020 bytes."""


class S3Adapter:
    """
    A bucket, or the part of it below a prefix. Open while inside `async with`, in one event loop; it may be opened
    again, in another one too.

    Args:
        bucket: Its name.
        prefix: Put before every key.
        session: An aiobotocore session or an `aioboto3.Session` to take credentials from.
        credentials: `Credentials`, or an async function that returns fresh ones, instead of the credential chain.
        clock: This machine's clock, epoch seconds.
        options: Fields of `config.S3Settings`.

    Raises:
        ConfigurationError: An option is unknown or malformed.
    """

    grace = 900.0

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        session: Any = None,
        credentials: Credentials | CredentialSource | None = None,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        if session is not None and credentials is not None:
            raise ConfigurationError("session and credentials were both given.", hint="Give one of them.")
        self.settings: S3Settings = s3_settings(os.environ, bucket=bucket, prefix=prefix, **options)
        self.capabilities = Capabilities()
        self.clock = ServerClock(clock)
        self.deadline = self.settings.deadline
        self._prefix = self.settings.prefix
        self._session = session
        self._credentials = fixed_source(credentials) if isinstance(credentials, Credentials) else credentials
        self._exchange: Exchange | None = None
        self._entered = 0
        self._counts: Counter[str] = Counter()
        self.habits = Habits()
        self._watchers: list[Watcher] = [log_sent] if self.settings.verbose else []

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """
        An adapter for a connection string `s3://bucket/prefix?...`; options override its parameters.

        Raises:
            ConfigurationError: As `config.settings_from_url`.
        """
        components = {name: options.pop(name) for name in ("session", "credentials", "clock") if name in options}
        settings = settings_from_url(url, os.environ, **options)
        if not isinstance(settings, S3Settings):
            raise ConfigurationError("This is no connection string of S3.", hint="Use s3://bucket/prefix.")
        values = {name: getattr(settings, name) for name in settings.__struct_fields__}
        values["prefix"] = "/" + settings.prefix  # one leading slash is cut
        return cls(**values, **components)

    @property
    def address(self) -> str:
        """Endpoint and bucket: what is known of the server is kept under this name."""
        return f"{endpoint_for(self.settings).url}/{self.settings.bucket}"

    def __repr__(self) -> str:
        return f"S3Adapter({self.address!r}, prefix={self._prefix!r})"

    async def __aenter__(self) -> Self:
        exchange = self._exchange
        if exchange is not None and exchange.pid == os.getpid() and not exchange.loop.is_closed():
            exchange.require_here()
            self._entered += 1
            return self
        lanes = Lanes(self.settings, self.clock, self._session, self._credentials, self._watchers)
        await lanes.open(os.environ)
        self._exchange = Exchange(self.settings, lanes, self._counts)
        self._entered = 1
        if self.settings.create_bucket:
            try:
                await self.check()
            except BaseException:
                await self.close()
                raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._entered -= 1
        if self._entered <= 0:
            await self.close()

    async def close(self) -> None:
        """Close every connection. Safe to call twice; the adapter may be opened again."""
        exchange, self._exchange, self._entered = self._exchange, None, 0
        if exchange is not None and exchange.pid == os.getpid() and not exchange.loop.is_closed():
            exchange.require_here()
            await exchange.close()

    async def check(self) -> None:
        """
        Ask for the bucket, and create it if it is missing and `create_bucket` is set.

        Raises:
            BucketNotFoundError, AccessDeniedError, InvalidCredentialsError, ConnectionTimeoutError,
            StoreUnavailableError: As the server says; each with what to do.
        """
        await self.exchange.check(self.settings.prefix, create=self.settings.create_bucket)

    def stats(self) -> dict[str, int]:
        """How many requests were sent, by operation; every attempt counts."""
        return dict(self._counts)

    def watch(self, watcher: Watcher) -> None:
        """Tell this function of each attempt of a request from now on, once it is over. It must not wait."""
        self._watchers.append(watcher)
        if self._exchange is not None:
            self._exchange.lanes.watch()

    def learn(self, capabilities: Capabilities) -> None:
        """Take what a probe found out about the server."""
        self.capabilities = capabilities

    @property
    def prefix(self) -> str:
        """What stands before every key; empty, or ends in `/`."""
        return self._prefix

    @property
    def exchange(self) -> Exchange:
        """
        The open connection, for this event loop and process.

        Raises:
            ClosedError: There is none, or it belongs elsewhere.
        """
        if self._exchange is None:
            raise ClosedError(f"{self!r} is closed.", hint=CLOSED_HINT)
        self._exchange.require_here()
        return self._exchange

    # ---- primitives

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
        metadata: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Store bytes under a key; conditions and outcomes as `storage.protocol` says."""
        if if_match is not None:
            check_conditions(if_none_match, if_match)
        if not key or len(key) > SURELY_SHORT:
            check_key(key)
        exchange = self._exchange
        if exchange is None or exchange.loop is not _get_running_loop():
            exchange = self.exchange  # raises: it is closed, or open elsewhere
        request = Request(
            operation="put",
            key=self._prefix + key,
            body=data if type(data) is bytes else as_bytes(data),
            if_match=if_match,
            if_none_match="*" if if_none_match else None,
            metadata=metadata,
            content_type=content_type,
            is_create=if_none_match,
            bare_etag=self.habits.bare_etags is True,
        )
        lane = exchange.lanes.hot
        deadline = exchange.loop.time() + exchange.deadline
        exchange.counts["put"] += 1
        try:
            response = await lane.send(request, deadline)
        except (Unsent, Unanswered) as failure:
            response = await exchange.again(lane, request, failure, deadline)
        if response.status != 200 or response.code is not None:
            response = await self._settled(exchange, request, response, deadline)
        if response.date is not None:
            exchange.note(response)
        if if_match is not None and self.habits.bare_etags is None:
            self.habits.bare_etags = request.bare_etag
        return ObjectInfo(key, len(request.body), response.etag, None, lowered(metadata), content_type)

    async def get(
        self, key: str, *, if_none_match: str | None = None, range: tuple[int, int | None] | None = None
    ) -> StoredObject | None:
        """The object; None if its etag is `if_none_match`. `range` is (start, stop), stop exclusive or None."""
        if range is not None:
            check_range(range)
        if not key or len(key) > SURELY_SHORT:
            check_key(key)
        exchange = self._exchange
        if exchange is None or exchange.loop is not _get_running_loop():
            exchange = self.exchange  # raises: it is closed, or open elsewhere
        request = Request(operation="get", key=self._prefix + key, if_none_match=if_none_match, range=range)
        lane = exchange.lanes.hot
        deadline = exchange.loop.time() + exchange.deadline
        exchange.counts["get"] += 1
        try:
            response = await lane.send(request, deadline)
        except (Unsent, Unanswered) as failure:
            response = await exchange.again(lane, request, failure, deadline)
        if response.status != 200 or response.code is not None:
            response = await self._settled(exchange, request, response, deadline)
            if response.status == 304:
                return None
            if response.status == 416:
                return StoredObject(b"", await self.head(key))  # a range that begins after the end
        if response.date is not None:
            exchange.note(response)
        body = response.body
        if range is not None and response.status == 200:
            body = cut(body, range, response.size)
        info = ObjectInfo(
            key, response.size, response.etag, response.last_modified, response.metadata or {}, response.content_type
        )
        return StoredObject(body, info)

    async def head(self, key: str) -> ObjectInfo:
        """What the store tells of an object."""
        if not key or len(key) > SURELY_SHORT:
            check_key(key)
        exchange = self._exchange
        if exchange is None or exchange.loop is not _get_running_loop():
            exchange = self.exchange  # raises: it is closed, or open elsewhere
        request = Request(operation="head", key=self._prefix + key)
        lane = exchange.lanes.hot
        deadline = exchange.loop.time() + exchange.deadline
        exchange.counts["head"] += 1
        try:
            response = await lane.send(request, deadline)
        except (Unsent, Unanswered) as failure:
            response = await exchange.again(lane, request, failure, deadline)
        if response.status != 200:
            response = await self._settled(exchange, request, response, deadline)
        if response.date is not None:
            exchange.note(response)
        return ObjectInfo(
            key, response.size, response.etag, response.last_modified, response.metadata or {}, response.content_type
        )

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """
        Remove a key; a missing one is no error unless `if_match` is given.

        Raises:
            UnsupportedError: The server would ignore `if_match` and delete anyway.
        """
        if not key or len(key) > SURELY_SHORT:
            check_key(key)
        exchange = self._exchange
        if exchange is None or exchange.loop is not _get_running_loop():
            exchange = self.exchange  # raises: it is closed, or open elsewhere
        if if_match is not None and not self.capabilities.conditional_delete:
            self.capabilities = await self.habits.probed(exchange, self._prefix, self.capabilities)
            require_conditional_delete(self.capabilities)
        request = Request(
            operation="delete", key=self._prefix + key, if_match=if_match, bare_etag=self.habits.bare_etags is True
        )
        lane = exchange.lanes.hot
        deadline = exchange.loop.time() + exchange.deadline
        exchange.counts["delete"] += 1
        try:
            response = await lane.send(request, deadline)
        except (Unsent, Unanswered) as failure:
            response = await exchange.again(lane, request, failure, deadline)
        if response.status != 204:
            await self._settled(exchange, request, response, deadline)

    list = listing.list_objects
    list_pages = listing.list_pages
    list_split = split.list_split

    # ---- many and large objects

    put_many = batch.put_many
    get_many = batch.get_many
    delete_many = bulk.delete_many
    upload = large.upload
    open = large.open_stream
    copy = large.copy
    presign = large.presign

    # ---- what is rare

    async def _settled(self, exchange: Exchange, request: Request, response: Response, deadline: float) -> Response:
        """Go on after a first answer that is not plainly 200: a success of another kind, a repetition, or an error."""
        if verdict_of(response) is Verdict.DONE:
            return response
        if response.status == 404 and request.operation == "delete" and request.if_match is None:
            return response
        refused = response.status == 412 and request.if_match is not None
        if refused and await self.habits.wants_bare_etag(exchange, request):
            answer = await exchange.send(replace(request, bare_etag=True))
            self.habits.bare_etags = True
            return answer
        return await exchange.again(exchange.lanes.hot, request, response, deadline)
