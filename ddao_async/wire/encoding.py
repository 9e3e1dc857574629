"""
How an S3 request is spelled: method, encoded path, sorted query, and header names with their values.

    put users/a b.json if_none_match=*   ->   PUT  /bucket/users/a%20b.json  ("if-none-match",)  ("*",)

Whatever becomes part of the head of a request is refused here if it could break out of it (CR, LF, NUL, other
controls, anything that is not ASCII), so the floors below need not look again.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from functools import lru_cache
from urllib.parse import quote

import msgspec

from ..config import S3Settings
from ..errors import ValidationError
from .request import Operation, Request

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.~-]*\Z").match
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}\Z").match
_METHODS: dict[Operation, str] = {
    "get": "GET",
    "put": "PUT",
    "head": "HEAD",
    "delete": "DELETE",
}
"""Those of one object. With list, head_bucket and upload_part they are what this lane serves."""


class Place(msgspec.Struct, frozen=True):
    """
    Where a bucket is, and what every object created there carries.

    Attributes:
        root: Encoded path of the bucket itself: `/bucket` path-style, empty virtual-host style.
        put_names, put_values: Headers of every write (server-side encryption), names lower case.
    """

    root: str
    put_names: tuple[str, ...] = ()
    put_values: tuple[str, ...] = ()


class Encoded(msgspec.Struct, frozen=True):
    """
    One spelled request.

    `names` (lower case), `values` and `signed_values` go together; the last are what a signature covers, nearly
    always the same tuple.
    """

    method: str
    path: str
    query: str
    names: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    signed_values: tuple[str, ...] = ()


def encode(request: Request, place: Place) -> Encoded:
    """
    Spell a request for a bucket.

    Raises:
        ValidationError: A value cannot stand in a header, or the key cannot be sent.
    """
    operation = request.operation
    match operation:
        case "list":
            return Encoded("GET", place.root or "/", list_query(request))
        case "head_bucket":
            return Encoded("HEAD", place.root or "/", "")
        case "upload_part":
            query = f"partNumber={request.part_number}&uploadId={_quoted(request.upload_id)}"
            return Encoded("PUT", object_path(place.root, request.key), query)
        case _:
            pass
    path = object_path(place.root, request.key)
    if operation == "put":
        names, values = put_headers(request, place)
    elif request.if_match is request.if_none_match is request.range is None:
        return Encoded(_METHODS[operation], path, "")
    else:
        names, values = read_headers(request)
    return Encoded(_METHODS[operation], path, "", names, values, signed_values(values))


def object_path(root: str, key: str) -> str:
    """
    Return the path of an object: each byte of the key's UTF-8 encoded once, slashes kept, nothing normalised.

    Raises:
        ValidationError: The key is not UTF-8 (a lone surrogate).
    """
    if _PLAIN_PATH(key):
        return f"{root}/{key}"
    try:
        return f"{root}/{quote(key, safe='/-_.~')}"
    except UnicodeEncodeError as error:
        raise ValidationError(f"The key {key!r} is not UTF-8.", hint="Remove the lone surrogates.") from error


def list_query(request: Request) -> str:
    """Return the query of ListObjectsV2, its parameters sorted; keys come back percent-encoded (`encoding-type`)."""
    parts: list[str] = []
    if request.continuation_token is not None:
        parts.append(f"continuation-token={_quoted(request.continuation_token)}")
    if request.delimiter is not None:
        parts.append(f"delimiter={_quoted(request.delimiter)}")
    parts.append(f"encoding-type=url&list-type=2&max-keys={request.max_keys}&prefix={_quoted(request.prefix)}")
    if request.start_after is not None and request.continuation_token is None:
        parts.append(f"start-after={_quoted(request.start_after)}")
    return "&".join(parts)


def put_headers(request: Request, place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the headers of a write: type, conditions, the place's own, metadata."""
    names = list(place.put_names)
    values = list(place.put_values)
    if request.content_type is not None:
        names.append("content-type")
        values.append(request.content_type)
    if request.if_match is not None:
        names.append("if-match")
        values.append(request.if_match if request.bare_etag else quoted_etag(request.if_match))
    if request.if_none_match is not None:
        names.append("if-none-match")
        values.append(quoted_etag(request.if_none_match))
    if request.metadata:
        names += map(metadata_header, request.metadata)
        values += request.metadata.values()
        if len(set(names)) != len(names):
            raise ValidationError(
                "Two names of the metadata differ in case only.", hint="Names of metadata are lower case on S3."
            )
    return tuple(names), tuple(values)


def read_headers(request: Request) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the headers of a read or a delete: conditions and the range."""
    names: list[str] = []
    values: list[str] = []
    if request.if_match is not None:
        names.append("if-match")
        values.append(request.if_match if request.bare_etag else quoted_etag(request.if_match))
    if request.if_none_match is not None:
        names.append("if-none-match")
        values.append(quoted_etag(request.if_none_match))
    if request.range is not None:
        start, stop = request.range
        names.append("range")
        values.append(f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}")
    return tuple(names), tuple(values)


def quoted_etag(etag: str) -> str:
    """Quote a bare etag, as the standard wants it; `*` stays as it is."""
    return etag if etag == "*" else f'"{etag}"'


@lru_cache(maxsize=1024)
def metadata_header(name: str) -> str:
    """
    Return the header of one metadata name.

    Raises:
        ValidationError: It is not a token (RFC 9110, 5.6.2).
    """
    if not _TOKEN(name):
        raise ValidationError(
            f"{name!r} cannot be a name of metadata.", hint="Use ASCII letters, digits, '-', '_' and '.'."
        )
    return f"x-amz-meta-{name.lower()}"


def signed_values(values: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return header values as a signature covers them: trimmed, runs of blanks made one (SigV4, "canonical headers").

    One look at all of them joined (0.3 µs) finds what is rare; only then each is looked at.

    Raises:
        ValidationError: A control character, or a character outside ASCII.
    """
    joined = "|".join(values)
    if not (joined.isascii() and joined.isprintable()):
        wrong = next(value for value in values if not (value.isascii() and value.isprintable()))
        raise ValidationError(
            f"{wrong!r} cannot be sent in a header.", hint="Use printable ASCII; encode anything else yourself."
        )
    if " |" in joined or "| " in joined or "  " in joined or joined[:1] == " " or joined[-1:] == " ":
        return tuple(" ".join(value.split()) for value in values)
    return values


def with_checksum(encoded: Encoded, crc32: int) -> Encoded:
    """Return the request with the CRC-32 of its body, which the server checks and keeps."""
    value = b2a_base64(crc32.to_bytes(4, "big"), newline=False).decode()
    return Encoded(
        encoded.method,
        encoded.path,
        encoded.query,
        (*encoded.names, "x-amz-checksum-crc32"),
        (*encoded.values, value),
        (*encoded.signed_values, value),
    )


def place_of(settings: S3Settings, root: str) -> Place:
    """Return the place of a bucket whose encoded path is `root`, with the encryption that the settings ask for."""
    if settings.sse is None:
        return Place(root)
    if settings.kms_key_id is None:
        return Place(root, ("x-amz-server-side-encryption",), (settings.sse,))
    return Place(
        root,
        ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"),
        (settings.sse, settings.kms_key_id),
    )


def _quoted(text: str) -> str:
    try:
        return quote(text, safe="-_.~")
    except UnicodeEncodeError as error:
        raise ValidationError(f"{text!r} is not UTF-8.", hint="Remove the lone surrogates.") from error
