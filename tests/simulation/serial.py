"""
Is a history strictly serializable? Pure.

A history is a list of `Step`s: what an operation read, what it wrote, when it ran. The order of the versions of each
key is known (the bucket shows it), so the question is whether a graph has a cycle: writer of a version before writer of
the next; writer before reader of the same version; reader before writer of the next; and whoever ended before another
began comes before it. Only a read of "no document" leaves a choice, as a key may have been missing several times.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise, product


@dataclass
class Step:
    """One operation that took effect. `reads` and `writes` map ids to revisions, None: no document."""

    name: str
    start: float
    end: float
    reads: dict[str, str | None] = field(default_factory=dict)
    writes: dict[str, str | None] = field(default_factory=dict)


Versions = dict[str, list[tuple[str | None, int | None]]]
"""For each id its committed revisions in order, each with the number of the step that wrote it (None: set-up)."""


def explain(steps: list[Step], versions: Versions) -> str | None:
    """Why no serial order explains the history; None if one does."""
    choices = []
    for number, step in enumerate(steps):
        for doc, revision in step.reads.items():
            places = [i for i, (r, _) in enumerate(versions[doc]) if r == revision]
            if doc in step.writes:
                # whoever replaced a version read exactly that one
                written = [i for i, (_, writer) in enumerate(versions[doc]) if writer == number]
                places = [i for i in places if i + 1 in written] if written else places
            if not places:
                return f"{step.name} read {doc} as {revision}, which it did not follow"
            choices.append([(number, doc, place) for place in places])
    base = _base(steps, versions)
    cycle: list[int] = []
    for chosen in product(*choices):
        graph = [set(before) for before in base]
        for number, doc, place in chosen:
            writer = versions[doc][place][1]
            if writer is not None and writer != number:
                graph[number].add(writer)
            if place + 1 < len(versions[doc]):
                overwriter = versions[doc][place + 1][1]
                if overwriter is not None and overwriter != number:
                    graph[overwriter].add(number)
        try:
            TopologicalSorter(dict(enumerate(graph))).prepare()
        except CycleError as error:
            cycle = error.args[1]
        else:
            return None
    return "no serial order: " + " < ".join(steps[number].name for number in cycle)


def _base(steps: list[Step], versions: Versions) -> list[set[int]]:
    """For each step those that come before it, whatever was read."""
    before: list[set[int]] = [
        {other for other, earlier in enumerate(steps) if earlier.end < step.start} for step in steps
    ]
    for log in versions.values():
        writers = [writer for _, writer in log if writer is not None]
        for first, second in pairwise(writers):
            if first != second:
                before[second].add(first)
    return before
