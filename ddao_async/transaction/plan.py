"""
What a commit must do, decided from what the transaction read and wrote (protocol.md, section 4). Pure.

    read a, read b, write b      lock b, validate a, decide, roll b forward
    read k, l, both missing      lock l like a delete, validate k: no etag shows that a missing key came and went
    read and write a only        one conditional write, no transaction
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ..model.body import Versioned, visible

Key = tuple[str, str]
"""Table and id."""


class Put(msgspec.Struct, frozen=True):
    """New fields for a key. `renew`: for a new document, the one read having been deleted before."""

    fields: bytes
    renew: bool = False


class Erase(msgspec.Struct, frozen=True):
    """No document for a key."""


Write = Put | Erase
ERASE = Erase()


class Plan(msgspec.Struct, frozen=True):
    """
    What to do, each in this order.

    Attributes:
        single: The only key, written and nothing else read: no transaction is needed.
        locks: Keys to prewrite, with what shall become of them.
        checks: Keys that must still be as they were read; a missing one comes first and is looked at alone.
    """

    single: tuple[Key, Write] | None = None
    locks: tuple[tuple[Key, Write], ...] = ()
    checks: tuple[Key, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.single is None and not self.locks and not self.checks


def plan(seen: Mapping[Key, Versioned | None], writes: Mapping[Key, Write]) -> Plan:
    """
    Plan a commit.

    Args:
        seen: What every key that was read or written held (None: missing); settled.
        writes: What shall become of keys; each has been seen.
    """
    locks = {key: write for key, write in writes.items() if not _is_idle(seen[key], write)}
    if len(seen) == 1:
        return Plan(single=next(iter(locks.items()), None))
    read = sorted(key for key in seen if key not in locks)
    missing = [key for key in read if seen[key] is None]
    locks |= dict.fromkeys(missing[1:], ERASE)
    checks = missing[:1] + [key for key in read if seen[key] is not None]
    return Plan(locks=tuple(sorted(locks.items(), key=lambda lock: lock[0])), checks=tuple(checks))


def _is_idle(held: Versioned | None, write: Write) -> bool:
    """Deleting what is not there changes nothing; that it is not there remains to be checked."""
    return isinstance(write, Erase) and (held is None or held.document.absent)


def is_unchanged(seen: Versioned | None, now: Versioned | None) -> bool:
    """Whether a key still holds what was read: the same bytes, or only a fence or a rollback since then."""
    if seen is None or now is None:
        return seen is now
    if seen.version == now.version:
        return True
    before, after = visible(seen.document), visible(now.document)
    if before is None or after is None or now.document.intent is not None:
        return False
    return before.revision is not None and before.revision == after.revision


def claimed_twice(values: Iterable[tuple[Key, Mapping[str, str | None]]], unique: Mapping[str, set[str]]) -> str | None:
    """
    The unique index of which two of these documents have the same value; None: none.

    Args:
        values: Encoded values of each document.
        unique: The unique indexes of each table.
    """
    taken: set[tuple[str, str, str]] = set()
    for (table, _), encoded in values:
        for index in unique[table]:
            value = encoded.get(index)
            if value is None:
                continue
            if (table, index, value) in taken:
                return index
            taken.add((table, index, value))
    return None
