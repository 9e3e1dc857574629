"""
CPU per small operation: the wire lane and the public store beside obstore and aiobotocore, in interleaved rounds.

    python -m benchmarks.micro.lane --rounds 11                    on the harness's null server
    python -m benchmarks.micro.lane --url http://127.0.0.1:9000    on another one

What is measured is the client. Each competitor runs in a process of its own and is asked for one round at a time;
printed are medians of CPU per operation, their quartiles, and medians of the per-round ratios to the first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

OPERATIONS = ("get", "put", "head", "delete")
BODY = b'{"id":"user123","table_name":"users","fields":{"email":"a@b.c","name":"' + b"N" * 340 + b'"}}'
METADATA = {"ddao-type": "object", "ddao-table": "users", "ddao-id": "u1", "ddao-timestamp": "2026-01-01T00:00:00Z"}
BUCKET = "bkt"
Call = Callable[[str, str], Awaitable[Any]]


async def wire_lane(url: str, stack: AsyncExitStack) -> Call:
    """`WireLane.send`, without the store above it."""
    from ddao_async.config import Credentials, S3Settings
    from ddao_async.wire.client import WireLane
    from ddao_async.wire.endpoint import endpoint_for
    from ddao_async.wire.request import Request

    settings = S3Settings(bucket=BUCKET, endpoint=url, region="us-east-1", max_connections=256)

    async def source() -> Credentials:
        return Credentials("AKIDEXAMPLE", "secret")

    lane = WireLane(settings, endpoint_for(settings), source, time.time)
    stack.push_async_callback(lane.close)
    loop = asyncio.get_running_loop()

    async def call(operation: Any, key: str) -> Any:
        if operation == "put":
            request = Request(operation="put", key=key, body=BODY, metadata=METADATA, content_type="application/json")
        else:
            request = Request(operation=operation, key=key)
        return await lane.send(request, loop.time() + 30)

    return call


async def store(url: str, stack: AsyncExitStack) -> Call:
    """The public `S3Adapter`."""
    from ddao_async.storage.s3 import S3Adapter

    found = S3Adapter.from_url(f"s3://{BUCKET}?endpoint={url}&region=us-east-1&max_connections=256")
    adapter = await stack.enter_async_context(found)
    methods = {"get": adapter.get, "head": adapter.head, "delete": adapter.delete}

    async def call(operation: str, key: str) -> Any:
        if operation == "put":
            return await adapter.put(key, BODY, metadata=METADATA, content_type="application/json")
        return await methods[operation](key)

    return call


async def obstore(url: str, _stack: AsyncExitStack) -> Call:
    """obstore (Rust)."""
    from obstore.store import S3Store

    client = S3Store(
        BUCKET,
        endpoint=url,
        region="us-east-1",
        access_key_id="AKIDEXAMPLE",
        secret_access_key="secret",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )

    async def call(operation: str, key: str) -> Any:
        match operation:
            case "get":
                return await (await client.get_async(key)).bytes_async()
            case "put":
                return await client.put_async(
                    key, BODY, attributes=dict(METADATA) | {"Content-Type": "application/json"}
                )
            case "head":
                return await client.head_async(key)
            case _:
                return await client.delete_async(key)

    return call


async def aiobotocore(url: str, stack: AsyncExitStack) -> Call:
    """aiobotocore."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    context: Any = get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=AioConfig(max_pool_connections=256, s3={"addressing_style": "path"}),
    )
    client: Any = await stack.enter_async_context(context)

    async def call(operation: str, key: str) -> Any:
        match operation:
            case "get":
                return await (await client.get_object(Bucket=BUCKET, Key=key))["Body"].read()
            case "put":
                return await client.put_object(
                    Bucket=BUCKET, Key=key, Body=BODY, Metadata=METADATA, ContentType="application/json"
                )
            case "head":
                return await client.head_object(Bucket=BUCKET, Key=key)
            case _:
                return await client.delete_object(Bucket=BUCKET, Key=key)

    return call


COMPETITORS = {"lane": wire_lane, "store": store, "obstore": obstore, "aiobotocore": aiobotocore}


async def serve(name: str, url: str, concurrency: int) -> None:
    """Run the rounds that the parent asks for: a line `operation count` in, CPU and wall seconds per operation out."""
    async with AsyncExitStack() as stack:
        call = await COMPETITORS[name](url, stack)
        for line in iter(sys.stdin.readline, ""):
            operation, count = line.split()
            keys = iter([f"p/tables/users/objects/u{at:08d}.json" for at in range(int(count))])

            async def work(operation: str = operation, keys: Any = keys) -> None:
                for key in keys:
                    await call(operation, key)

            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(work() for _ in range(concurrency)))
            result = ((time.process_time() - cpu) / int(count), (time.perf_counter() - wall) / int(count))
            print(json.dumps(result), flush=True)


def main() -> None:
    """Read the arguments; run a null server where none is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="an S3 endpoint with a bucket `bkt`; left out: a null server of its own")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--competitors", default="lane,store,obstore,aiobotocore")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        if options.loop == "uvloop":
            import uvloop

            uvloop.run(serve(options.serve, options.url, options.concurrency))
        else:
            asyncio.run(serve(options.serve, options.url, options.concurrency))
        return
    if options.url is None:
        null = [sys.executable, "-m", "benchmarks.null_server"]
        with subprocess.Popen(null, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            options.url = server.stdout.readline().split()[-1]
            compare(options)
            server.stdin.close()
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Ask each competitor for a round, in turn, and print the table."""
    names = options.competitors.split(",")
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
    workers = {
        name: subprocess.Popen(
            [sys.executable, "-m", "benchmarks.micro.lane", *sys.argv[1:], "--url", options.url, "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in names
    }

    def ask(name: str, operation: str, count: int) -> float:
        worker = workers[name]
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(f"{operation} {count}\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())[0] * 1e6

    for operation in OPERATIONS:
        rounds: dict[str, list[float]] = {name: [] for name in names}
        for at in range(options.rounds + 1):
            for name in names:
                count = options.count // 10 if name == "aiobotocore" else options.count
                figure = ask(name, operation, count)
                if at:
                    rounds[name].append(figure)
        first = rounds[names[0]]
        for name in names:
            figures = rounds[name]
            low, _, high = statistics.quantiles(figures, n=4)
            ratio = statistics.median(other / own for other, own in zip(figures, first, strict=True))
            print(
                f"{operation:8}{name:14}{statistics.median(figures):9.1f} µs   {low:.1f} to {high:.1f}   x{ratio:.2f}"
            )
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()


if __name__ == "__main__":
    main()
