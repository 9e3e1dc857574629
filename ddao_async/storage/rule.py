"""What a store takes: keys, metadata, conditions and ranges, by the same rules on every store."""

from __future__ import annotations

import re
from typing import cast

from ..errors import ValidationError

MAX_KEY_BYTES = 1024
_UNSAFE_IN_HEADER = re.compile(r"[^\x20-\x7e]")
_HEADER_NAME = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")


def check_key(key: str) -> None:
    """
    Refuse what cannot be a key anywhere.

    Raises:
        ValidationError: Empty, longer than 1,024 bytes of UTF-8, or not encodable (a lone surrogate).
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError as exc:
        raise ValidationError(f"The key {key!r} is not Unicode text.", hint="Keys hold no lone surrogates.") from exc
    if not 0 < size <= MAX_KEY_BYTES:
        raise ValidationError(f"A key has 1 to 1024 bytes of UTF-8, this one {size}.", hint="Choose another key.")


def check_metadata(metadata: dict[str, str] | None, content_type: str | None) -> None:
    """
    Refuse what cannot travel in a header.

    Raises:
        ValidationError: A name that is no header name, or a value that is not printable ASCII.
    """
    for name, value in (metadata or {}).items():
        if not _HEADER_NAME.match(name):
            raise ValidationError(f"{name!r} is no name for metadata.", hint="Use letters, digits and hyphens.")
        if _UNSAFE_IN_HEADER.search(value):
            raise ValidationError(f"The metadata {name!r} is not printable ASCII.", hint="Encode it, or leave it out.")
    if content_type is not None and _UNSAFE_IN_HEADER.search(content_type):
        raise ValidationError("The content type is not printable ASCII.", hint="Use e.g. application/json.")


def cut(body: bytes, range: tuple[int, int | None], size: int) -> bytes:
    """The bytes of a range out of an answer 200: some servers send just the range, others the whole object."""
    start, stop = range
    wanted = (size if stop is None else min(stop, size)) - start
    return body if len(body) <= wanted else body[start:stop]


def lowered(metadata: dict[str, str] | None) -> dict[str, str]:
    """Metadata as every store hands it out: names in lower case."""
    if not metadata:
        return {}
    if "".join(metadata).islower():  # what this library itself writes: a copy costs more
        return metadata
    return {name.lower(): value for name, value in metadata.items()}


def as_bytes(data: object) -> bytes:
    """
    What a put stores, as bytes.

    Raises:
        ValidationError: It is neither bytes nor a buffer of them. (`bytes(7)` would be seven zeros.)
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes | bytearray", data))
    raise ValidationError(f"A put takes bytes, not {type(data).__name__}.", hint="Encode it first.")


def check_conditions(if_none_match: bool, if_match: str | None) -> None:
    """
    Refuse a put that is to create and to replace.

    Raises:
        ValidationError: Both conditions were given.
    """
    if if_none_match and if_match is not None:
        raise ValidationError("A put takes if_none_match or if_match, not both.", hint="Leave one out.")


def check_range(range: tuple[int, int | None]) -> None:
    """
    Refuse an empty or backward range.

    Raises:
        ValidationError: Negative start, or a stop that is not after it.
    """
    start, stop = range
    if start < 0 or (stop is not None and stop <= start):
        raise ValidationError(f"{range!r} is no range.", hint="Use (start, stop) with 0 <= start < stop, or stop None.")
