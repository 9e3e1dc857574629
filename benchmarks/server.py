"""The server that a run is against: a null server of its own per setting, rclone, or whatever a URL names."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import data
from .case import PLAIN, Setting
from .contestant import ROOT
from .place import Place, parse_url

MINIO = "s3://ddao?endpoint=http://127.0.0.1:9000"
"""The bucket of docker-compose.yml."""

FOLDER = "ddao-benchmarks/"
"""Below the prefix of a connection string: all that is written goes there, and all that is there is removed after."""


def is_served(server: str, setting: Setting) -> bool:
    """Whether this server can do what a case wants: only the null server is slow, or speaks TLS, on demand."""
    return server == "null" or setting == PLAIN


@contextmanager
def serving(server: str, setting: Setting, keys: int, folder: Path) -> Iterator[Place]:
    """
    A place to run at: `null`, `rclone`, or a connection string.

    Args:
        keys: Keys in the listed table.
        folder: Where certificates and logs may be written.
    """
    if server == "null":
        with _null(setting, keys, folder) as place:
            yield place
    elif server == "rclone":
        with _rclone(folder) as place:
            yield place
    else:
        place = parse_url(
            server,
            access_key=os.environ.get("AWS_ACCESS_KEY_ID", "minioadmin"),
            secret_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "minioadmin"),
        )
        yield place._replace(prefix=place.prefix + FOLDER)


@contextmanager
def _null(setting: Setting, keys: int, folder: Path) -> Iterator[Place]:
    command = [sys.executable, "-m", "benchmarks.null_server", "--keys", str(keys), "--latency", str(setting.latency)]
    authority = _certificate(folder) if setting.tls else ""
    if authority:
        command += ["--certificate", str(folder / "server.pem")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        endpoint = process.stdout.readline().strip() if process.stdout else ""
        if not endpoint:
            raise RuntimeError("the null server did not start")
        yield Place(endpoint, "bench", "", "us-east-1", "null", "nothing", authority, setting.max_connections)
    finally:
        process.communicate()


def _certificate(folder: Path) -> str:
    """A certificate for the loopback address, of an authority that nobody else knows; the path of the authority's."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    issued = authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem
    issued.write_to_path(str(folder / "server.pem"))
    return str(folder / "authority.pem")


@contextmanager
def _rclone(folder: Path) -> Iterator[Place]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rclone = Path(sys.executable).parent / "rclone"
    command = [str(rclone) if rclone.exists() else "rclone", "--config", str(folder / "none"), "serve", "s3"]
    command += ["--addr", f"127.0.0.1:{port}", "--auth-key", "benchmark,not-secret", ":memory:"]
    with (folder / "rclone.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(process, port)
        yield Place(f"http://127.0.0.1:{port}", "bench", FOLDER, "us-east-1", "benchmark", "not-secret")
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("rclone did not start")


@contextmanager
def filled(place: Place, keys: int, *, create_bucket: bool) -> Iterator[None]:
    """What the cases read, on a server that does not make it up; what `_fill` and the cases wrote is removed after."""
    os.environ.update(place.environment())
    asyncio.run(_fill(place, keys, create_bucket))
    try:
        yield
    finally:
        asyncio.run(_empty(place))


async def _fill(place: Place, keys: int, create_bucket: bool) -> None:
    """Put documents, a large object, and keys to list."""
    import ddao_async

    async with ddao_async.S3Adapter.from_url(place.url, create_bucket=create_bucket) as store:
        await store.put(data.LARGE_KEY, data.large_object())
        stored = ((data.document_key(name), body) for name, body in data.documents(0, data.STORED))
        listed = (data.document_key(data.listed_id(n, keys), data.LISTED_TABLE) for n in range(keys))
        for items in (stored, ((key, b"{}") for key in listed)):
            result = await store.put_many(items)
            for key, error in result.failed.items():
                raise RuntimeError(f"{len(result.failed)} objects could not be written, {key} the first") from error


async def _empty(place: Place) -> None:
    import ddao_async

    async with ddao_async.S3Adapter.from_url(place.url) as store:
        await store.delete_many([info.key async for info in store.list()])
