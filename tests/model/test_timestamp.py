"""The two times of a document as datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ddao_async.errors import CorruptDocumentError
from ddao_async.model.timestamp import instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T10:17:41.946289548Z", datetime(2026, 11, 22, 10, 17, 41, 946289, UTC)),
        ("2026-11-22T10:17:41.9999999Z", datetime(2026, 11, 22, 10, 17, 41, 999999, UTC)),
        ("2026-11-22T10:17:41Z", datetime(2026, 11, 22, 10, 17, 41, 0, UTC)),
        ("2026-11-22T10:17:41.5+05:30", datetime(2026, 11, 22, 4, 47, 41, 500000, UTC)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("2026-11-22t10:17:41z", datetime(2026, 11, 22, 10, 17, 41, 0, UTC)),
    ],
)
def test_digits_beyond_microseconds_are_cut_and_never_means_the_first_instant(text: str, expected: datetime) -> None:
    assert instant(text) == expected
    assert instant(text).utcoffset() == timedelta(0)


def test_an_instant_beyond_pythons_range_in_utc_keeps_its_zone() -> None:
    assert instant("0001-01-01T00:00:00+05:00").utcoffset() == timedelta(hours=5)


@pytest.mark.parametrize(
    "text", ["", "2026-11-22T10:17:41", "2026-02-30T00:00:00Z", "yesterday", "2026-11-22", "2026-11-22T10:17:41.Z"]
)
def test_what_is_no_time_with_a_zone_is_corrupt(text: str) -> None:
    with pytest.raises(CorruptDocumentError, match="not a time"):
        instant(text)
