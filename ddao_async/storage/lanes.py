"""
Which lane serves a request: the wire lane what it can, the aiobotocore lane the rest.

    transport=auto          hot: wire, unless something unusual is configured     full: aiobotocore, made when needed
    transport=wire          hot: wire, whatever is configured                     full: aiobotocore, made when needed
    transport=aiobotocore   hot and full: aiobotocore
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..config import Credentials, S3Settings
from ..wire.client import WireLane
from ..wire.endpoint import Endpoint, endpoint_for
from ..wire.request import StreamingLane
from ..wire.service import environment_credentials, unserved
from ..wire.tls import tls_context
from .clock import ServerClock
from .watch import WatchedLane, Watcher

if TYPE_CHECKING:
    from .botocore import BotocoreLane

log = logging.getLogger("ddao_async")

CredentialSource = Callable[[], Awaitable[Credentials]]


class Lanes:
    """
    The lanes of one open adapter, in its event loop.

    Attributes:
        hot: Serves get, put, head, delete and list.
        clock: The server's time; the wire lane signs with it.
        endpoint: Where the requests go.
    """

    def __init__(
        self,
        settings: S3Settings,
        endpoint: Endpoint,
        clock: ServerClock,
        session: Any,
        credentials: CredentialSource | None,
        watchers: list[Watcher],
    ) -> None:
        self.clock = clock
        self.endpoint = endpoint
        self._settings = settings
        self._session = session
        self._credentials = credentials
        self._watchers = watchers
        self._full: BotocoreLane | None = None
        self._wire: WireLane | None = None
        self._making = asyncio.Lock()
        self.hot: StreamingLane

    async def open(self, environ: Mapping[str, str]) -> None:
        """Make the hot lane, and say which one and why."""
        wanted = self._settings.transport
        reason = None if wanted == "wire" else unserved(self._settings, self.endpoint, environ)
        if wanted == "aiobotocore" or reason is not None:
            self._say(f"aiobotocore lane, because {reason or 'transport=aiobotocore'}")
            self.hot = self._watched(await self._boto(), "aiobotocore")
            return
        self._say(
            f"wire lane, because transport={wanted}" + (" and nothing unusual is configured" * (wanted == "auto"))
        )
        context = tls_context(environ.get("AWS_CA_BUNDLE") or None) if self.endpoint.scheme == "https" else None
        self._wire = WireLane(self._settings, self.endpoint, self._source(environ), self.clock, ssl_context=context)
        self.hot = self._watched(self._wire, "wire")

    def watch(self) -> None:
        """There are watchers now: tell them of the hot lane's requests too."""
        if not isinstance(self.hot, WatchedLane):
            self.hot = self._watched(self.hot, "aiobotocore" if self._wire is None else "wire")

    async def full(self) -> BotocoreLane:
        """The aiobotocore lane, made when first needed."""
        return await self._boto()

    async def full_lane(self) -> StreamingLane:
        """The same, with its requests logged where that is asked for."""
        return self._watched(await self.full(), "aiobotocore")

    async def bulk_lane(self) -> StreamingLane:
        """The lane for DeleteObjects."""
        return await self.full_lane()

    async def close(self) -> None:
        """Close the lanes that were made."""
        if self._wire is not None:
            await self._wire.close()
            self._wire = None
        if self._full is not None:
            await self._full.close()
            self._full = None

    async def _boto(self) -> BotocoreLane:
        async with self._making:
            if self._full is None:
                module = await botocore_module()
                session = module.chain_session(self._session, self._settings, self._credentials)
                self._full = module.BotocoreLane(self._settings, self.endpoint, session)
            return cast("BotocoreLane", self._full)

    def _source(self, environ: Mapping[str, str]) -> CredentialSource:
        """What the wire lane asks for credentials; the chain itself is asked when they are first needed."""
        if self._credentials is not None:
            return self._credentials
        found = environment_credentials(self._settings, environ) if self._session is None else None
        if found is not None:
            return fixed_source(found)
        return _LazyChain(self._session, self._settings)

    def _say(self, what: str) -> None:
        if self._settings.verbose:
            log.info("%s/%s travels by the %s", self.endpoint.url, self._settings.bucket, what)

    def _watched(self, lane: StreamingLane, name: str) -> StreamingLane:
        return WatchedLane(lane, name, self._watchers) if self._watchers else lane


class _LazyChain:
    """aiobotocore's credential chain, imported and walked when credentials are first asked for."""

    def __init__(self, session: Any, settings: S3Settings) -> None:
        self._session = session
        self._settings = settings
        self._chain: Any = None

    async def __call__(self) -> Credentials:
        if self._chain is None:
            module = await botocore_module()
            self._chain = module.Chain(module.chain_session(self._session, self._settings, None))
        return await self._chain()

    async def refresh(self) -> None:
        """Make the chain look again: the server says that what it gave has expired."""
        if self._chain is not None:
            await self._chain.refresh()


def fixed_source(credentials: Credentials) -> CredentialSource:
    """A source of credentials that stay what they are."""

    async def source() -> Credentials:
        return credentials

    return source


async def botocore_module() -> Any:
    """Import aiobotocore (300 ms the first time) without holding up the event loop."""
    return await asyncio.to_thread(importlib.import_module, f"{__package__}.botocore")


async def open_lanes(
    settings: S3Settings,
    environ: Mapping[str, str],
    *,
    session: Any,
    credentials: CredentialSource | None,
    clock: ServerClock,
    watchers: list[Watcher],
) -> Lanes:
    """
    Resolve what the settings leave open (the profile's region), then make the hot lane. No request is sent.

    Args:
        environ: The environment, for the credential chain's files.
        watchers: Told of each request.
    """
    region = settings.region
    if region is None and (session is not None or credentials is None) and _has_profile(settings, environ, session):
        module = await botocore_module()
        region = module.profile_region(module.chain_session(session, settings, credentials))
    lanes = Lanes(settings, endpoint_for(settings, region=region), clock, session, credentials, watchers)
    await lanes.open(environ)
    return lanes


def _has_profile(settings: S3Settings, environ: Mapping[str, str], session: Any) -> bool:
    """Is there a configuration that may name a region?"""
    if session is not None or settings.profile or environ.get("AWS_PROFILE"):
        return True
    return Path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser().exists()
