"""
When to try again: (what happened, which attempt, how much time is left) -> wait, stop, or outcome unknown.

    Unsent                              nothing took effect            repeat
    Unanswered, 408, 500, 502, 504      may take effect, even later    repeat, but never a creating PUT, nor a
                                                                       DELETE without a condition
    429, 503, 409 that says "try again" answered, not applied          repeat
    any other answer                    final

A write with an attempt that may take effect behind it is in doubt: a refusal of a later attempt then proves nothing,
as its own first attempt may be what it met (protocol, "Lost responses").
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from .request import Request, Response, Unanswered, Unsent

WRITES = frozenset(("put", "delete", "delete_objects", "copy", "complete_upload", "create_bucket"))
"""Operations that change what others see. (A part or a begun upload shows nothing until it is completed.)"""

BASE_DELAY = 0.05
MAX_DELAY = 5.0
MAX_RETRY_AFTER = 20.0

_LOST_STATUSES = frozenset((408, 500, 502, 504, 520, 521, 522, 523, 524))
_BUSY_STATUSES = frozenset((429, 503))
_TRY_AGAIN_CODES = frozenset(
    (
        "ConditionalRequestConflict",  # 409 on a conditional PUT: somebody else is writing this key right now
        "OperationAborted",  # 409: a conflicting operation is in progress
        "RequestTimeout",  # 400: the body did not arrive in time, so nothing was stored
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ServerBusy",
        "BadDigest",  # damaged on the way: the server compared the checksum and stored nothing
        "XAmzContentSHA256Mismatch",
        "IncompleteBody",
    )
)
_LEARN_CODES = frozenset(
    (
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "TemporaryRedirect",
        "IllegalLocationConstraintException",
    )
)


class Verdict(Enum):
    """What one attempt came to."""

    DONE = "done"
    FINAL = "refused"
    NOT_APPLIED = "not applied"
    IN_DOUBT = "in doubt"


Outcome = Response | Unsent | Unanswered


def verdict_of(outcome: Outcome) -> Verdict:
    """Read one attempt's outcome by the table above. A 200 whose body is an error is an error."""
    match outcome:
        case Unsent():
            return Verdict.NOT_APPLIED
        case Unanswered():
            return Verdict.IN_DOUBT
        case _:
            pass
    status, code = outcome.status, outcome.code
    if status < 300 and code is None:
        return Verdict.DONE
    if status in (304, 416):  # answers to a get: unchanged; the range begins after the end
        return Verdict.DONE
    if code in _TRY_AGAIN_CODES or status in _BUSY_STATUSES:
        return Verdict.NOT_APPLIED
    if status in _LOST_STATUSES or status < 300:
        return Verdict.IN_DOUBT
    return Verdict.FINAL


def can_teach(response: Response) -> bool:
    """Does a refusal say something that makes a second attempt worth while: newer credentials, time, region?"""
    if response.code in _LEARN_CODES or response.status in (301, 307):
        return True
    # An answer to HEAD has no body, so no code: another region is told by a header alone.
    return response.status == 400 and response.code is None and response.region is not None


def is_throttled(outcome: Outcome) -> bool:
    """Did the server ask to slow down?"""
    return isinstance(outcome, Response) and (
        outcome.status in _BUSY_STATUSES or (outcome.code or "").startswith(("SlowDown", "Throttling", "RequestLimit"))
    )


class Policy(msgspec.Struct, frozen=True):
    """
    How often and how long. Seconds.

    Attributes:
        max_attempts: The most attempts of one call.
        base_delay: The longest first wait; it doubles with each attempt up to `max_delay`. The wait itself is drawn
            between zero and that (full jitter), so that clients which failed together do not return together.
    """

    max_attempts: int = 6
    base_delay: float = BASE_DELAY
    max_delay: float = MAX_DELAY


class RetryBudget:
    """
    Repetitions that one client may make when nothing works: 500 tokens; a repetition takes 5 (10 after a timeout, 1
    where the server asked to slow down, as the pace sees to that), and each attempt that was made gives 1 back. It
    keeps a thousand tasks from multiplying the load of a server that is down.
    """

    __slots__ = ("capacity", "tokens")

    def __init__(self, capacity: float = 500.0) -> None:
        self.capacity = capacity
        self.tokens = capacity

    def take(self, outcome: Outcome) -> bool:
        """Take the price of one repetition; False if it is not there."""
        if isinstance(outcome, Response):
            price = 1.0 if is_throttled(outcome) else 5.0
        else:
            price = 10.0 if outcome.timed_out else 5.0
        if self.tokens < price:
            return False
        self.tokens -= price
        return True

    def give_back(self, attempts: int = 1) -> None:
        """Note attempts that were made."""
        self.tokens = min(self.capacity, self.tokens + attempts)


def wait_before_repeating(
    request: Request,
    outcome: Outcome,
    policy: Policy,
    *,
    remaining: float,
    random: Callable[[], float],
) -> float | None:
    """
    Whether, and after how long, to repeat a request whose latest attempt was not DONE.

    Args:
        request: With the number of the latest attempt.
        remaining: Seconds until the call's deadline.
        random: Draws from [0, 1).

    Returns:
        Seconds to wait before the next attempt; None: stop here.
    """
    match verdict_of(outcome):
        case Verdict.DONE | Verdict.FINAL:
            return None
        case Verdict.IN_DOUBT if request.is_create:
            return None  # after a delete by somebody else, its twin would bring the object back
        case Verdict.IN_DOUBT if request.operation in ("delete", "delete_objects") and request.if_match is None:
            return None  # after a create by somebody else, its twin would delete the new object
        case _:
            pass
    if request.attempt >= policy.max_attempts:
        return None
    longest = min(policy.max_delay, policy.base_delay * 2 ** (request.attempt - 1))
    delay = random() * longest
    if isinstance(outcome, Response) and outcome.retry_after is not None:
        delay += min(outcome.retry_after, MAX_RETRY_AFTER)
    if isinstance(outcome, Unanswered) and outcome.stale_connection and request.attempt == 1:
        delay = 0.0  # the server closed an idle connection: nothing is overloaded
    return delay if delay < remaining else None
