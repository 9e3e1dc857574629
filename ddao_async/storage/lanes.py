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
from ..wire.endpoint import endpoint_for
from ..wire.request import StreamingLane
from ..wire.service import environment_credentials, unserved
from ..wire.tls import tls_context
from .clock import ServerClock
from .pace import PacedLane
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
        base: The same without the pace that a busy server imposes.
        clock: The server's time; the wire lane signs with it.
        endpoint: Where the requests go.
    """

    def __init__(
        self,
        settings: S3Settings,
        clock: ServerClock,
        session: Any,
        credentials: CredentialSource | None,
        watchers: list[Watcher],
    ) -> None:
        self.clock = clock
        self.endpoint = endpoint_for(settings)
        self._settings = settings
        self._given_session = session
        self._session: Any = None
        self._credentials = credentials
        self._watchers = watchers
        self._full: BotocoreLane | None = None
        self._wire: WireLane | None = None
        self._making = asyncio.Lock()
        self.base: StreamingLane
        self.hot: StreamingLane

    async def open(self, environ: Mapping[str, str]) -> None:
        """Resolve the region, make the hot lane, and say which one and why. No request is sent."""
        settings = self._settings
        if settings.region is None and self._may_name_a_region(environ):
            module = await imported("chain")
            self.endpoint = endpoint_for(settings, region=module.profile_region(await self._chain_session()))
        wanted = settings.transport
        reason = None if wanted == "wire" else unserved(settings, self.endpoint, environ)
        if wanted == "aiobotocore" or reason is not None:
            self._say(f"aiobotocore lane, because {reason or 'transport=aiobotocore'}")
            self.base = self.hot = self._watched(await self._boto(), "aiobotocore")
            return
        self._say(
            f"wire lane, because transport={wanted}" + (" and nothing unusual is configured" * (wanted == "auto"))
        )
        context = tls_context(environ.get("AWS_CA_BUNDLE") or None) if self.endpoint.scheme == "https" else None
        self._wire = WireLane(settings, self.endpoint, self._source(environ), self.clock, ssl_context=context)
        self.base = self.hot = self._watched(self._wire, "wire")

    def watch(self) -> None:
        """There are watchers now: tell them of the hot lane's requests too."""
        if not isinstance(self.base, WatchedLane):
            self.base = self._watched(self.base, "aiobotocore" if self._wire is None else "wire")
            self.hot = self.base

    def slow_down(self) -> None:
        """The server asked to: fewer requests in flight, for everybody."""
        if not isinstance(self.hot, PacedLane):
            self.hot = PacedLane(self.base, self._settings.max_connections, self._hurry)
            self._say("paced lane, because the server asked to slow down")
        self.hot.slow_down()

    def _hurry(self) -> None:
        """Nothing is held back any more: the hot lane is bare again."""
        self.hot = self.base

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
                module = await imported("botocore")
                self._full = module.BotocoreLane(self._settings, self.endpoint, await self._chain_session(), self.clock)
            return cast("BotocoreLane", self._full)

    def _source(self, environ: Mapping[str, str]) -> CredentialSource:
        """What the wire lane asks for credentials; the chain itself is asked when they are first needed."""
        if self._credentials is not None:
            return self._credentials
        found = environment_credentials(self._settings, environ) if self._given_session is None else None
        if found is not None:
            return fixed_source(found)
        return _LazyChain(self._chain_session)

    async def _chain_session(self) -> Any:
        """The one session of this adapter: profile, region and credentials come from it."""
        if self._session is None:
            module = await imported("chain")
            self._session = module.chain_session(self._given_session, self._settings, self._credentials)
        return self._session

    def _may_name_a_region(self, environ: Mapping[str, str]) -> bool:
        """Is there a configuration that may name one?"""
        if self._given_session is not None:
            return True
        if self._credentials is not None:
            return False
        if self._settings.profile or environ.get("AWS_PROFILE"):
            return True
        return Path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser().exists()

    def _say(self, what: str) -> None:
        if self._settings.verbose:
            log.info("%s/%s travels by the %s", self.endpoint.url, self._settings.bucket, what)

    def _watched(self, lane: StreamingLane, name: str) -> StreamingLane:
        return WatchedLane(lane, name, self._watchers) if self._watchers else lane


class _LazyChain:
    """aiobotocore's credential chain, imported and walked when credentials are first asked for."""

    def __init__(self, session: Callable[[], Awaitable[Any]]) -> None:
        self._session = session
        self._chain: Any = None

    async def __call__(self) -> Credentials:
        if self._chain is None:
            module = await imported("chain")
            self._chain = module.Chain(await self._session())
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


async def imported(name: str) -> Any:
    """Import a module that brings aiobotocore along (300 ms the first time) without holding up the event loop."""
    return await asyncio.to_thread(importlib.import_module, f"{__package__}.{name}")
