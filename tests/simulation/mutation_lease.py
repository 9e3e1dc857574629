"""Mistakes about leases."""

from __future__ import annotations

from .build import Edit, Mutation

LEASES = {
    "lease_taken_before_its_end": Mutation(
        "leases",
        (0, 1, 4),
        [
            Edit(
                "lease.py",
                "            if state is None or state.holder is None or self._has_expired(state):\n",
                "            if True:\n",
            ),
        ],
    ),
    "lease_token_does_not_grow": Mutation(
        "leases",
        (3, 13, 17),
        [
            Edit(
                "lease.py",
                "await self._take(state.token + 1 if state else 1, etag)",
                "await self._take(state.token if state else 1, etag)",
            ),
        ],
    ),
}
