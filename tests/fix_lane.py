"""A scripted peer and a wire lane to it, as fixtures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from peer import Peer, peer_at

from ddao_async.config import Credentials, S3Settings
from ddao_async.wire.client import WireLane
from ddao_async.wire.endpoint import endpoint_for
from ddao_async.wire.request import Request, Response

CREDENTIALS = Credentials("AKIDEXAMPLE", "secret")


async def fixed() -> Credentials:
    """A source of credentials."""
    return CREDENTIALS


def lane_to(url: str, *, source: Any = fixed, ssl_context: Any = None, **options: Any) -> WireLane:
    """A lane to a server, not used yet."""
    options = {"bucket": "bucket", "region": "us-east-1", "read_timeout": 5.0} | options
    settings = S3Settings(endpoint=url, **options)
    return WireLane(settings, endpoint_for(settings), source, time.time, ssl_context=ssl_context)


async def send(lane: WireLane, operation: Any = "get", seconds: float = 5.0, **fields: Any) -> Response:
    """Make one attempt."""
    fields = {"key": "k"} | fields
    deadline = asyncio.get_running_loop().time() + seconds
    return await lane.send(Request(operation=operation, **fields), deadline)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A scripted peer."""
    async with peer_at() as found:
        yield found


@pytest.fixture
async def lane(peer: Peer) -> AsyncIterator[WireLane]:
    """A lane to the scripted peer, closed at the end."""
    made = lane_to(peer.url)
    yield made
    await made.close()
