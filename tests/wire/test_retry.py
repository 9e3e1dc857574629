"""The taxonomy of outcomes, row by row, and how often, how long and how much is repeated."""

from __future__ import annotations

import pytest

from ddao_async.wire.request import Request, Response, Unanswered, Unsent
from ddao_async.wire.retry import (
    Outcome,
    Policy,
    RetryBudget,
    Verdict,
    can_teach,
    is_throttled,
    verdict_of,
    wait_before_repeating,
)

GET = Request(operation="get", key="k")


def answer(status: int, code: str | None = None, **fields: object) -> Response:
    return Response(status=status, code=code, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (answer(200), Verdict.DONE),
        (answer(204), Verdict.DONE),
        (answer(206), Verdict.DONE),
        (answer(304), Verdict.DONE),
        (answer(416, "InvalidRange"), Verdict.DONE),
        (answer(200, "InternalError"), Verdict.IN_DOUBT),
        (answer(200, "SlowDown"), Verdict.NOT_APPLIED),
        (answer(301, "PermanentRedirect"), Verdict.FINAL),
        (answer(400, "InvalidArgument"), Verdict.FINAL),
        (answer(400, "RequestTimeout"), Verdict.NOT_APPLIED),
        (answer(400, "BadDigest"), Verdict.NOT_APPLIED),
        (answer(403), Verdict.FINAL),
        (answer(404, "NoSuchKey"), Verdict.FINAL),
        (answer(408), Verdict.IN_DOUBT),
        (answer(409, "ConditionalRequestConflict"), Verdict.NOT_APPLIED),
        (answer(409, "OperationAborted"), Verdict.NOT_APPLIED),
        (answer(409, "BucketAlreadyExists"), Verdict.FINAL),
        (answer(412, "PreconditionFailed"), Verdict.FINAL),
        (answer(429), Verdict.NOT_APPLIED),
        (answer(500, "InternalError"), Verdict.IN_DOUBT),
        (answer(501, "NotImplemented"), Verdict.FINAL),
        (answer(502), Verdict.IN_DOUBT),
        (answer(503), Verdict.NOT_APPLIED),
        (answer(503, "SlowDown"), Verdict.NOT_APPLIED),
        (answer(504), Verdict.IN_DOUBT),
        (answer(522), Verdict.IN_DOUBT),
        (Unsent("refused"), Verdict.NOT_APPLIED),
        (Unsent("slow", timed_out=True), Verdict.NOT_APPLIED),
        (Unanswered("cut"), Verdict.IN_DOUBT),
    ],
)
def test_each_outcome_has_its_verdict(outcome: Outcome, verdict: Verdict) -> None:
    assert verdict_of(outcome) is verdict


def wait(request: Request, outcome: Outcome, remaining: float = 30.0, drawn: float = 0.5) -> float | None:
    return wait_before_repeating(request, outcome, Policy(), remaining=remaining, random=lambda: drawn)


def test_what_is_done_or_refused_is_not_repeated() -> None:
    for outcome in (answer(200), answer(304), answer(403), answer(404), answer(412), answer(501)):
        assert wait(GET, outcome) is None


def test_a_creating_put_is_repeated_only_after_an_answer_or_when_it_was_never_sent() -> None:
    create = Request(operation="put", key="k", if_none_match="*", is_create=True)

    for outcome in (Unanswered("cut"), answer(500), answer(502), answer(504), answer(408)):
        assert wait(create, outcome) is None
    for outcome in (Unsent("refused"), answer(503), answer(429), answer(409, "ConditionalRequestConflict")):
        assert wait(create, outcome) is not None


def test_waits_are_drawn_from_a_window_that_doubles_up_to_its_cap() -> None:
    windows = [wait(Request(operation="get", attempt=attempt), answer(503), drawn=0.999999) for attempt in range(1, 6)]

    assert [round(window or 0, 3) for window in windows] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert wait(GET, answer(503), drawn=0.0) == 0.0
    long = wait_before_repeating(
        Request(operation="get", attempt=30), answer(503), Policy(max_attempts=99), remaining=99, random=lambda: 1.0
    )
    assert long == 5.0


def test_attempts_and_time_end() -> None:
    assert wait(Request(operation="get", attempt=6), answer(503)) is None
    assert wait(Request(operation="get", attempt=5), answer(503)) is not None
    assert wait(GET, answer(503), remaining=0.01) is None


def test_retry_after_comes_before_the_jitter_and_is_bounded() -> None:
    assert wait(GET, answer(503, retry_after=3.0), drawn=0.0) == 3.0
    assert wait(GET, answer(503, retry_after=3.0), remaining=2.0) is None
    assert wait(GET, answer(503, retry_after=3600.0), drawn=0.0) == 20.0


def test_a_stale_connection_is_replaced_at_once() -> None:
    assert wait(GET, Unanswered("closed", stale_connection=True)) == 0.0
    assert wait(Request(operation="get", attempt=2), Unanswered("closed", stale_connection=True)) != 0.0


def test_the_budget_ends_repetitions_when_nothing_works_and_recovers() -> None:
    budget = RetryBudget(capacity=20.0)

    assert [budget.take(answer(500)) for _ in range(5)] == [True, True, True, True, False]
    for _ in range(5):
        budget.give_back()
    assert budget.take(answer(500))
    assert not budget.take(answer(500))
    budget.give_back(3)
    assert [budget.take(answer(503)) for _ in range(4)] == [True, True, True, False]
    for _ in range(100):
        budget.give_back()
    assert budget.tokens == 20.0
    assert [budget.take(Unsent("slow", timed_out=True)) for _ in range(3)] == [True, True, False]


def test_what_a_refusal_can_teach() -> None:
    for code in ("ExpiredToken", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "PermanentRedirect"):
        assert can_teach(answer(400, code))
    assert can_teach(answer(301))
    assert not can_teach(answer(403, "AccessDenied"))


def test_throttling_is_recognised() -> None:
    assert is_throttled(answer(503))
    assert is_throttled(answer(429))
    assert is_throttled(answer(400, "SlowDownWrite"))
    assert not is_throttled(answer(500))
    assert not is_throttled(Unsent("x"))
