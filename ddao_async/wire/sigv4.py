"""
The only place that knows AWS Signature Version 4: a request, an instant and credentials give the head to send.

    canonical request   GET | /bucket/a.json | <query> | host:... | x-amz-date:... | <empty> | <names> | <payload hash>
    string to sign      AWS4-HMAC-SHA256 | 20261122T100000Z | 20261122/us-east-1/s3/aws4_request | <hash of the above>
    signature           HMAC-SHA256(signing key, string to sign)                           (a | is a line feed)

What stays the same is made once: the signing key per day, the scope and the padded HMAC states per second
(`SigningMoment`), the text around the values per tuple of header names (`Template`). What is left for one request is
two `%` operations, one hash and one HMAC from copied states: 3.5 µs where botocore takes 50.

Source: AWS General Reference, "Signature Version 4 signing process"; S3 API Reference, "Authenticating Requests".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ..config import Credentials

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


class SigningMoment:
    """
    All of a signature that is the same for every request of one second, one region and one set of credentials.

    Attributes:
        second: Epoch second it stands for.
        amz_date: The value of `x-amz-date`.
        credential: `<access key>/<day>/<region>/s3/aws4_request`.
        prefix: The string to sign up to the hash of the canonical request.
        inner, outer: SHA-256 states after the padded signing key; copied, never updated (0.7 µs where
            `hmac.digest` takes 1.5).
    """

    __slots__ = ("amz_date", "credential", "credentials", "inner", "outer", "prefix", "region", "second")

    def __init__(self, second: int, credentials: Credentials, region: str) -> None:
        self.second = second
        self.credentials = credentials
        self.region = region
        self.amz_date = datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
        day = self.amz_date[:8]
        scope = f"{day}/{region}/s3/aws4_request"
        self.credential = f"{credentials.access_key}/{scope}"
        self.prefix = f"AWS4-HMAC-SHA256\n{self.amz_date}\n{scope}\n"
        key = signing_key(credentials.secret_key, day, region).ljust(64, b"\0")
        self.inner = hashlib.sha256(key.translate(_INNER_PAD))
        self.outer = hashlib.sha256(key.translate(_OUTER_PAD))


class Template:
    """
    The text around the values of one kind of request: method, host and tuple of header names.

    Attributes:
        canonical: Canonical request, to be filled with what `ordered` picks.
        ordered: (path, query, payload hash, date, *values) -> the same in canonical order.
        head: Head of the HTTP request, to be filled with (target, payload hash, date, *values, credential,
            signature, content length).
    """

    __slots__ = ("canonical", "head", "ordered")

    def __init__(self, method: str, host: str, names: tuple[str, ...]) -> None:
        order = {"x-amz-content-sha256": 2, "x-amz-date": 3} | {name: 4 + at for at, name in enumerate(names)}
        ordered = sorted([*order, "host"])
        signed = _literal(";".join(ordered))
        lines = "".join(f"host:{_literal(host)}\n" if name == "host" else f"{_literal(name)}:%s\n" for name in ordered)
        self.canonical = f"{method}\n%s\n%s\n{lines}\n{signed}\n%s"
        indexes = [0, 1, *(order[name] for name in ordered if name != "host"), 2]
        self.ordered: Callable[[tuple[str, ...]], tuple[Any, ...]] = itemgetter(*indexes)
        sent = "".join(f"{_literal(name)}: %s\r\n" for name in names)
        self.head = (
            f"{method} %s HTTP/1.1\r\nhost: {_literal(host)}\r\nx-amz-content-sha256: %s\r\nx-amz-date: %s\r\n{sent}"
            f"authorization: AWS4-HMAC-SHA256 Credential=%s, SignedHeaders={signed}, Signature=%s\r\n"
            "content-length: %d\r\n\r\n"
        )


@lru_cache(maxsize=64)
def signing_key(secret: str, day: str, region: str, service: str = "s3") -> bytes:
    """
    Derive the key that signs every request of one day, region and service.

    Args:
        secret: AWS secret access key, as issued.
        day: UTC day of the request, `YYYYMMDD`.
        region: AWS region name, e.g. `us-east-1`.

    Returns:
        32 raw bytes. Cached: deriving costs four HMACs (about 8 µs), a hit 0.06 µs.

    Source: AWS General Reference, Signature Version 4, "Calculate the signature" (HMAC chain).
    """
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=512)
def template(method: str, host: str, names: tuple[str, ...]) -> Template:
    """
    Return the template of one kind of request.

    Args:
        method: HTTP method, upper case.
        host: Value of the Host header, with the port where it is not the scheme's own.
        names: Names of further headers, lower case, in the order in which `signed_head` gets their values.
    """
    return Template(method, host, names)


def signed_head(
    form: Template,
    moment: SigningMoment,
    path: str,
    query: str,
    payload_hash: str,
    values: tuple[str, ...],
    signed_values: tuple[str, ...],
    length: int,
) -> bytes:
    """
    Return the signed head of a request, up to and including the empty line.

    Args:
        form: Template for the method, host and header names.
        moment: When, where and by whom it is signed.
        path: Encoded path, as sent (S3 signs it as it is, neither normalised nor encoded again).
        query: Encoded query, sorted by name as SigV4 wants, without `?`; empty for none.
        payload_hash: Hex SHA-256 of the body, or `UNSIGNED_PAYLOAD`.
        values: Values of the template's header names, as sent; without controls.
        signed_values: The same as a signature covers them: trimmed, runs of blanks made one.
        length: Bytes of body.
    """
    canonical = form.canonical % form.ordered((path, query, payload_hash, moment.amz_date, *signed_values))
    inner = moment.inner.copy()
    inner.update((moment.prefix + hashlib.sha256(canonical.encode()).hexdigest()).encode())
    outer = moment.outer.copy()
    outer.update(inner.digest())
    target = f"{path}?{query}" if query else path
    head = form.head % (
        target, payload_hash, moment.amz_date, *values, moment.credential, outer.hexdigest(), length
    )  # fmt: skip
    return head.encode()


def _literal(text: str) -> str:
    return text.replace("%", "%%")
