"""Ids for documents that were given none: UUIDs of version 7 (RFC 9562), which sort by the time of their making."""

from __future__ import annotations


def uuid7(seconds: float, random: int) -> str:
    """
    A UUIDv7 as text.

    Args:
        seconds: Now, since the epoch. Its fraction of a millisecond goes into the 12 bits after the milliseconds, so
            that ids made one after the other sort so (RFC 9562, section 6.2, method 3).
        random: 62 random bits.
    """
    micros = int(seconds * 1_000_000)
    millis, rest = divmod(micros, 1000)
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | (rest * 4096 // 1000) << 64 | 0b10 << 62 | random
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
