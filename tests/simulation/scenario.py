"""
The scenarios of protocol.md, section 9: what is in the bucket at first, and what each client does.

A scenario gets a `Setup`, puts documents and garbage into the bucket through it, draws what varies from its `rng`, and
returns one program for each client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .focus import (
    Focus,
    late_twin,
    late_under_new_index,
    lost_decision,
    lost_update,
    quick_changes,
    quiet,
    small_leaps,
    sometimes_small_leaps,
)
from .scenario_document import (
    aborted_owner,
    decision_gone,
    deleting,
    one_is_missing,
    overtaken,
    reading,
    skew,
    transfers,
    updating,
    values_back,
)
from .scenario_garbage import burying, vacuuming
from .scenario_index import back_again, build_beside, build_unique, built_claims, drop_beside, lost_beside
from .scenario_value import index, leases, mixed, takeover, unique
from .setup import Setup
from .step import Program


@dataclass(frozen=True)
class Scenario:
    """
    One kind of run.

    Attributes:
        prepare: Fills the bucket and gives the programs.
        columns: Those of `x` (indexed) and `u` (unique) that the table declares.
        timed: The clock leaps by minutes, hours and days, and requests are long on their way.
        focus: Bends what goes wrong towards what this scenario is about.
    """

    prepare: Callable[[Setup], list[Program]]
    columns: str = ""
    timed: bool = False
    focus: Focus | None = None


SCENARIOS = {
    "transfers": Scenario(transfers),
    "skew": Scenario(skew),
    "reading": Scenario(reading),
    "one_is_missing": Scenario(one_is_missing, focus=quick_changes),
    "updating": Scenario(updating, focus=late_twin("/objects/a")),
    "overtaken": Scenario(overtaken, focus=lost_update),
    "decision_gone": Scenario(decision_gone),
    "aborted_owner": Scenario(aborted_owner, focus=lost_decision),
    "deleting": Scenario(deleting, focus=late_twin("/objects/k")),
    "values_back": Scenario(values_back),
    "unique": Scenario(unique, "u"),
    "takeover": Scenario(takeover, "u"),
    "index": Scenario(index, "x"),
    "mixed": Scenario(mixed, "xu"),
    "leases": Scenario(leases),
    "build": Scenario(build_beside, "x", timed=True, focus=sometimes_small_leaps),
    "build_lost": Scenario(lost_beside, "x", timed=True, focus=late_under_new_index),
    "build_unique": Scenario(build_unique, "u", timed=True),
    "built_claims": Scenario(built_claims, "u", timed=True, focus=quiet),
    "drop": Scenario(drop_beside, "xu", timed=True),
    "back_again": Scenario(back_again, "xu", timed=True, focus=small_leaps),
    "burying": Scenario(burying, "u", timed=True, focus=quiet),
    "vacuum": Scenario(vacuuming, "xu", timed=True, focus=sometimes_small_leaps),
}
