"""
Fakes for tests of programs that keep data in a bucket: stores that fail as networks and servers do, and a clock.

    store = FaultyStore(MemoryAdapter(), RandomFaults(seed=7, lost=0.1))
    async with ddao.Database(store, schema) as db: ...

A `FaultyStore` asks its faults before every single request what shall become of it, and does it: the request may be
answered, refused, lost on the way there or on the way back, applied minutes later (a *twin*), or be the last thing this
client ever does. Nothing is random unless its seed says so: a failing run can be had again.
"""

from .clock import ManualClock
from .counting import CountingStore
from .fault import Answer, Attempt, Crash, Crashed, Failed, Fate, Faults, Lost, RandomFaults, Refused, Script
from .faulty import FaultyStore, Twin

__all__ = [
    "Answer",
    "Attempt",
    "CountingStore",
    "Crash",
    "Crashed",
    "Failed",
    "Fate",
    "Faults",
    "FaultyStore",
    "Lost",
    "ManualClock",
    "RandomFaults",
    "Refused",
    "Script",
    "Twin",
]
