"""
What the wire lane does not serve: environments and buckets that need another client. Pure: the environment is an
argument.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config import Credentials, S3Settings
from .endpoint import Endpoint


def unserved(settings: S3Settings, endpoint: Endpoint, environ: Mapping[str, str]) -> str | None:
    """Why this lane must not be used, as the end of a sentence ("... because"); None: it may."""
    if settings.bucket.endswith("--x-s3"):
        return "S3 Express directory buckets sign with sessions of their own"
    if environ.get("AWS_USE_FIPS_ENDPOINT", "").lower() == "true":
        return "AWS_USE_FIPS_ENDPOINT is set"
    if environ.get("AWS_USE_DUALSTACK_ENDPOINT", "").lower() == "true":
        return "AWS_USE_DUALSTACK_ENDPOINT is set"
    proxy = environ.get(f"{endpoint.scheme}_proxy") or environ.get(f"{endpoint.scheme}_proxy".upper())
    if proxy and not _bypasses(endpoint.host, environ):
        return f"{endpoint.scheme}_proxy is set"
    return None


def environment_credentials(settings: S3Settings, environ: Mapping[str, str]) -> Credentials | None:
    """
    The credentials that the environment holds, where they are what the credential chain would find: no profile was
    asked for. Read directly: importing the chain costs 300 ms.
    """
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if settings.profile is not None or not access_key or not secret_key:
        return None
    if environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None  # the chain reads these again when they expire
    return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN"))


def _bypasses(host: str, environ: Mapping[str, str]) -> bool:
    """Does `no_proxy` name this host: by itself, by a domain that it is in, or by `*`?"""
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    for entry in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(","):
        name = entry.strip().lstrip(".").lower()
        if name == "*" or (name and (name in (host.lower(), bare.lower()) or bare.lower().endswith(f".{name}"))):
            return True
    return False
