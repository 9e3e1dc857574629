"""
The second lane: pooled aiobotocore clients. Serves whatever the wire lane does not: multipart control, copy, presigned
URLs, proxies, unusual signers. With `chain` the only file that imports aiobotocore (300 ms): when first needed.

    session ──┬── client (up to 32 connections)     requests go to the least busy client;
              ├── client                            a new one is made when all are full
              └── client for creating PUTs: it keeps connections for less than a second (protocol, "Lost responses")

Neither botocore nor aiohttp repeats a request here: a hidden repetition would meet its own first attempt.
"""

# aiobotocore and botocore ship no types: what comes from them is of unknown type here, and here only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore import exceptions as boto

from ..config import S3Settings
from ..wire.endpoint import Endpoint, has_checksum
from ..wire.request import Request, Response, Unanswered, Unsent
from .chain import failure_of
from .translation import answer_of, call_for, refusal_of, with_content_md5, without_expect

CONNECTIONS_PER_CLIENT = 32
CREATE_IDLE_SECONDS = 0.9
CHUNK_BYTES = 1 << 18


class _Transport(AIOHTTPSession):
    """aiobotocore's HTTP, without aiohttp's own repetition of PUT, GET and DELETE on a connection that was closed."""

    async def _get_session(self, proxy_url: str | None) -> aiohttp.ClientSession:
        session: Any = await super()._get_session(proxy_url)
        session._retry_connection = False
        return session


