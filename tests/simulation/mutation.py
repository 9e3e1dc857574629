"""
Mistakes made on purpose, one for each that protocol.md, section 9, says a test must catch.

Each is a few edits of the engine's source and the scenario that finds it out, with seeds that do.
`python -m tests.simulation --mutation NAME` searches others.
"""

from __future__ import annotations

from .mutation_document import DOCUMENTS
from .mutation_index import INDEXES
from .mutation_lease import LEASES
from .mutation_transaction import TRANSACTIONS
from .mutation_unique import UNIQUES
from .mutation_vacuum import VACUUM

MUTATIONS = TRANSACTIONS | DOCUMENTS | UNIQUES | INDEXES | VACUUM | LEASES
