"""
aiobotocore's sessions and what goes wrong in them: credentials, profiles, regions, and its errors in the words of the
lanes. Imported, like `botocore.py` beside it, only when it is needed (300 ms).
"""

# aiobotocore and botocore ship no types: what comes from them is of unknown type here and in botocore.py only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiobotocore.credentials import AioCredentials, AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore import exceptions as boto
from botocore.credentials import ReadOnlyCredentials
from botocore.parsers import ResponseParserError

from ..config import Credentials, S3Settings
from ..errors import ConfigurationError, DDAOError, InvalidCredentialsError, StoreError, ValidationError
from ..wire.request import Unanswered, Unsent

NO_CREDENTIALS_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile (profile=NAME), or give the container or "
    "instance a role."
)

_PERHAPS_SENT = (boto.HTTPClientError, boto.ConnectionError, ResponseParserError, aiohttp.ClientError, OSError)

CredentialSource = Callable[[], Awaitable[Credentials]]


class Chain:
    """
    A source of credentials: those of an aiobotocore session, which looks in the environment, the shared files, SSO,
    container and instance roles, and refreshes what expires. Call it before each signature; never keep a copy.
    """

    def __init__(self, session: AioSession) -> None:
        self._session = session

    async def __call__(self) -> Credentials:
        """
        Credentials that are good now.

        Raises:
            InvalidCredentialsError: The chain found none, or could not refresh them.
            ConfigurationError: The profile does not exist.
        """
        try:
            found: Any = await self._session.get_credentials()
            if found is None:
                raise InvalidCredentialsError("No credentials were found.", hint=NO_CREDENTIALS_HINT)
            frozen = await found.get_frozen_credentials()
        except boto.BotoCoreError as exc:
            raise failure_of(exc) from exc
        expiry = getattr(found, "_expiry_time", None)
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token, expiry.timestamp() if expiry else None)

    async def refresh(self) -> None:
        """Look again: the server says that what was given has expired, whatever the chain believes."""
        found: Any = await self._session.get_credentials()
        if isinstance(found, AioRefreshableCredentials):
            found._expiry_time = datetime.now(UTC)  # pyright: ignore[reportPrivateUsage]
        elif found is not None and found.method != "explicit":
            # Read the environment and the files again.
            self._session._credentials = None  # pyright: ignore[reportPrivateUsage]


class _Sourced(AioCredentials):
    """Credentials that botocore signs with, taken from a source each time."""

    def __init__(self, source: CredentialSource) -> None:
        super().__init__("sourced", "sourced")
        self._source = source

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        now = await self._source()
        return ReadOnlyCredentials(now.access_key, now.secret_key, now.token)


class _SourcedSession(AioSession):
    """A session whose credentials come from a source instead of the chain."""

    def __init__(self, source: CredentialSource) -> None:
        super().__init__()
        self._source = source

    async def get_credentials(self) -> AioCredentials:
        return _Sourced(self._source)


def chain_session(session: Any, settings: S3Settings, credentials: CredentialSource | None) -> AioSession:
    """
    The session that everything else comes from.

    Args:
        session: None, an aiobotocore session, or an `aioboto3.Session` (which holds one).
        credentials: Stand in for the chain.
    """
    if session is not None:
        return getattr(session, "_session", session)
    if credentials is not None:
        return _SourcedSession(credentials)
    try:
        found = AioSession(profile=settings.profile)
        found.get_scoped_config()
    except boto.ProfileNotFound as exc:
        raise ConfigurationError(
            f"There is no profile {settings.profile!r}.", hint="Check ~/.aws/config, AWS_PROFILE and profile=."
        ) from exc
    return found


def profile_region(session: AioSession) -> str | None:
    """The region of the session's profile, if it names one."""
    region: Any = session.get_config_variable("region")
    return str(region) if region else None


def failure_of(exc: BaseException) -> Exception:
    """What went wrong below, in the words of the lanes. When in doubt, the request was sent."""
    cause = getattr(exc, "kwargs", {}).get("error")
    said = f"{type(cause or exc).__name__}: {cause or exc}"
    match exc:
        case boto.ConnectTimeoutError():
            return Unsent(said, timed_out=True)
        case boto.SSLError() | boto.ProxyConnectionError():
            return Unsent(said)
        case boto.EndpointConnectionError() if isinstance(cause, (aiohttp.ClientConnectorError, socket.gaierror)):
            return Unsent(said)
        case boto.ReadTimeoutError():
            return Unanswered(said, timed_out=True)
        case _ if isinstance(exc, _PERHAPS_SENT):
            return Unanswered(said, stale_connection=isinstance(cause, aiohttp.ServerDisconnectedError))
        case boto.NoCredentialsError() | boto.PartialCredentialsError() | boto.CredentialRetrievalError():
            return InvalidCredentialsError(f"No usable credentials: {exc}.", hint=NO_CREDENTIALS_HINT)
        case boto.ProfileNotFound():
            return ConfigurationError(f"{exc}.", hint="Check ~/.aws/config, AWS_PROFILE and profile=.")
        case boto.ParamValidationError() | UnicodeEncodeError():
            return ValidationError(f"The request cannot be sent: {exc}.", hint="Nothing was written.")
        case _:
            return _other_failure(exc)


def _other_failure(exc: BaseException) -> DDAOError:
    named = type(exc).__name__
    if any(word in named for word in ("Credential", "Token", "SSO", "MetadataRetrieval", "Login")):
        return InvalidCredentialsError(f"No usable credentials: {exc}.", hint=NO_CREDENTIALS_HINT)
    return StoreError(f"The request could not be made: {named}: {exc}.", hint="Check the options of the connection.")
