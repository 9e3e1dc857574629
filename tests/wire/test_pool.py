"""The pool: who gets which connection, what cancellation leaves, what closes when."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from fix_lane import lane_to, send
from peer import Answer, Peer, http

from ddao_async.errors import ClosedError
from ddao_async.wire.client import CREATE_IDLE_SECONDS, WireLane
from ddao_async.wire.request import Request, Unanswered, Unsent


def pool_of(lane: WireLane) -> Any:
    pool = lane._pool
    assert pool is not None
    return pool


async def settle() -> None:
    """Let closed sockets be noticed on both sides."""
    await asyncio.sleep(0.03)


def is_at_rest(lane: WireLane) -> bool:
    """Nothing is in flight, nobody waits, every connection that there is is idle."""
    pool = pool_of(lane)
    return (
        not pool._waiters
        and not pool._dials
        and set(pool._idle) == pool._connections
        and all(connection._future is None and connection._stream is None for connection in pool._connections)
    )


async def test_never_more_connections_than_allowed(peer: Peer) -> None:
    peer.say(Answer(http(200, b"x"), after=0.01))
    lane = lane_to(peer.url, max_connections=3)

    await asyncio.gather(*(send(lane) for _ in range(20)))

    assert peer.connections == 3
    assert is_at_rest(lane)
    await lane.close()


async def test_the_connection_used_last_is_used_first(peer: Peer, lane: WireLane) -> None:
    peer.say(Answer(http(200, b"x"), after=0.01))
    await asyncio.gather(*(send(lane) for _ in range(3)))
    last = peer.requests[-1].connection

    for _ in range(3):
        await send(lane)

    assert {request.connection for request in peer.requests[3:]} == {last}


async def test_who_waits_longest_is_served_first(peer: Peer) -> None:
    peer.say(Answer(http(200, b"x"), after=0.005))
    lane = lane_to(peer.url, max_connections=1)

    await asyncio.gather(*(send(lane, key=f"k{at}") for at in range(10)))

    assert [request.line.split()[1] for request in peer.requests] == [f"/bucket/k{at}" for at in range(10)]
    await lane.close()


async def test_the_wait_for_a_connection_is_part_of_the_deadline(peer: Peer) -> None:
    peer.say(Answer(b"", then="hang"))
    lane = lane_to(peer.url, max_connections=1)
    holder = asyncio.create_task(send(lane, seconds=2))
    await settle()

    with pytest.raises(Unsent) as caught:
        await send(lane, seconds=0.1)

    assert caught.value.timed_out
    assert len(peer.requests) == 1
    holder.cancel()
    await asyncio.wait([holder])
    await lane.close()


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        lane = lane_to(f"http://127.0.0.1:{taken.getsockname()[1]}")

        results = await asyncio.gather(*(send(lane) for _ in range(10)), return_exceptions=True)

        assert [type(result) for result in results] == [Unsent] * 10
        assert is_at_rest(lane)
        await lane.close()


async def test_a_connection_that_is_not_made_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                other.connect(full.getsockname())
        lane = lane_to(f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.2)

        with pytest.raises(Unsent) as caught:
            await send(lane)

        assert caught.value.timed_out
        await lane.close()
        for other in others:
            other.close()


# ---- connections that die


async def test_a_connection_that_died_idle_is_not_used(peer: Peer, lane: WireLane) -> None:
    await asyncio.gather(*(send(lane) for _ in range(3)))

    await peer.hang_up()
    await settle()

    assert (await send(lane)).status == 200


async def test_a_reused_connection_that_dies_unanswered_is_stale_and_takes_the_idle_ones_along(
    peer: Peer, lane: WireLane
) -> None:
    peer.say(Answer(http(200, b"x"), after=0.01))
    await asyncio.gather(*(send(lane) for _ in range(4)))
    peer.say(Answer(b"", then="close"), http(200, b"fresh"))

    with pytest.raises(Unanswered) as caught:
        await send(lane)
    before = peer.connections
    found = await send(lane)

    assert caught.value.stale_connection
    assert found.body == b"fresh"
    assert peer.connections == before + 1


async def test_a_creating_put_never_goes_out_on_a_connection_that_idled(peer: Peer) -> None:
    lane = lane_to(peer.url, max_connections=1)
    await send(lane)
    [connection] = pool_of(lane)._idle

    await send(lane, "put", is_create=True)
    used_at_once = peer.connections
    connection.idle_since -= CREATE_IDLE_SECONDS + 0.1
    await send(lane)
    read_on_it = peer.connections
    [connection] = pool_of(lane)._idle
    connection.idle_since -= CREATE_IDLE_SECONDS + 0.1
    await send(lane, "put", is_create=True)

    assert (used_at_once, read_on_it, peer.connections) == (1, 1, 2)
    assert is_at_rest(lane)
    await lane.close()


async def test_idle_connections_close_after_a_while(peer: Peer, lane: WireLane) -> None:
    await send(lane)
    pool_of(lane)._idle_seconds = 0.05
    await asyncio.gather(*(send(lane) for _ in range(3)))

    await asyncio.sleep(0.15)

    assert peer.open == 0
    assert not pool_of(lane)._connections
    assert pool_of(lane)._timer is None


# ---- cancellation


@pytest.mark.parametrize("uses", ["get", "large get", "large put", "stream"])
async def test_cancelled_at_any_turn_of_the_loop_nothing_is_left_behind(peer: Peer, uses: str) -> None:
    """
    The call is cancelled after 0, 1, 2, ... turns of the loop until it comes through. Whatever it waited for, the pool
    is at rest afterwards, and the next call gets its own answer.
    """
    lane = lane_to(peer.url, max_connections=1)

    async def call() -> None:
        match uses:
            case "get":
                await send(lane)
            case "large get":
                await send(lane, key="large")
            case "large put":
                await send(lane, "put", key="put", body=b"x" * 3_000_000)
            case _:
                body = await lane.open(Request(operation="get", key="large"), asyncio.get_running_loop().time() + 5)
                try:
                    while await body.read():
                        pass
                finally:
                    await body.close()

    for turns in range(2000):
        answer = http(200, b"y" * 1_000_000 if "large get" in uses or uses == "stream" else b"y")
        peer.say(Answer(answer, step=7 if uses == "get" else 0), Answer(http(200, b"own")))
        task = asyncio.create_task(call())
        for _ in range(turns):
            await asyncio.sleep(0)
            if task.done():
                break
        came_through = task.done()
        task.cancel()
        await asyncio.wait([task])
        peer.say(http(200, b"own"))

        assert (await send(lane)).body == b"own", turns
        assert is_at_rest(lane), turns
        if came_through:
            break
    await lane.close()

    assert came_through
    assert turns > 3


async def test_a_waiter_that_is_cancelled_passes_its_connection_on(peer: Peer) -> None:
    """It gets the connection and the cancellation in one turn of the loop."""
    peer.say(Answer(http(200, b"x"), after=0.01))
    lane = lane_to(peer.url, max_connections=1)
    first = asyncio.create_task(send(lane))
    await settle()
    await first
    holder = pool_of(lane).take()
    waiters = [asyncio.create_task(pool_of(lane).wait(asyncio.get_running_loop().time() + 5)) for _ in range(2)]
    await asyncio.sleep(0)

    pool_of(lane).release(holder)
    waiters[0].cancel()
    results = await asyncio.gather(*waiters, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] is holder
    pool_of(lane).release(holder)
    await lane.close()


async def test_a_call_that_is_cancelled_gives_its_place_free_at_once(peer: Peer) -> None:
    """A server that never answers holds no connection of a caller who went away."""
    lane = lane_to(peer.url, max_connections=1)
    peer.say(Answer(b"", then="hang"), http(200, b"own"))
    task = asyncio.create_task(send(lane))
    await settle()
    task.cancel()
    await asyncio.wait([task])

    found = await send(lane, seconds=1)

    assert found.body == b"own"
    assert peer.connections == 2
    await lane.close()


async def test_a_waiter_that_is_cancelled_leaves_the_line(peer: Peer) -> None:
    lane = lane_to(peer.url, max_connections=1)
    peer.say(Answer(b"", then="hang"))
    tasks = [asyncio.create_task(send(lane)) for _ in range(3)]
    await settle()
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])

    assert len(pool_of(lane)._waiters) == 1
    await lane.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_waiter_that_is_cancelled_while_the_connection_is_made(peer: Peer, lane: WireLane) -> None:
    task = asyncio.create_task(send(lane))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await settle()

    assert is_at_rest(lane)
    assert (await send(lane)).status == 200


async def test_a_response_that_came_keeps_its_connection_though_the_caller_is_cancelled(
    peer: Peer, lane: WireLane
) -> None:
    await send(lane)
    [connection] = pool_of(lane)._idle
    task = asyncio.create_task(send(lane))
    while not pool_of(lane)._idle:
        await asyncio.sleep(0)
    while connection._future is not None or connection not in pool_of(lane)._idle:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert (await send(lane)).status == 200
    assert peer.connections == 1


# ---- closing


async def test_closing_ends_what_is_going_on(peer: Peer) -> None:
    peer.say(Answer(b"", then="hang"))
    lane = lane_to(peer.url, max_connections=1)
    sent = asyncio.create_task(send(lane))
    await settle()
    waiting = asyncio.create_task(send(lane))
    await settle()

    await lane.close()
    await lane.close()
    results = await asyncio.gather(sent, waiting, return_exceptions=True)

    assert isinstance(results[0], Unanswered)
    assert isinstance(results[1], ClosedError)
    await settle()
    assert peer.open == 0


async def test_closing_leaves_no_task_no_timer_and_no_warning(peer: Peer) -> None:
    before = asyncio.all_tasks()
    lane = lane_to(peer.url)
    peer.say(http(200, b"x" * 1_000_000))
    await asyncio.gather(*(send(lane) for _ in range(5)))
    pool = pool_of(lane)
    body = await lane.open(Request(operation="get", key="k"), asyncio.get_running_loop().time() + 5)
    await body.read()

    await lane.close()
    with contextlib.suppress(Unanswered):
        while await body.read():
            pass
    del body
    gc.collect()

    assert pool._timer is None
    assert not pool._connections
    assert {task for task in asyncio.all_tasks() if "_accept" not in repr(task)} <= before


PROGRAM = """
    import asyncio, gc, sys, warnings
    sys.path.insert(0, {tests!r})
    warnings.simplefilter("error")
    from fix_lane import lane_to, send
    from peer import Answer, http, peer_at

    async def main(close):
        async with peer_at() as peer:
            lane = lane_to(peer.url)
            await asyncio.gather(*(send(lane) for _ in range(5)))
            await lane.close()

    for loop in {loops}:
        if loop == "uvloop":
            import uvloop
            uvloop.run(main(True))
        else:
            asyncio.run(main(True))
        gc.collect()
    print("clean")
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    tests = str(Path(__file__).parent.parent)
    source = textwrap.dedent(program).replace("{tests!r}", repr(tests))
    return subprocess.run([sys.executable, "-X", "dev", "-c", source], capture_output=True, text=True, timeout=60)


