"""
What the benchmarks store: seeded documents of about 430 bytes, their keys and metadata, and large objects.

Nothing here imports more than the standard library: competitors run in environments without ddao_async. And nothing at
all before it is needed: a cold start, which is timed, needs the keys only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

TABLE = "users"
LISTED_TABLE = "many"
"""The table whose keys the null server makes up, and which the list cases fill on other servers."""

SPLIT = 8
"""Keys of the listed table start with one of this many digits, evenly: the known split of the list case."""

STORED = 2_000
"""Documents that are there to be read, on servers that do not make them up."""

LARGE_BYTES = 64 * 1024 * 1024
LARGE_KEY = "big/object.bin"
STAMP = "2026-01-01T00:00:00Z"
METADATA = {"ddao-type": "object", "ddao-table": TABLE, "ddao-timestamp": STAMP}
CONTENT_TYPE = "application/json"

_WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "knoll", "ledge")
_WORDS += ("maple", "north", "ocean", "prism", "quartz")


def document_id(index: int) -> str:
    """The id of the document with this number."""
    return f"u{index:08d}"


def document_key(id: str, table: str = TABLE) -> str:
    """Where the document lies below the prefix (layout.md)."""
    return f"tables/{table}/objects/{id}.json"


def listed_id(index: int, count: int) -> str:
    """The id of one of `count` listed documents: ids sort like their numbers, and split evenly by first digit."""
    return f"{index * SPLIT // count}{index:08d}"


def user_fields(index: int, seed: int = 1) -> dict[str, Any]:
    """The fields of one user; the same for the same index and seed."""
    import random

    draw = random.Random(seed * 1_000_003 + index)
    first, last = draw.choice(_WORDS), draw.choice(_WORDS)
    return {
        "email": f"{first}.{last}.{index}@example.com",
        "name": f"{first.title()} {last.title()}",
        "country": draw.choice(("NL", "DE", "FR", "JP", "US")),
        "age": draw.randint(18, 90),
        "active": draw.random() < 0.9,
        "score": round(draw.random() * 100, 3),
        "profile": {
            "tags": draw.sample(_WORDS, 4),
            "visits": draw.randint(0, 10_000),
            "note": " ".join(draw.sample(_WORDS, 13)),
        },
    }


def document(id: str, fields: dict[str, Any], table: str = TABLE) -> bytes:
    """A document body as the library stores it (protocol.md, section 2), about 430 bytes."""
    import json

    body = {
        "id": id,
        "table_name": table,
        "fields": fields,
        "created_at": STAMP,
        "updated_at": STAMP,
        "revision": "0192f0c1a2b3c4d5e6f7a8b9",
    }
    return json.dumps(body, separators=(",", ":")).encode()


def documents(start: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Ids with their documents, made one by one: as many as asked for cost no more memory than one."""
    for index in range(start, start + count):
        name = document_id(index)
        yield name, document(name, contents(name))


@lru_cache(maxsize=64)
def _contents(number: int) -> dict[str, Any]:
    return user_fields(number)


def contents(id: str) -> dict[str, Any]:
    """
    The fields of the document with this id: one of 64, shared by all that have the same.

    A program writes what it has just made, so it is in the processor's cache. Thousands of records made beforehand
    would not be, and writing one would cost 8 µs more.
    """
    return _contents(int(id[1:]) % 64)


def large_object(size: int = LARGE_BYTES) -> bytes:
    """Incompressible bytes, the same each time."""
    import random

    block = random.Random(7).randbytes(min(size, 1 << 20))
    return (block * (size // len(block) + 1))[:size] if size else b""
