"""
An S3 server for the demo: moto in a process of its own, on a free port of the loopback interface.

The server's process ends when its standard input does, so it never outlives the command, however that ends.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from subprocess import DEVNULL, PIPE

import anyio
from anyio.abc import ByteReceiveStream
from anyio.streams.buffered import BufferedByteReceiveStream

from ..errors import StoreUnavailableError, UnsupportedError

START_TIMEOUT = 60.0


@asynccontextmanager
async def embedded_server() -> AsyncGenerator[str, None]:
    """
    Start a server with no buckets, give its URL, stop it at the end. Any credentials do.

    Raises:
        UnsupportedError: moto is not installed.
        StoreUnavailableError: It did not start.
    """
    if find_spec("moto") is None or find_spec("flask") is None:
        raise UnsupportedError(
            "The demo's own S3 server is not installed.",
            hint='Install it: pip install "ddao-async[server]", or name a database: --url sqlite:///demo.db',
        )
    command = [sys.executable, "-m", "ddao_async.testing.moto_server"]
    process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    try:
        yield f"http://127.0.0.1:{await _port(process.stdout)}"
    finally:
        with anyio.CancelScope(shield=True):
            process.terminate()
            await process.aclose()


async def _port(output: ByteReceiveStream | None) -> int:
    try:
        with anyio.fail_after(START_TIMEOUT):
            return int(await BufferedByteReceiveStream(output).receive_until(b"\n", 100)) if output else 0
    except (TimeoutError, anyio.IncompleteRead, ValueError) as error:
        raise StoreUnavailableError(
            "The demo's own S3 server did not start.", hint="Try: python -m moto.server -p 5000"
        ) from error
