"""Ids that sort by the time of their making."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ddao_async.model.uuid7 import uuid7

bits = st.integers(0, 2**62 - 1)


@given(st.floats(0, 2**33), bits)
def test_it_is_a_uuid_of_version_7_with_the_time_in_front(seconds: float, random: int) -> None:
    made = UUID(uuid7(seconds, random))

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(seconds * 1_000_000) // 1000
    assert made.int & (2**62 - 1) == random


@given(st.integers(0, 2**52), st.integers(1, 10**9), bits, bits)
def test_a_later_one_sorts_after(micros: int, later: int, one: int, other: int) -> None:
    first, second = micros / 1e6, (micros + later) / 1e6
    if int(first * 1_000_000) < int(second * 1_000_000):
        assert uuid7(first, one) < uuid7(second, other)
