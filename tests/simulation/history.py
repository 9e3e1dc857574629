"""
What happened in one run, as the bucket showed it, and whether that is allowed (protocol.md, section 9).

Every change of a committed state is one `Change`: an instant, the documents that changed then, and the operation whose
request made it. A `History` collects changes and operations and judges them when all is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .serial import Step, explain

REFUSED = frozenset(("exists", "duplicate", "missing", "conflict", "aborted", "failed"))
"""Outcomes that promise that nothing happened."""


FOREIGN = "foreign"
"""Stands for the revision of a document that another tool wrote, which has none."""


class Violation(AssertionError):
    """The run broke an invariant; the message says which."""


@dataclass(frozen=True)
class State:
    """One committed document, as the bucket holds it."""

    revision: str
    fields: dict[str, Any]
    tags: dict[str, str]


@dataclass
class Operation:
    """
    One call of a client.

    `reads` is what it was shown (id to revision), `intended` what it asked for (id to fields, None: delete), `seen`
    are plain reads, `hits` the answer of a search: (column, value, ids). `outcome` is `crashed` until it returns.
    """

    kind: str
    client: str
    start: int
    end: int | None = None
    outcome: str = "crashed"
    reads: dict[str, str | None] = field(default_factory=dict)
    intended: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    seen: dict[str, str | None] = field(default_factory=dict)
    hits: tuple[str, str, list[str]] | None = None

    def __str__(self) -> str:
        shown = f"reads {self.reads} " if self.reads else ""
        asked = f"asks {self.intended} " if self.intended else ""
        seen = f"seen {self.seen} " if self.seen else ""
        hits = f"hits {self.hits} " if self.hits else ""
        return f"{self.start}-{self.end} {self.client} {self.kind} {shown}{asked}{seen}{hits}-> {self.outcome}"


@dataclass
class Sent:
    """What an operation knew when it sent a request: the reads and intentions that the request rests on."""

    operation: Operation
    reads: dict[str, str | None]
    intended: dict[str, dict[str, Any] | None]


@dataclass
class Change:
    """One instant at which committed states changed, and the request that did it."""

    step: int
    sent: Sent | None
    before: dict[str, State | None]
    after: dict[str, State | None]


class History:
    """
    The committed states of every document over time, and the operations that ran meanwhile.

    Args:
        initial: What was there at step 0.
    """

    def __init__(self, initial: dict[str, State | None]) -> None:
        self.logs: dict[str, list[tuple[int, State | None]]] = {doc: [(0, state)] for doc, state in initial.items()}
        self.changes: list[Change] = []
        self.operations: list[Operation] = []

    def now(self, id: str) -> State | None:
        return self.logs[id][-1][1]

    def record(self, step: int, sent: Sent | None, after: dict[str, State | None]) -> None:
        """Committed states changed. A revision that was replaced must never be current again."""
        change = Change(step, sent, {doc: self.now(doc) for doc in after}, after)
        for doc, state in after.items():
            log = self.logs[doc]
            if state is not None and any(s is not None and s.revision == state.revision for _, s in log):
                raise Violation(f"{doc} is {state.revision} again, after {[s and s.revision for _, s in log]}")
            log.append((step, state))
        self.changes.append(change)

    def during(self, id: str, operation: Operation) -> list[State | None]:
        """The committed states of a document while an operation ran."""
        log, end = self.logs[id], operation.end
        return [
            state
            for i, (step, state) in enumerate(log)
            if (end is None or step <= end) and (i + 1 == len(log) or log[i + 1][0] >= operation.start)
        ]

    def check(self) -> None:
        """Judge everything. Raises Violation."""
        steps: list[Step] = []
        number_of: dict[int, int] = {}
        by_operation: dict[int, list[Change]] = {}
        for change in self.changes:
            if change.sent is None:
                raise Violation(f"{change.after} appeared at {change.step} and nobody asked for it")
            by_operation.setdefault(id(change.sent.operation), []).append(change)
        for operation in self.operations:
            changes = by_operation.get(id(operation), [])
            self._check_reads(operation)
            self._check_effect(operation, changes)
            if changes:
                number_of[id(changes[0])] = len(steps)
                end = operation.end if operation.outcome == "ok" and operation.end else float("inf")
                writes = {i: state and state.revision for i, state in changes[0].after.items()}
                steps.append(Step(str(operation), operation.start, end, dict(changes[0].sent.reads), writes))
            elif operation.outcome == "ok" and operation.kind == "transaction":
                steps.append(Step(str(operation), operation.start, operation.end or 0, dict(operation.reads)))
        if reason := explain(steps, self._versions(number_of)):
            raise Violation(f"not serializable: {reason}")

    def _versions(self, number_of: dict[int, int]) -> dict[str, list[tuple[str | None, int | None]]]:
        versions: dict[str, list[tuple[str | None, int | None]]] = {
            doc: [(log[0][1] and log[0][1].revision, None)] for doc, log in self.logs.items()
        }
        for change in self.changes:
            for doc, state in change.after.items():
                versions[doc].append((state and state.revision, number_of[id(change)]))
        return versions

    def _check_effect(self, operation: Operation, changes: list[Change]) -> None:
        """Success took effect once, a refusal never, anything else at most once; and as it was asked."""
        if len(changes) > 1:
            raise Violation(f"took effect at {[c.step for c in changes]}: {operation}")
        if changes and operation.outcome in REFUSED:
            raise Violation(f"reported {operation.outcome} and took effect at {changes[0].step}: {operation}")
        if operation.outcome == "ok" and not changes:
            self._check_idle(operation)
        if changes and operation.outcome == "ok" and operation.end is not None and changes[0].step > operation.end:
            raise Violation(f"reported ok and took effect later, at {changes[0].step}: {operation}")
        for change in changes:
            assert change.sent is not None
            intended = change.sent.intended
            for doc, state in change.after.items():
                if doc not in intended or (state and state.fields) != intended[doc]:
                    raise Violation(f"wrote {doc} = {state and state.fields} instead: {operation}")
            for doc, fields in intended.items():
                if doc not in change.after and (fields is not None or self._was_there(doc, change)):
                    raise Violation(f"{doc} did not change with {sorted(change.after)}: {operation}")

    def _was_there(self, id: str, change: Change) -> bool:
        states = [state for step, state in self.logs[id] if step < change.step]
        return states[-1] is not None

    def _check_idle(self, operation: Operation) -> None:
        """Reported success, and nothing was changed by it."""
        asked = {doc: fields for doc, fields in operation.intended.items() if fields is not None}
        if asked:
            raise Violation(f"lost: {operation}")
        for doc in operation.intended:
            # A delete whose answer was lost, and that then found the document gone, succeeded.
            if all(state is not None for state in self.during(doc, operation)):
                raise Violation(f"deleted nothing: {operation}")

    def _check_reads(self, operation: Operation) -> None:
        """Every read returns a state committed at some time during it."""
        for doc, revision in operation.seen.items():
            if revision not in [state and state.revision for state in self.during(doc, operation)]:
                raise Violation(f"{doc} was never {revision} meanwhile: {operation}")
        if operation.hits is not None:
            self._check_hits(operation, *operation.hits)
        match operation.outcome:
            case "exists":
                if not any(self.during(next(iter(operation.intended)), operation)):
                    raise Violation(f"'exists' and never existed: {operation}")
            case "missing":
                if all(self.during(next(iter(operation.intended)), operation)):
                    raise Violation(f"'missing' and was always there: {operation}")
            case "duplicate":
                self._check_duplicate(operation)
            case _:
                pass

    def _check_hits(self, operation: Operation, column: str, value: str, ids: list[str]) -> None:
        if len(ids) != len(set(ids)):
            raise Violation(f"a document twice: {operation}")
        for doc in self.logs:
            had = [s is not None and s.fields.get(column) == value for s in self.during(doc, operation)]
            if (all(had) and doc not in ids) or (doc in ids and not any(had)):
                raise Violation(f"{doc} had the value {had}: {operation}")

    def _check_duplicate(self, operation: Operation) -> None:
        """Another document had a unique value that this operation wanted, or it wanted one twice itself."""
        wanted = [(doc, fields["u"]) for doc, fields in operation.intended.items() if fields and fields.get("u")]
        values = [value for _, value in wanted]
        if len(set(values)) < len(values):
            return
        for doc, value in wanted:
            for other in self.logs:
                if other != doc and any(s and s.fields.get("u") == value for s in self.during(other, operation)):
                    return
        raise Violation(f"'duplicate' and nobody had the value: {operation}")
