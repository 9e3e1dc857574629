"""What keeps a bucket in order: the probe of its server, indexes that come and go, vacuum, and the doctor."""

from .build import Built, add_indexes
from .check import Checked, IndexCheck, check, reindex
from .drop import Dropped, drop_index
from .probe import ensure_probed
from .vacuum import Garbage, Vacuumed, vacuum

__all__ = [
    "Built",
    "Checked",
    "Dropped",
    "Garbage",
    "IndexCheck",
    "Vacuumed",
    "add_indexes",
    "check",
    "drop_index",
    "ensure_probed",
    "reindex",
    "vacuum",
]