class BotocoreLane:
    """
    One way to reach a bucket: at most `settings.max_connections` requests at once over a few clients of one session.
    Made and closed in one event loop. Clients are made when first needed (about 100 ms for the first, off the loop).

    Args:
        settings: The bucket, and how to talk to it.
        endpoint: Where it is.
        session: As `chain_session` returns it.
        clock: The server's time, epoch seconds; what requests are signed with.
    """

    def __init__(
        self, settings: S3Settings, endpoint: Endpoint, session: AioSession, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._endpoint = endpoint
        self._session = session
        self._has_checksum = has_checksum(settings, endpoint)
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._making = asyncio.Lock()
        self._clients: list[_Client] = []
        self._creator: _Client | None = None
        self._closing = AsyncExitStack()

    async def send(self, request: Request, deadline: float) -> Response:
        """Make one attempt; `wire.request.Lane` says how it can end."""
        body = await self._begin(request, deadline, streamed=False)
        return body.response

    async def open(self, request: Request, deadline: float) -> _Body:
        """Make one attempt at a get, up to the head of its answer. The body holds a connection until it is closed."""
        return await self._begin(request, deadline, streamed=True)

    async def presign(self, method: str, key: str, expires_in: int) -> str:
        """A URL that allows one method on one key until it expires; made here, without a request."""
        name = {"GET": "get_object", "PUT": "put_object", "HEAD": "head_object", "DELETE": "delete_object"}[method]
        client = await self._client(is_create=False)
        try:
            return await client.boto.generate_presigned_url(
                name, Params={"Bucket": self._settings.bucket, "Key": key}, ExpiresIn=expires_in
            )
        except boto.BotoCoreError as exc:
            raise failure_of(exc) from exc

    async def learn(self, response: Response) -> bool:
        """Is a refusal worth another attempt? The clock has learned the server's time from it already."""
        return response.code == "RequestTimeTooSkewed"

    async def close(self) -> None:
        """Close every client. Safe to call twice."""
        self._clients.clear()
        self._creator = None
        await self._closing.aclose()

    async def _begin(self, request: Request, deadline: float, *, streamed: bool) -> _Body:
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise Unsent("no free connection", timed_out=True) from None
        body: _Body | None = None
        try:
            body = await self._exchange(request, deadline, streamed=streamed)
            return body
        finally:
            if body is None or body.is_over:
                self._slots.release()

    async def _exchange(self, request: Request, deadline: float, *, streamed: bool) -> _Body:
        client = None
        try:
            async with asyncio.timeout_at(deadline):
                client = await self._client(is_create=request.is_create)
                client.in_flight += 1
                location = None if self._endpoint.region == "us-east-1" else self._endpoint.region
                name, parameters = call_for(request, self._settings, checksum=self._has_checksum, location=location)
                parsed: dict[str, Any] = await getattr(client.boto, name)(**parameters)
                stream = parsed.get("Body")
                if streamed:
                    response = answer_of(request.operation, parsed)
                    return _Body(response, stream, self._settings.read_timeout, self._slots)
                data = b"" if stream is None else await _read_all(stream)
                return _Body(answer_of(request.operation, parsed, data), None, 0.0, self._slots)
        except boto.ClientError as exc:
            return _Body(refusal_of(dict(exc.response)), None, 0.0, self._slots)
        except TimeoutError:
            if client is None:
                raise Unsent("the credentials or the client took too long", timed_out=True) from None
            raise Unanswered("no answer in time", timed_out=True) from None
        except (boto.BotoCoreError, aiohttp.ClientError, OSError, UnicodeEncodeError) as exc:
            raise failure_of(exc) from exc
        finally:
            if client is not None:
                client.in_flight -= 1

    async def _client(self, *, is_create: bool) -> _Client:
        """The least busy client; a new one where all are full."""
        if is_create:
            if self._creator is None:
                async with self._making:
                    if self._creator is None:
                        limit = self._settings.max_connections
                        self._creator = await self._make(limit, keepalive=CREATE_IDLE_SECONDS)
            return self._creator
        limit = min(CONNECTIONS_PER_CLIENT, self._settings.max_connections)
        least = min(self._clients, key=_load, default=None)
        if least is None or least.in_flight >= limit:
            async with self._making:
                least = min(self._clients, key=_load, default=None)
                if least is None or least.in_flight >= limit:
                    least = await self._make(limit)
                    self._clients.append(least)
        return least

    async def _make(self, limit: int, keepalive: float = 30.0) -> _Client:
        settings = self._settings
        await asyncio.to_thread(_load_models, self._session)
        config = AioConfig(
            connector_args={"keepalive_timeout": keepalive},
            http_session_cls=_Transport,
            signature_version="s3v4",
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            max_pool_connections=limit,
            s3={"addressing_style": "virtual" if self._endpoint.is_virtual else "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        context: Any = self._session.create_client(
            "s3", region_name=self._endpoint.region, endpoint_url=self._endpoint.url, config=config
        )
        client: Any = await self._closing.enter_async_context(context)
        client.meta.events.register("before-call.s3.DeleteObjects", with_content_md5)
        client.meta.events.register("before-sign.s3", without_expect)
        _sign_with(client._request_signer, self._clock)  # pyright: ignore[reportPrivateUsage]
        return _Client(client)


class _Client:
    """One aiobotocore client, and how many requests it is busy with."""

    __slots__ = ("boto", "in_flight")

    def __init__(self, client: Any) -> None:
        self.boto = client
        self.in_flight = 0


def _load(client: _Client) -> int:
    return client.in_flight


class _Body:
    """An answer whose body may still be arriving (`wire.request.Body`); holds a slot of the lane until it is over."""

    def __init__(self, response: Response, stream: Any, read_timeout: float, slots: asyncio.Semaphore) -> None:
        self.response = response
        self.is_over = stream is None
        self._stream = stream
        self._read_timeout = read_timeout
        self._slots = slots

    async def read(self) -> bytes:
        """The next bytes; empty at the end."""
        if self._stream is None:
            return b""
        try:
            async with asyncio.timeout(self._read_timeout):
                chunk: bytes = await self._stream.read(CHUNK_BYTES)
        except TimeoutError:
            raise Unanswered("the body stopped coming", timed_out=True) from None
        except (boto.BotoCoreError, aiohttp.ClientError, OSError) as exc:
            raise Unanswered(f"the body was cut short: {type(exc).__name__}") from exc
        if not chunk:
            self._end()
        return chunk

    async def close(self) -> None:
        """Drop the connection if the body was not read to its end. Safe to call twice."""
        if self._stream is not None:
            self._stream.close()
            self._end()

    def _end(self) -> None:
        self._stream = None
        if not self.is_over:
            self.is_over = True
            self._slots.release()


async def _read_all(stream: Any) -> bytes:
    try:
        return await stream.read()
    finally:
        stream.close()  # after a whole body the connection is in its pool already


def _sign_with(signer: Any, clock: Callable[[], float]) -> None:
    """Sign with the server's time: botocore knows this machine's only, which may be off."""
    get_auth: Any = signer.get_auth_instance

    async def get_auth_instance(*args: Any, **kwargs: Any) -> Any:
        auth: Any = await get_auth(*args, **kwargs)
        modify: Any = getattr(auth, "_modify_request_before_signing", None)

        def with_server_time(request: Any) -> None:
            request.context["timestamp"] = datetime.fromtimestamp(clock(), UTC).strftime("%Y%m%dT%H%M%SZ")
            modify(request)

        if modify is not None:  # a signature without a date of its own otherwise
            auth._modify_request_before_signing = with_server_time
        return auth

    signer.get_auth_instance = get_auth_instance


def _load_models(session: AioSession) -> None:
    """Read the files that making a client needs (tens of milliseconds), so that a thread can do it."""
    loader: Any = session.get_component("data_loader")
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model("s3", kind)
