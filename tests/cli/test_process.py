"""The command as a process: the demo, signals, pipes, missing extras, and servers that fail, each in one clear line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fix_server import Server

import ddao_async as ddao

DDAO = [sys.executable, "-W", "error", "-m", "ddao_async"]


def run(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without any AWS setting of this machine."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DDAO_"))}
    environ = {"AWS_EC2_METADATA_DISABLED": "true", **environ}
    return subprocess.run(
        [*DDAO, *arguments], input=stdin, env=clean | environ, capture_output=True, text=True, timeout=100
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed with status 1 and one line on stderr that holds the words, and nothing else anywhere."""
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert [word for word in words if word not in done.stderr] == []


def test_the_demo_runs_on_a_server_of_its_own() -> None:
    done = run("demo")

    assert done.returncode == 0, done.stderr
    steps = [line.split("  ")[0] for line in done.stdout.splitlines()[1:]]
    assert steps == [
        "connect",
        "schema",
        "insert a user",
        "insert a document",
        "insert a document",
        "insert a document",
        "find by id",
        "find by unique key",
        "find by indexed key",
        "find by range",
        "update",
        "verify",
        "clean up",
    ]
    assert done.stderr == ""


def test_the_demo_leaves_nothing_unless_asked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    cleaned = run("demo", "--url", url, "--json")
    left = run("ls", "--url", url)
    kept = run("demo", "--url", url, "--keep")
    again = run("demo", "--url", url)

    assert [json.loads(line)["step"] for line in cleaned.stdout.splitlines()][-1] == "clean up"
    assert (left.returncode, left.stdout) == (0, "")
    assert kept.returncode == 0
    assert "tables/users/objects/user123.json" in run("ls", "--url", url).stdout
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def test_ctrl_c_while_waiting_for_standard_input_is_clean(tmp_path: Path) -> None:
    arguments = ["import", "-", "--format", "jsonl", "--table", "t", "--url", f"sqlite:///{tmp_path}/x.db"]
    with subprocess.Popen(
        [*DDAO, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write('{"id": "a"}\n' * 3)
        process.stdin.flush()
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        status = process.wait(timeout=30)
        out, err = process.stdout.read(), process.stderr.read()  # type: ignore[union-attr]

    assert (status, out, err) == (130, "", "ddao-async: Interrupted.\n")
    assert time.monotonic() - began < 10


def test_a_reader_that_leaves_ends_an_export_quietly(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    rows = "".join(f'{{"id": "{n}", "text": "{"x" * 1000}"}}\n' for n in range(400))
    assert run("import", "-", "--format", "jsonl", "--table", "t", "--url", url, stdin=rows).returncode == 0

    with subprocess.Popen(
        [*DDAO, "export", "t", "--url", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()  # type: ignore[union-attr]
        status = process.wait(timeout=30)

    assert (status, err) == (1, "")


def test_without_the_extra_it_says_how_to_get_it() -> None:
    program = (
        "import sys; sys.modules['typer'] = None\nfrom ddao_async.cli.main import main; sys.exit(main(['tables']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert_one_line(done, 'pip install "ddao-async[cli]"')


def test_without_a_server_the_demo_says_how_to_get_one() -> None:
    program = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'moto' else find(name, *a)\n"
        "from ddao_async.cli.main import main; sys.exit(main(['demo']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert_one_line(done, 'pip install "ddao-async[server]"', "--url")


# ---- servers that fail


def test_a_missing_bucket_is_named(seaweedfs: Server) -> None:
    assert_one_line(run("tables", "--url", seaweedfs.dsn("no-such-bucket"), **seaweedfs.environ), "no-such-bucket")


def test_a_wrong_secret_is_told_and_not_shown(seaweedfs: Server) -> None:
    bucket = seaweedfs.create_bucket()
    environ = seaweedfs.environ | {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    done = run("tables", "--url", seaweedfs.dsn(bucket), **environ)

    assert_one_line(done, "AWS_SECRET_ACCESS_KEY")
    assert "not-the-secret" not in done.stderr


def test_a_bucket_without_permission_is_told(seaweedfs: Server) -> None:
    bucket = seaweedfs.create_bucket()
    reader = {
        "AWS_ACCESS_KEY_ID": seaweedfs.reader_access_key,
        "AWS_SECRET_ACCESS_KEY": seaweedfs.reader_secret_key,
    }
    done = run("put", "people", "ann", "{}", "--url", seaweedfs.dsn(bucket), **reader)

    assert_one_line(done)


def test_no_credentials_anywhere_is_told(seaweedfs: Server, tmp_path: Path) -> None:
    nothing = {"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null"}

    assert_one_line(run("tables", "--url", seaweedfs.dsn("some-bucket"), **nothing), "AWS_ACCESS_KEY_ID")


def test_the_doctor_says_which_step_failed(seaweedfs: Server) -> None:
    done = run("doctor", seaweedfs.dsn("no-such-bucket"), **seaweedfs.environ)

    assert done.returncode == 1
    assert [line.split()[:2] for line in done.stdout.splitlines() if line.startswith(("ok", "FAIL"))] == [
        ["ok", "connection"],
        ["ok", "credentials"],
        ["FAIL", "bucket"],
    ]


KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def test_a_server_that_hangs_is_given_up_in_time() -> None:
    with listening(lambda connection: time.sleep(3)) as port:
        url = f"s3://bucket?endpoint=http://127.0.0.1:{port}&read_timeout=0.5&deadline=2&max_attempts=2"
        began = time.monotonic()
        done = run("tables", "--url", url, **KEYS)

    assert_one_line(done, "127.0.0.1")
    assert time.monotonic() - began < 15


def test_a_server_that_closes_in_the_middle_of_a_body_is_told() -> None:
    def answer(connection: socket.socket) -> None:
        request = connection.recv(65536)
        if request.startswith(b"HEAD"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 1000\r\n\r\n{"half": ')

    with listening(answer) as port:
        url = f"s3://bucket?endpoint=http://127.0.0.1:{port}&deadline=3&max_attempts=2"
        done = run("tables", "--url", url, **KEYS)

    assert_one_line(done)


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        done = run("tables", "--url", f"s3://b-1?endpoint=http://127.0.0.1:{port}&deadline=2&max_attempts=2", **KEYS)

    assert_one_line(done, f"127.0.0.1:{port}")


@contextmanager
def listening(answer: object) -> Iterator[int]:
    """A socket server on a free port that hands each connection to `answer` and then closes it."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection:
            answer(connection)  # type: ignore[operator]

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


async def test_a_corrupt_document_is_named_and_the_others_exported(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    rows = '{"id": "a", "n": 1}\n{"id": "b", "n": 2}\n{"id": "c", "n": 3}\n'
    assert run("import", "-", "--format", "jsonl", "--table", "t", "--url", url, stdin=rows).returncode == 0
    async with ddao.connect(url) as db:
        await db.store.put("tables/t/objects/b.json", b'{"id": "b", ')

    direct = run("get", "t", "b", "--url", url)
    exported = run("export", "t", "--url", url)

    assert_one_line(direct, "tables/t/objects/b.json")
    assert sorted(json.loads(line)["id"] for line in exported.stdout.splitlines()) == ["a", "c"]
    assert exported.returncode == 1
    assert "tables/t/objects/b.json" in exported.stderr
