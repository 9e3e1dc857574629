"""
One open connection to a bucket: the lanes, and the loop around an attempt that repeats, learns, or gives up.

    first attempt (in the caller's own frame) ── done ──> answer
          └── anything else ──> `again`: wire.retry decides, storage.faults names the error

An Exchange belongs to the event loop and the process that it was made in.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from msgspec.structs import replace

from ..config import S3Settings
from ..errors import AccessDeniedError, BucketNotFoundError, ClosedError, DDAOError, StoreError
from ..wire.request import Body, Lane, Request, Response, StreamingLane, Unanswered, Unsent
from ..wire.retry import (
    WRITES,
    Outcome,
    Policy,
    RetryBudget,
    Verdict,
    can_teach,
    is_throttled,
    verdict_of,
    wait_before_repeating,
)
from .faults import Place, error_of, failure_of, is_refused_condition, unknown_outcome
from .lanes import Lanes

CLOSED_HINT = "Use it inside `async with`, in the event loop and the process that opened it."


AnyLane = TypeVar("AnyLane", bound=Lane)


class Opened(Protocol):
    """An adapter of S3, open: what its functions beyond the primitives need of it."""

    @property
    def exchange(self) -> Exchange: ...
    @property
    def prefix(self) -> str: ...


class Exchange:
    """
    The requests of one open S3Adapter.

    Attributes:
        lanes: The ways to the bucket; `lanes.hot` serves small objects.
        counts: Attempts by operation.
        policy: How often to repeat.
    """

    def __init__(self, settings: S3Settings, lanes: Lanes, counts: Counter[str]) -> None:
        self.loop = asyncio.get_running_loop()
        self.pid = os.getpid()
        self.lanes = lanes
        self.counts = counts
        self.policy = Policy(max_attempts=settings.max_attempts)
        self.place = Place(settings.bucket, lanes.endpoint.url, lanes.endpoint.region)
        self.deadline = settings.deadline
        self._budget = RetryBudget()
        self._seen = 0

    async def send(self, request: Request, lane: Lane | None = None, *, patience: float = 0.0) -> Response:
        """
        Make a call: attempts until one is answered for good. Raises what `storage.faults` makes of a refusal.

        Args:
            patience: Seconds that it may take beyond the deadline of small requests.
        """
        lane = lane or self.lanes.hot
        deadline = self.loop.time() + self.deadline + patience
        outcome = await self._attempt(lane, request, deadline)
        if verdict_of(outcome) is Verdict.DONE and isinstance(outcome, Response):
            self.note(outcome)
            return outcome
        return await self.again(lane, request, outcome, deadline)

    async def again(
        self,
        lane: AnyLane,
        request: Request,
        outcome: Outcome,
        deadline: float,
        attempt: Callable[[AnyLane, Request, float], Awaitable[Outcome]] | None = None,
    ) -> Response:
        """
        Go on after a first attempt that was not DONE.

        Args:
            outcome: What the first attempt came to.
            deadline: Loop time at which the call must be over.
            attempt: Makes another one; a plain `send` of the lane if left out.
        """
        in_doubt = has_learned = False
        while True:
            if isinstance(outcome, Response):
                self.note(outcome)
            match verdict_of(outcome):
                case Verdict.DONE if isinstance(outcome, Response):
                    return outcome
                case Verdict.FINAL if isinstance(outcome, Response):
                    if has_learned or not can_teach(outcome) or not await _learn(lane, outcome):
                        raise self._refusal(request, outcome, in_doubt=in_doubt)
                    has_learned = True
                case verdict:
                    in_doubt = in_doubt or (verdict is Verdict.IN_DOUBT and request.operation in WRITES)
                    if not await self._wait(request, outcome, deadline):
                        raise self._surrender(request, outcome, in_doubt=in_doubt)
            request = replace(request, attempt=request.attempt + 1)
            outcome = await (attempt or self._attempt)(lane, request, deadline)

    async def open(self, request: Request, lane: StreamingLane) -> Body:
        """Make a streaming get, up to the head of its answer; repeats and raises as `send` does."""
        bodies: list[Body] = []
        deadline = self.loop.time() + self.deadline

        async def attempt(lane: StreamingLane, request: Request, deadline: float) -> Outcome:
            self.counts[request.operation] += 1
            try:
                body = await lane.open(request, deadline)
            except (Unsent, Unanswered) as failure:
                return failure
            bodies.append(body)
            return body.response

        outcome = await attempt(lane, request, deadline)
        await self.again(lane, request, outcome, deadline, attempt)
        return bodies[-1]

    async def check(self, prefix: str, *, create: bool) -> None:
        """
        Ask for the bucket, and create it if it is missing and `create` is set.

        Raises:
            DDAOError: What the server's refusal means, with what to do.
        """
        try:
            await self.send(Request(operation="head_bucket"))
        except AccessDeniedError:
            # An answer to HEAD has no body that could say why: a wrong secret looks like a missing permission. A LIST
            # tells which, and may be allowed where HEAD is not (a policy for one prefix).
            await self.send(Request(operation="list", prefix=prefix, max_keys=1))
        except BucketNotFoundError:
            if not create:
                raise
            try:
                await self.send(Request(operation="create_bucket"), await self.lanes.full_lane())
            except StoreError as exc:
                if exc.code != "BucketAlreadyOwnedByYou":
                    raise

    def note(self, response: Response) -> None:
        """Learn the server's clock from an answer."""
        if response.date is not None:
            self.lanes.clock.note(response.date)

    def require_here(self) -> None:
        """
        Refuse use from another event loop or a forked child.

        Raises:
            ClosedError: It belongs elsewhere.
        """
        if self.pid != os.getpid():
            raise ClosedError("This store was opened in the parent process.", hint=CLOSED_HINT)
        if asyncio.get_running_loop() is not self.loop:
            raise ClosedError("This store is open in another event loop.", hint=CLOSED_HINT)

    async def close(self) -> None:
        """Close the lanes."""
        await self.lanes.close()

    async def _attempt(self, lane: Lane, request: Request, deadline: float) -> Outcome:
        self.counts[request.operation] += 1
        if lane is self.lanes.base:
            lane = self.lanes.hot  # which is another one since a server asked to slow down
        try:
            return await lane.send(request, deadline)
        except (Unsent, Unanswered) as failure:
            return failure

    async def _wait(self, request: Request, outcome: Outcome, deadline: float) -> bool:
        """Wait before a repetition; False if there should be none."""
        if is_throttled(outcome):
            self.lanes.slow_down()
        remaining = deadline - self.loop.time()
        delay = wait_before_repeating(request, outcome, self.policy, remaining=remaining, random=random.random)
        made = sum(self.counts.values())  # counted here: the first attempts of the hot path note nothing
        self._budget.give_back(made - self._seen)
        self._seen = made
        if delay is None or not self._budget.take(outcome):
            return False
        if delay > 0:
            await asyncio.sleep(delay)
        return True

    def _refusal(self, request: Request, response: Response, *, in_doubt: bool) -> DDAOError:
        if in_doubt:
            refused = response if is_refused_condition(request, response) else None
            last = f"an attempt got no answer, a later one {response.status} {response.code or ''}".rstrip()
            return unknown_outcome(request, self.place, refused, last)
        return error_of(request, response, self.place)

    def _surrender(self, request: Request, outcome: Outcome, *, in_doubt: bool) -> DDAOError:
        if in_doubt:
            last = f"{outcome.status} {outcome.code or ''}".rstrip() if isinstance(outcome, Response) else str(outcome)
            return unknown_outcome(request, self.place, None, last)
        if isinstance(outcome, Response):
            return error_of(request, outcome, self.place)
        error = failure_of(request, outcome, self.place)
        error.__cause__ = outcome
        return error


async def _learn(lane: Lane, response: Response) -> bool:
    learn: Callable[[Response], object] | None = getattr(lane, "learn", None)
    if learn is None:
        return False
    return bool(await learn(response))  # type: ignore[misc]
