"""
WireLane: the first lane. One attempt: credentials fresh -> connection taken -> signed -> sent -> answer read.

It never repeats anything by itself; `learn` takes what a refusal tells, so that one more attempt makes sense.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import cast

import msgspec

from ..config import Credentials, S3Settings
from ..errors import ClosedError
from .body import BodyStream
from .connection import Connection
from .encoding import Encoded, encode, place_of, with_checksum
from .endpoint import Endpoint, endpoint_for, has_checksum
from .http1 import Answer
from .pool import HANDSHAKES_AT_ONCE, IDLE_SECONDS, Pool
from .request import Request, Response, Unanswered, Unsent
from .response import UnusableAnswer, opened, response
from .sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, SigningMoment, signed_head, template
from .tls import tls_context

CREATE_IDLE_SECONDS = 0.9
"""A creating put goes out on a connection that was idle for less than a second (protocol, "Lost responses")."""

LARGE_PUT_BYTES = 1024 * 1024
"""From this length on a body is sent in pieces behind its head, and hashed off the event loop."""

MAX_OBJECT_BYTES = 5 * 1024**3
"""The most that one get may hold in memory; S3 takes no more in one put either. Stream what is longer."""

MAX_LIST_BYTES = 64 * 1024**2
MAX_OTHER_BYTES = 1024**2
CREDENTIALS_SECONDS = 60.0
"""How long credentials that expire are used before their source, which refreshes them ahead, is asked again."""

_MAX_BYTES: dict[str, int] = {"get": MAX_OBJECT_BYTES, "list": MAX_LIST_BYTES}
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_MOVED = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)

CredentialSource = Callable[[], Awaitable[Credentials]]


class WireLane:
    """
    One way to reach a bucket: HTTP/1.1 of our own over a pool of connections. Bound to the event loop of its first
    request; may be closed and used again in another.

    Args:
        settings: The bucket, and how to talk to it.
        endpoint: Where it is.
        source: Asked for credentials before they are used: once for those that do not expire, every minute else. If it
            has an async `refresh`, that is called when the server says that they expired.
        clock: The server's time, epoch seconds: requests are signed with it.
        ssl_context: For https; made with the system's authorities when first needed (35 ms) if left out.
    """

    def __init__(
        self,
        settings: S3Settings,
        endpoint: Endpoint,
        source: CredentialSource,
        clock: Callable[[], float],
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._ssl = ssl_context
        self._pool: Pool | None = None
        self._clock = clock
        self._last_date: float | None = None
        self._credentials: Credentials | None = None
        self._ask_at = -math.inf
        self._asking = asyncio.Lock()
        self._moment: SigningMoment | None = None
        # Pools of the host that the bucket turned out not to be at; closed with the lane.
        self._left: list[Pool] = []
        self._endpoint = endpoint
        self._move(endpoint)

    def _move(self, endpoint: Endpoint) -> None:
        if self._pool is not None and endpoint.host != self._endpoint.host:
            self._left.append(self._pool)
            self._pool = None
        self._moment = None
        self._endpoint = endpoint
        self._place = place_of(self._settings, endpoint.base_path)
        self._is_tls = endpoint.scheme == "https"
        self._has_checksum = has_checksum(self._settings, endpoint)

    # ---- what the adapter calls

    async def send(self, request: Request, deadline: float) -> Response:
        """Make one attempt; `wire.request.Lane` says how it can end."""
        pool = self._pool
        if pool is None or pool.loop is not asyncio.get_running_loop():
            pool = self._open_pool()
        if time.time() >= self._ask_at:
            await self._ask(deadline)
        encoded = encode(request, self._place)
        body = request.body
        if len(body) >= LARGE_PUT_BYTES:
            return await self._send_large(pool, request, encoded, deadline)
        payload_hash = hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256
        if self._has_checksum and encoded.method == "PUT":
            encoded = with_checksum(encoded, zlib.crc32(body))
        connection = pool.take(CREATE_IDLE_SECONDS if request.is_create else IDLE_SECONDS)
        if connection is None:
            connection = await pool.wait(deadline)
        future = connection.start(
            self._head(encoded, payload_hash, len(body)) + body,
            deadline,
            is_head=encoded.method == "HEAD",
            max_bytes=_MAX_BYTES.get(request.operation, MAX_OTHER_BYTES),
        )
        if connection.deadline < pool.sweep_at:
            pool.watch(connection.deadline)
        try:
            answer = await future
        except BaseException as error:
            _give_up(pool, connection, future, error)
            raise
        return self._checked(response, request, answer)

    async def open(self, request: Request, deadline: float) -> BodyStream:
        """Make one attempt at a get, up to the head of its answer. The body holds a connection until its end."""
        pool = self._pool
        if pool is None or pool.loop is not asyncio.get_running_loop():
            pool = self._open_pool()
        await self._ask(deadline)
        encoded = encode(request, self._place)
        connection = pool.take() or await pool.wait(deadline)
        stream = BodyStream(pool.loop)
        future = connection.start(self._head(encoded, EMPTY_SHA256, 0), deadline, stream=stream)
        pool.watch(connection.deadline)
        is_open = False
        try:
            answer = await future
            stream.response = self._checked(opened, request, answer)
            is_open = True
            if answer[0] >= 300:
                stream.push(b"", True)  # the body was the error's
        except BaseException as error:
            _give_up(pool, connection, future, error)
            raise
        finally:
            if not is_open:
                await stream.close()
        return stream

    async def learn(self, refusal: Response) -> bool:
        """
        Take what a refused attempt tells: the server's clock, newer credentials, the bucket's region.

        Returns:
            Whether the same request is worth one more attempt.
        """
        if refusal.code in _SKEWED:
            # Who made the clock has set it by the refusal's Date.
            self._last_date = None
            return refusal.date is not None
        if refusal.code in _EXPIRED:
            before, self._ask_at = self._keys(), -math.inf
            refresh: Callable[[], Awaitable[None]] | None = getattr(self._source, "refresh", None)
            if refresh is not None:
                await refresh()
            await self._ask(math.inf)
            return self._keys() != before
        region = refusal.region
        if not region or region == self._endpoint.region:
            return False
        if refusal.code not in _MOVED and refusal.status not in (301, 307, 400):
            return False
        # The region is taken from the answer, never the Location: a signed request goes to hosts of AWS only.
        self._move(endpoint_for(msgspec.structs.replace(self._settings, region=region)))
        return True

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        pools = [*self._left, self._pool]
        self._left, self._pool = [], None
        for pool in pools:
            if pool is not None and not pool.is_forked:
                await pool.close()

    # ---- steps

    def _keys(self) -> tuple[str, str, str | None] | None:
        held = self._credentials
        return None if held is None else (held.access_key, held.secret_key, held.token)

    def _head(self, encoded: Encoded, payload_hash: str, length: int) -> bytes:
        """Sign now: a request that waited in line is as fresh as any other."""
        credentials = cast(Credentials, self._credentials)
        second = int(self._clock())
        moment = self._moment
        if moment is None or moment.second != second:
            moment = self._moment = SigningMoment(second, credentials, self._endpoint.region)
        names, values, signed = encoded.names, encoded.values, encoded.signed_values
        if credentials.token is not None:
            names += ("x-amz-security-token",)
            values += (credentials.token,)
            signed += (credentials.token,)
        form = template(encoded.method, self._endpoint.host, names)
        return signed_head(form, moment, encoded.path, encoded.query, payload_hash, values, signed, length)

    def _checked(self, read: Callable[[Request, Answer], Response], request: Request, answer: Answer) -> Response:
        try:
            found = read(request, answer)
        except (UnusableAnswer, ValueError) as error:
            raise Unanswered(f"an unusable answer: {error}") from error
        # Once a second is often enough for the adapter to look at its clock.
        if found.date == self._last_date:
            found.date = None
        else:
            self._last_date = found.date
        return found

    async def _send_large(self, pool: Pool, request: Request, encoded: Encoded, deadline: float) -> Response:
        body = memoryview(request.body)
        # Hashing 64 MiB takes 45 ms: the other requests of this loop shall not wait for it. Never unsigned without TLS.
        if self._has_checksum and encoded.method == "PUT":
            encoded = with_checksum(encoded, await asyncio.to_thread(zlib.crc32, body))
        payload_hash = UNSIGNED_PAYLOAD if self._is_tls else await asyncio.to_thread(_sha256, body)
        connection = pool.take(CREATE_IDLE_SECONDS if request.is_create else IDLE_SECONDS)
        if connection is None:
            connection = await pool.wait(deadline)
        future = connection.start(self._head(encoded, payload_hash, len(body)), deadline, max_bytes=MAX_OTHER_BYTES)
        pool.watch(connection.deadline)
        try:
            await connection.send_body(body)
            answer = await future
        except BaseException as error:
            _give_up(pool, connection, future, error)
            raise
        return self._checked(response, request, answer)

    async def _ask(self, deadline: float) -> None:
        """Ask the source for credentials, one task for all."""
        async with self._asking:
            if time.time() < self._ask_at:
                return
            try:
                async with asyncio.timeout_at(None if math.isinf(deadline) else deadline):
                    found = await self._source()
            except TimeoutError:
                raise Unsent("no credentials in time", timed_out=True) from None
            self._credentials = found
            self._moment = None
            now = time.time()
            self._ask_at = (
                math.inf if found.expires_at is None else min(now + CREDENTIALS_SECONDS, found.expires_at - 30)
            )

    def _open_pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        if self._pool is not None and self._pool.is_forked:
            raise ClosedError("This store was opened in the parent process.", hint="Open another one here.")
        if self._pool is not None:
            raise ClosedError(
                "This store is open in another event loop.", hint="Close it there first, or make one store per loop."
            )
        endpoint, settings = self._endpoint, self._settings
        if self._is_tls and self._ssl is None:
            self._ssl = tls_context(None)
        context = self._ssl if self._is_tls else None
        host, _, port = endpoint.host.rpartition(":")
        if not port.isdigit():
            host, port = endpoint.host, "443" if self._is_tls else "80"
        host = host.strip("[]")

        async def dial(factory: Callable[[], Connection]) -> Connection:
            _, connection = await loop.create_connection(factory, host, int(port), ssl=context)
            return connection

        self._asking = asyncio.Lock()
        self._pool = Pool(
            dial,
            max_connections=settings.max_connections,
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            max_dials=HANDSHAKES_AT_ONCE if self._is_tls else settings.max_connections,
        )
        return self._pool


def _give_up(pool: Pool, connection: Connection, future: asyncio.Future[Answer], error: BaseException) -> None:
    """Leave an exchange that did not end well: the socket of one that was cancelled is never used again."""
    if isinstance(error, Unanswered):
        if error.stale_connection:
            pool.drop_idle()
    else:
        connection.abandon(future)


def _sha256(body: memoryview) -> str:
    return hashlib.sha256(body).hexdigest()
