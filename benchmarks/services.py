"""
The README's two services under load: requests a second and latency of get, find by key and insert.

    DDAO_URL='s3://bucket/bench?endpoint=http://127.0.0.1:8333' python -m benchmarks.services

Each service runs in a process of its own on uvloop, by each lane in turn; this process is its 64 clients. Prints a
Markdown table. On two cores the client, the service and the S3 server share them: compare rows, not machines.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SERVICES = {"fastapi": "app = FastAPI(", "aiohttp": "web.RouteTableDef()"}
LANES = ("wire", "aiobotocore")
USERS = 1000


def service(framework: str) -> Any:
    """The README's block of a framework, as a module."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if SERVICES[framework] in block)
    module = types.ModuleType(f"readme_{framework}")
    sys.modules[module.__name__] = module
    exec(compile(block, "README.md", "exec", dont_inherit=True), module.__dict__)
    return module


def serve(framework: str) -> None:
    """Be the service: print the port, answer until standard input ends."""
    import uvloop

    uvloop.run(_serve(framework))


async def _serve(framework: str) -> None:
    module = service(framework)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    if framework == "fastapi":
        import uvicorn

        server = uvicorn.Server(uvicorn.Config(module.app, port=0, log_level="error", access_log=False))
        running = asyncio.create_task(server.serve())
        while not server.started and not running.done():
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await ended
        server.should_exit = True
        await running
    else:
        from aiohttp import web

        runner = web.AppRunner(module.make_app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await ended
        await runner.cleanup()


@contextmanager
def served(framework: str, url: str) -> Iterator[tuple[str, int]]:
    """A service in its own process: its URL, and its process id."""
    command = [sys.executable, "-m", "benchmarks.services", "--serve", framework]
    environ = {**os.environ, "DDAO_URL": url}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ
    ) as process:
        port = process.stdout.readline().strip() if process.stdout else ""
        if not port:
            raise SystemExit(f"the {framework} service did not start")
        yield f"http://127.0.0.1:{port}", process.pid
        process.communicate()


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(
    url: str, pid: int, connections: int, requests: int, run: str
) -> list[tuple[str, float, float, float, float]]:
    """Per case: requests a second, median and 99th percentile in ms, CPU of the service in µs a request."""
    import aiohttp

    rows: list[tuple[str, float, float, float, float]] = []
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def expect(method: str, path: str, status: int, **options: Any) -> None:
            async with session.request(method, path, **options) as response:
                body = await response.read()
                if response.status != status:
                    raise SystemExit(f"{method} {path}: {response.status} {body[:300]!r}")

        def user(n: int) -> dict[str, str]:
            return {"email": f"{run}-{n}@example.com", "name": f"User {n}"}

        cases: dict[str, Callable[[int], Awaitable[None]]] = {
            "insert": lambda n: expect("PUT", f"/users/{run}-{n}", 201, json=user(n), headers={"If-None-Match": "*"}),
            "get": lambda n: expect("GET", f"/users/{run}-{n % USERS}", 200),
            "find by key": lambda n: expect("GET", f"/users/by-email/{run}-{n % USERS}@example.com", 200),
        }
        for name, case in cases.items():
            latencies: list[float] = []
            numbers = iter(range(max(requests, USERS) if name == "insert" else requests))

            async def client() -> None:
                for n in numbers:  # noqa: B023 - shared by the clients of this case on purpose
                    began = time.perf_counter()
                    await case(n)  # noqa: B023
                    latencies.append(time.perf_counter() - began)  # noqa: B023

            before, began = cpu_seconds(pid), time.perf_counter()
            await asyncio.gather(*(client() for _ in range(connections)))
            seconds, cpu = time.perf_counter() - began, cpu_seconds(pid) - before
            cuts = statistics.quantiles(latencies, n=100)
            count = len(latencies)
            rows.append((name, count / seconds, cuts[49] * 1000, cuts[98] * 1000, cpu / count * 1e6))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.services", description=__doc__)
    parser.add_argument("--url", default=os.environ.get("DDAO_URL"), help="connection string; default: DDAO_URL")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=4000, help="of each case")
    parser.add_argument("--serve", choices=SERVICES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve)
    if not options.url:
        parser.error("name a database: --url, or DDAO_URL")
    print(f"{options.connections} connections, {options.requests} requests a case\n")
    print("| service | lane | case | requests/s | median ms | p99 ms | service CPU µs/request |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for framework in SERVICES:
        for lane in LANES:
            url = options.url + ("&" if "?" in options.url else "?") + f"transport={lane}"
            run = f"{framework}-{lane}-{os.getpid()}"
            with served(framework, url) as (address, pid):
                rows = asyncio.run(load(address, pid, options.connections, options.requests, run))
            for name, rate, median, worst, cpu in rows:
                print(
                    f"| {framework} | {lane} | {name} | {rate:,.0f} | {median:.1f} | {worst:.1f} | {cpu:,.0f} |",
                    flush=True,
                )
    return None


if __name__ == "__main__":
    main()
