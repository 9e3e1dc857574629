"""
The habits of one server that answers teach, found out once and remembered while the adapter lives:

* does it enforce If-Match on DELETE, or ignore it and delete (MinIO, rclone)?
* does it compare If-Match as it is, with the quotes (Ceph)? Then etags go out bare;
* does it take DeleteObjects with Content-MD5? Otherwise keys are deleted one by one.
"""

from __future__ import annotations

import secrets

from msgspec.structs import replace

from ..errors import ConflictError, NotFoundError, StoreError, UnsupportedError
from ..model.keys import PROBES_PREFIX
from ..wire.request import Request
from .exchange import Exchange
from .protocol import Capabilities

NO_ETAG = "0" * 32
NOT_SERVED = (400, 405, 411, 501)
"""Statuses of servers that know a request and refuse to serve it."""


class Habits:
    """
    What is known of one server.

    Attributes:
        bare_etags: If-Match goes out without quotes. None: not known.
        takes_delete_objects: False once it was refused.
    """

    def __init__(self) -> None:
        self.bare_etags: bool | None = None
        self.takes_delete_objects = True

    async def probed(self, exchange: Exchange, prefix: str, capabilities: Capabilities) -> Capabilities:
        """Capabilities that say whether If-Match on DELETE is enforced; found out where it is not known."""
        if capabilities.conditional_delete is not None:
            return capabilities
        enforces = await self._enforces_conditional_delete(exchange, prefix)
        return replace(capabilities, conditional_delete=enforces)

    async def _enforces_conditional_delete(self, exchange: Exchange, prefix: str) -> bool:
        """Find out on an object made for it: a DELETE under a wrong etag must leave it. Up to four requests."""
        key = f"{prefix}{PROBES_PREFIX}{secrets.token_hex(8)}/delete"
        await exchange.send(Request(operation="put", key=key, body=b"probe"))
        try:
            await exchange.send(Request(operation="delete", key=key, if_match=NO_ETAG))
        except ConflictError:
            enforces = await _exists(exchange, key)
        except (UnsupportedError, StoreError) as exc:
            if isinstance(exc, StoreError) and exc.status not in NOT_SERVED:
                raise
            enforces = False
        else:
            return False
        await exchange.send(Request(operation="delete", key=key))
        return enforces

    async def wants_bare_etag(self, exchange: Exchange, request: Request) -> bool:
        """
        After a 412: is the condition true, so that only the quotes can have failed it? One HEAD, until it is known.
        """
        if self.bare_etags is not None or request.bare_etag or exchange.lanes.endpoint.is_aws:
            return False
        try:
            head = await exchange.send(Request(operation="head", key=request.key))
        except NotFoundError:
            return False
        return head.etag == request.if_match


def require_conditional_delete(capabilities: Capabilities) -> None:
    """
    Refuse a conditional delete that would be none.

    Raises:
        UnsupportedError: The server would delete whatever is there.
    """
    if not capabilities.conditional_delete:
        raise UnsupportedError(
            "This server ignores If-Match on DELETE and would delete whatever is there. Nothing was deleted.",
            hint="Put a body that means 'deleted' with if_match instead, or delete without a condition.",
        )


async def _exists(exchange: Exchange, key: str) -> bool:
    try:
        await exchange.send(Request(operation="head", key=key))
    except NotFoundError:
        return False
    return True
