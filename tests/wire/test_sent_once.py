"""What is not repeated once its answer is lost: requests whose twin would undo what somebody else did since."""

from __future__ import annotations

import pytest

from ddao_async.wire.request import Request, Unanswered, Unsent
from ddao_async.wire.retry import Policy, wait_before_repeating

CREATE = Request(operation="put", key="k", is_create=True)
REPLACE = Request(operation="put", key="k", if_match="e")
DELETE = Request(operation="delete", key="k")
DELETE_IF = Request(operation="delete", key="k", if_match="e")


@pytest.mark.parametrize(
    ("request_", "is_repeated"), [(CREATE, False), (REPLACE, True), (DELETE, False), (DELETE_IF, True)]
)
def test_a_lost_answer_stops_what_has_no_condition_left_to_stop_it(request_: Request, is_repeated: bool) -> None:
    lost, unsent = (
        wait_before_repeating(request_, outcome, Policy(), remaining=10.0, random=lambda: 0.5)
        for outcome in (Unanswered("cut"), Unsent("refused"))
    )

    assert (lost is not None) is is_repeated
    assert unsent is not None
