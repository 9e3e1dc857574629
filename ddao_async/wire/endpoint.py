"""
Settings -> endpoint: host, addressing style and signing region of a bucket at AWS or at any other service.

    AWS             https://bucket.s3.eu-west-1.amazonaws.com/key        virtual host
    anything else   http://127.0.0.1:9000/bucket/key                     path
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from ..config import DEFAULT_REGION, S3Settings

_AWS_HOST = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$")


class Endpoint(msgspec.Struct, frozen=True):
    """
    Where requests go. `host` is as the Host header says it (with the bucket in virtual-host style, with the port unless
    it is the scheme's own); a key's path is `base_path` + `/` + key.
    """

    scheme: Literal["http", "https"]
    host: str
    base_path: str
    region: str
    is_aws: bool
    is_virtual: bool
    url: str
    """The service without the bucket, e.g. `http://127.0.0.1:9000`: what other clients call the endpoint URL."""


def endpoint_for(settings: S3Settings, *, region: str | None = None) -> Endpoint:
    """
    Where the requests for a bucket go.

    Args:
        region: Stands in where the settings have none (the profile's).
    """
    region = settings.region or region or DEFAULT_REGION
    if settings.endpoint is None:
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        scheme, authority, base = "https", f"s3.{region}.{domain}", ""
    else:
        parts = urlsplit(settings.endpoint)
        scheme, authority, base = parts.scheme, parts.netloc, parts.path.rstrip("/")
    is_aws = _is_aws(authority)
    style = settings.addressing_style
    if style == "auto":
        # A bucket with a dot does not match the wildcard certificate of the virtual host.
        style = "virtual" if is_aws and not ("." in settings.bucket and scheme == "https") else "path"
    is_virtual = style == "virtual"
    return Endpoint(
        scheme="https" if scheme == "https" else "http",
        host=f"{settings.bucket}.{authority}" if is_virtual else authority,
        base_path=base if is_virtual else f"{base}/{settings.bucket}",
        region=region,
        is_aws=is_aws,
        is_virtual=is_virtual,
        url=f"{scheme}://{authority}{base}",
    )


def has_checksum(settings: S3Settings, endpoint: Endpoint) -> bool:
    """Is a crc32 sent with what is written?"""
    return endpoint.is_aws if settings.checksum == "auto" else settings.checksum in ("crc32", "when_supported")


def _is_aws(authority: str) -> bool:
    return _AWS_HOST.search(authority.partition(":")[0].lower()) is not None
