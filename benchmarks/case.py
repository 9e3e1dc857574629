"""What is measured: each case is one verb under one setting, and the figure that is quoted of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Metric = Literal["cpu", "wall", "memory", "start"]


class Setting(NamedTuple):
    """What a case wants of its server and its clients. `latency` in seconds; only a null server has it, or TLS."""

    latency: float = 0.0
    tls: bool = False
    max_connections: int = 64


PLAIN = Setting()
TLS = Setting(tls=True)
LATE_15 = Setting(latency=0.015, max_connections=256)
LATE_20 = Setting(latency=0.020)


class Case(NamedTuple):
    """
    One line of comparison.

    Attributes:
        verbs: Names of `systems`; a competitor runs those that it has, each as a line of its own.
        metric: What is quoted: CPU or wall time per call, peak memory, or time from the start of the process.
        unit: How it is shown; times are divided by `scale` seconds.
        concurrency: Calls in flight.
        counted: Calls per round; 0: as many as fill a round's time.
    """

    name: str
    title: str
    verbs: tuple[str, ...]
    metric: Metric = "cpu"
    unit: str = "µs"
    scale: float = 1e-6
    setting: Setting = PLAIN
    concurrency: int = 64
    counted: int = 0


MILLISECONDS = {"unit": "ms", "scale": 1e-3}
SECONDS = {"unit": "s", "scale": 1.0}
ONCE = {"concurrency": 1, "counted": 1}

CASES = (
    Case("get", "GET of a 430-byte document, CPU", ("get",)),
    Case("put", "PUT with metadata and checksum, CPU", ("insert",)),
    Case("create", "conditional PUT (If-None-Match), CPU", ("create",)),
    Case("head", "HEAD, CPU", ("head",)),
    Case("delete", "DELETE, CPU", ("delete",)),
    Case("list", "LIST, all keys, CPU", ("list",), **SECONDS, **ONCE),
    Case("upload", "64 MiB upload over plain HTTP, CPU", ("upload",), **MILLISECONDS, **ONCE),
    Case("read", "64 MiB read to a new buffer, CPU", ("read",), **MILLISECONDS, **ONCE),
    Case("stream", "64 MiB streamed, CPU", ("stream",), **MILLISECONDS, **ONCE),
    Case("tls_get", "GET over TLS, CPU", ("get",), setting=TLS),
    Case("tls_put", "PUT over TLS, CPU", ("insert",), setting=TLS),
    Case("tls_upload", "64 MiB upload over TLS, CPU", ("upload",), setting=TLS, **MILLISECONDS, **ONCE),
    Case("late_64", "GET, 15 ms away, 64 at a time, wall", ("get",), "wall", setting=LATE_15),
    Case("late_256", "GET, 15 ms away, 256 at a time, wall", ("get",), "wall", setting=LATE_15, concurrency=256),
    Case(
        "late_list",
        "LIST, all keys, 20 ms away, wall",
        ("list", "list_split"),
        "wall",
        setting=LATE_20,
        **SECONDS,
        **ONCE,
    ),
    Case("import", "import of the library, from process start", ("import",), "start", **MILLISECONDS, **ONCE),
    Case("cold", "connect and first GET, from process start", ("cold",), "start", **MILLISECONDS, **ONCE),
    Case(
        "memory",
        "documents poured in, 64 at a time: peak memory above the interpreter",
        ("pour",),
        "memory",
        "MiB",
        1 << 20,
        counted=20_000,
    ),
)


class Measurement(NamedTuple):
    """One round of one competitor: seconds per call (of a list: of the whole list), bytes of memory."""

    case: str
    system: str
    verb: str
    round: int
    count: int
    cpu: float = 0.0
    wall: float = 0.0
    memory: int = 0
    start: float = 0.0

    @property
    def who(self) -> str:
        """The line of the table this belongs to."""
        return f"{self.system}:split" if self.verb == "list_split" else self.system


def case_named(name: str) -> Case:
    """The case with this name."""
    return next(case for case in CASES if case.name == name)
