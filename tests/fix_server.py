"""
The S3 servers of the tests, started when first asked for, once per test run (also with pytest-xdist), on free ports of
127.0.0.1: moto (an emulator), SeaweedFS (a real object store) and `rclone serve s3` (which ignores every condition).

Each server is the child of a supervisor, this file run as a script, which stops it when the pytest process that
started the run is gone: nothing outlives a run, however it ended.

    pytest (controller) ── worker ──► supervisor ──► server
                                         └─ polls the controller's pid
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

ACCESS_KEY, SECRET_KEY = "labaccess", "labsecret"
READER_ACCESS_KEY, READER_SECRET_KEY = "readeraccess", "readersecret"
START_TIMEOUT = 60.0


class Server(msgspec.Struct, frozen=True):
    """One running S3 server. The `reader_*` identity may read and list only; it exists on SeaweedFS alone."""

    name: str
    url: str
    access_key: str
    secret_key: str
    reader_access_key: str = ""
    reader_secret_key: str = ""
    bucket: str = "shared"
    """A bucket that is there. Prefer it, with a prefix of one's own, to new ones: SeaweedFS makes files for each."""

    @property
    def environ(self) -> dict[str, str]:
        """The environment that makes any S3 client use this server's credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def dsn(self, bucket: str, prefix: str = "", **parameters: object) -> str:
        """Connection string of a bucket here; credentials come from the environment (`environ`)."""
        query = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"s3://{bucket}/{prefix}?endpoint={self.url}{query}"

    def create_bucket(self, name: str = "") -> str:
        """Create a bucket, under a name of its own if none is given; returns the name."""
        name = name or new_bucket_name()
        _client(self.url, self.access_key, self.secret_key).create_bucket(Bucket=name)
        return name


def new_bucket_name() -> str:
    """A bucket name that no other test uses."""
    return f"t-{uuid.uuid4().hex[:16]}"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """moto: conditions as AWS documents them; checks no signatures, closes every connection."""
    yield from _shared("moto", _moto, tmp_path_factory)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """SeaweedFS: a real store; checks signatures and permissions, enforces conditional PUT and DELETE."""
    yield from _shared("seaweedfs", _seaweedfs, tmp_path_factory)


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`rclone serve s3` over memory: checks signatures, ignores all conditions."""
    yield from _shared("rclone", _rclone, tmp_path_factory)


# ---- how each is started


def _moto(folder: Path) -> tuple[list[str], Server]:
    port = free_port()
    command = [_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    return command, Server("moto", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)


def _rclone(folder: Path) -> tuple[list[str], Server]:
    port = free_port()
    command = [_program("rclone"), "--config", str(folder / "none"), "serve", "s3"]
    command += ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", ":memory:"]
    return command, Server("rclone", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)


def _seaweedfs(folder: Path) -> tuple[list[str], Server]:
    identities = [
        _identity("lab", ACCESS_KEY, SECRET_KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
        _identity("reader", READER_ACCESS_KEY, READER_SECRET_KEY, ["Read", "List"]),
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    (folder / "data").mkdir()
    command = [_program("weed"), "-logtostderr", "server", "-dir", str(folder / "data")]
    command += ["-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-filer", "-s3", "-s3.config", str(folder / "s3.json")]
    for service in ("master", "volume", "filer"):
        command += [f"-{service}.port", str(free_port()), f"-{service}.port.grpc", str(free_port())]
    port = free_port()
    command += [
        "-s3.port",
        str(port),
        "-s3.port.grpc",
        str(free_port()),
        "-s3.port.iceberg",
        "0",
        "-s3.port.lance",
        "0",
    ]
    command += ["-master.volumeSizeLimitMB", "256", "-master.telemetry=false", "-volume.max", "0"]
    command += ["-s3.allowDeleteBucketNotEmpty=false", "-s3.autoCreateBucket=false"]
    url = f"http://127.0.0.1:{port}"
    return command, Server("seaweedfs", url, ACCESS_KEY, SECRET_KEY, READER_ACCESS_KEY, READER_SECRET_KEY)


def _identity(name: str, access_key: str, secret_key: str, actions: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": actions,
    }


def _program(name: str) -> str:
    """Path of a program that a development dependency installed beside this interpreter."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed: pip install -e '.[dev]'"
    return found


# ---- once per run, shared between workers


def _shared(
    name: str, plan: Callable[[Path], tuple[list[str], Server]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if is_worker else base) / f"server-{name}"
    folder.mkdir(exist_ok=True)
    owner = os.getppid() if is_worker else os.getpid()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running = folder / "server.json"
        if not running.exists():
            server = _start(folder, plan, owner)
            running.write_bytes(msgspec.json.encode(server))
        server = msgspec.json.decode(running.read_bytes(), type=Server)
    yield server
    if not is_worker:
        os.kill(int((folder / "supervisor.pid").read_text()), signal.SIGTERM)


def _start(folder: Path, plan: Callable[[Path], tuple[list[str], Server]], owner: int) -> Server:
    """Start a server and wait until it takes objects; a port that somebody else took meanwhile is tried again."""
    for attempt in range(3):
        home = folder / f"run-{attempt}"
        home.mkdir()
        command, server = plan(home)
        with (home / "log").open("wb") as log:
            supervisor = subprocess.Popen(
                [sys.executable, __file__, str(owner), *command],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},  # SeaweedFS: one volume a bucket, not 7
            )
        if _is_ready(server, supervisor):
            (folder / "supervisor.pid").write_text(str(supervisor.pid))
            supervisor.returncode = 0  # it is not ours to wait for: another worker may stop it
            return server
        supervisor.terminate()
        supervisor.wait(10)
    raise AssertionError(f"{server.name} did not start:\n" + (home / "log").read_text(errors="replace")[-3000:])


def _is_ready(server: Server, supervisor: subprocess.Popen[bytes]) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    client = _client(server.url, server.access_key, server.secret_key)
    end = time.monotonic() + START_TIMEOUT
    bucket, made = server.bucket, False
    while time.monotonic() < end and supervisor.poll() is None:
        try:
            if not made:
                client.create_bucket(Bucket=bucket)
                made = True
            client.put_object(Bucket=bucket, Key="ready", Body=b"ready")
            client.delete_object(Bucket=bucket, Key="ready")
        except (BotoCoreError, ClientError):
            time.sleep(0.1)
        else:
            return True
    return False


def _client(url: str, access_key: str, secret_key: str) -> Any:
    """A plain botocore client, so that the tests' set-up does not rest on the code under test."""
    from botocore.config import Config
    from botocore.session import get_session

    return get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            connect_timeout=2,
            read_timeout=10,
            request_checksum_calculation="when_required",
        ),
    )


# ---- the supervisor


def supervise(owner: int, command: list[str]) -> int:
    """Run a command until it ends, this process is told to stop, or the owner's process is gone."""
    server = subprocess.Popen(command)

    def stop(*_: object) -> None:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    while server.poll() is None:
        try:
            os.kill(owner, 0)
        except ProcessLookupError:
            stop()
        time.sleep(0.3)
    return server.returncode


if __name__ == "__main__":
    sys.exit(supervise(int(sys.argv[1]), sys.argv[2:]))