def test_both_event_loops_end_without_a_warning() -> None:
    pytest.importorskip("uvloop")
    result = run(PROGRAM.replace("{loops}", '("asyncio", "uvloop", "asyncio")'))

    assert (result.stdout, result.stderr) == ("clean\n", "")


FORK = """
    import asyncio, os, sys
    sys.path.insert(0, {tests!r})
    from fix_lane import lane_to, send
    from peer import http, peer_at
    from ddao_async.errors import ClosedError

    async def main():
        async with peer_at() as peer:
            peer.say(http(200, b"x"))
            lane = lane_to(peer.url)
            await asyncio.gather(*(send(lane) for _ in range(3)))
            [*held] = lane._pool._connections
            numbers = [connection._transport.get_extra_info("socket").fileno() for connection in held]
            child = os.fork()
            if child == 0:
                code = 0
                for number in numbers:
                    if os.readlink(f"/proc/self/fd/{number}") != "/dev/null":
                        code |= 1
                async def use():
                    try:
                        await send(lane)
                    except ClosedError:
                        return 0
                    return 2
                code |= asyncio.run(use())
                for connection in held:
                    connection.close()
                os._exit(code)
            _, status = os.waitpid(child, 0)
            found = await asyncio.gather(*(send(lane) for _ in range(3)))
            print(os.waitstatus_to_exitcode(status), [answer.body for answer in found], peer.connections)
            await lane.close()

    asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_drops_every_socket_and_the_parent_goes_on() -> None:
    result = run(FORK)

    assert result.stdout == "0 [b'x', b'x', b'x'] 3\n", result.stderr
