"""
Which entries and claims a write of one document needs, and which it leaves behind (protocol.md, section 3).

    _uniques/email/<value>.json      {"id": "ann", "nonce": "5f..7"}        claimed for the document "ann"
                                     {"id": null, "nonce": "5f..8"}         released, free to take

A document records the tag of each live entry (claim) of its own in `tags`. A write places a new one for each value that
changed, carries the others' tags along, and drops the tags of indexes that are no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec


class Claim(msgspec.Struct, frozen=True):
    """
    One value of a unique column, taken for a document; live if that document's committed value is this one.

    `id` is None in a released one. `dying`: an unconditional delete may be on its way.
    """

    id: str | None
    nonce: str
    dying: str | None = None


encode_claim = msgspec.json.Encoder().encode
decode_claim = msgspec.json.Decoder(Claim).decode


class Place(msgspec.Struct, frozen=True):
    """An entry (a claim, if unique) of one document: its index, encoded value, and its tag where it has one yet."""

    index: str
    value: str
    unique: bool
    tag: str = ""


def needed(
    indexes: Mapping[str, bool],
    complete: Set[str],
    new: Mapping[str, str | None],
    old: Mapping[str, str | None],
    tags: Mapping[str, str],
) -> tuple[dict[str, str], list[Place]]:
    """
    What a write must place, and the tags that it carries along.

    Args:
        indexes: Those that writers keep entries (False) or claims (True) for.
        complete: Those of them that are complete: an unchanged value without a tag gets an entry too. While an index
            is being built that is the builder's work.
        new: Encoded values of the document to be written; None: no entry.
        old: Encoded values of the document in place; empty if there is none.
        tags: Tags of the document in place.
    """
    kept: dict[str, str] = {}
    places: list[Place] = []
    for index, unique in indexes.items():
        value = new.get(index)
        if value is None:
            continue
        if value != old.get(index) or (index in complete and index not in tags):
            places.append(Place(index, value, unique))
        elif index in tags:
            kept[index] = tags[index]
    return kept, places


def left_behind(
    indexes: Mapping[str, bool], values: Mapping[str, str | None], tags: Mapping[str, str], live: Mapping[str, str]
) -> list[Place]:
    """
    Entries and claims that only a dead body needs.

    Args:
        indexes: As in `needed`.
        values: Encoded values of the dead body.
        tags: Its tags.
        live: Tags of the body in place; empty if there is none.
    """
    return [
        Place(index, value, indexes[index], tag)
        for index, tag in tags.items()
        if index in indexes and live.get(index) != tag and (value := values.get(index)) is not None
    ]
