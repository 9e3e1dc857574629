"""
The S3 API as botocore spells it: Request -> name and parameters of a client's method, its parsed answer -> Response.

    Request(operation="put", key="a", if_none_match="*")
      ->  "put_object", {"Bucket": "b", "Key": "a", "IfNoneMatch": "*", "Body": b""}
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from zlib import crc32

from ..config import S3Settings
from ..wire.request import ListAnswer, Request, Response
from .rule import check_metadata

Call = tuple[str, dict[str, Any]]


def call_for(request: Request, settings: S3Settings, *, checksum: bool, location: str | None) -> Call:
    """
    Name and parameters of the client's method that makes a request.

    Args:
        checksum: Send a crc32 with what is written.
        location: Region to create a bucket in; None for us-east-1, which S3 does not want named.
    """
    name, parameters = _call(request, settings, location)
    parameters["Bucket"] = settings.bucket
    if request.operation in ("put", "upload_part") and checksum:
        parameters["ChecksumCRC32"] = b64encode(crc32(request.body).to_bytes(4, "big")).decode("ascii")
    return name, parameters


def _call(request: Request, settings: S3Settings, location: str | None) -> Call:
    match request.operation:
        case "put":
            return "put_object", {
                "Key": request.key,
                "Body": request.body,
                **_conditions(request),
                **_kept(request, settings),
            }
        case "get":
            return "get_object", {"Key": request.key, **_conditions(request), **_range(request)}
        case "head":
            return "head_object", {"Key": request.key}
        case "delete":
            return "delete_object", {"Key": request.key, **_conditions(request)}
        case "list":
            return "list_objects_v2", _list(request)
        case "delete_objects":
            keys = [{"Key": key} for key in request.keys or []]
            return "delete_objects", {"Delete": {"Objects": keys, "Quiet": True}}
        case "head_bucket":
            return "head_bucket", {}
        case "create_bucket":
            return "create_bucket", {"CreateBucketConfiguration": {"LocationConstraint": location}} if location else {}
        case _:
            return _transfer_call(request, settings)


def _transfer_call(request: Request, settings: S3Settings) -> Call:
    upload = {"Key": request.key, "UploadId": request.upload_id}
    match request.operation:
        case "copy":
            source = {"Bucket": settings.bucket, "Key": request.source}
            condition = {"CopySourceIfMatch": quoted(request)} if request.if_match else {}
            return "copy_object", {"Key": request.key, "CopySource": source, **condition, **_encryption(settings)}
        case "create_upload":
            return "create_multipart_upload", {"Key": request.key, **_kept(request, settings)}
        case "upload_part":
            return "upload_part", {**upload, "PartNumber": request.part_number, "Body": bytes(request.body)}
        case "complete_upload":
            parts = [{"PartNumber": number, "ETag": f'"{etag}"'} for number, etag in request.parts or []]
            return "complete_multipart_upload", {**upload, "MultipartUpload": {"Parts": parts}}
        case _:
            return "abort_multipart_upload", upload


def quoted(request: Request) -> str:
    """The If-Match header: quoted as HTTP wants it, or bare for the servers that compare it as it is."""
    return f"{request.if_match}" if request.bare_etag else f'"{request.if_match}"'


def _conditions(request: Request) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if request.if_match is not None:
        parameters["IfMatch"] = quoted(request)
    if request.if_none_match is not None:
        parameters["IfNoneMatch"] = "*" if request.if_none_match == "*" else f'"{request.if_none_match}"'
    return parameters


def _kept(request: Request, settings: S3Settings) -> dict[str, Any]:
    """What is stored beside the bytes."""
    parameters = _encryption(settings)
    check_metadata(request.metadata, request.content_type)
    if request.metadata:
        parameters["Metadata"] = request.metadata
    if request.content_type is not None:
        parameters["ContentType"] = request.content_type
    return parameters


def _encryption(settings: S3Settings) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    if settings.sse is not None:
        parameters["ServerSideEncryption"] = settings.sse
    if settings.kms_key_id is not None:
        parameters["SSEKMSKeyId"] = settings.kms_key_id
    return parameters


def _range(request: Request) -> dict[str, Any]:
    if request.range is None:
        return {}
    start, stop = request.range
    return {"Range": f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"}


def _list(request: Request) -> dict[str, Any]:
    parameters: dict[str, Any] = {"Prefix": request.prefix, "MaxKeys": request.max_keys}
    if request.delimiter is not None:
        parameters["Delimiter"] = request.delimiter
    if request.continuation_token is not None:
        parameters["ContinuationToken"] = request.continuation_token
    elif request.start_after is not None:
        parameters["StartAfter"] = request.start_after
    return parameters


# ---- answers


def answer_of(operation: str, parsed: dict[str, Any], body: bytes = b"") -> Response:
    """
    A parsed success as a Response.

    Args:
        parsed: What the client's method returned.
        body: The bytes of a get, read already.
    """
    headers: dict[str, str] = parsed["ResponseMetadata"].get("HTTPHeaders", {})
    response = Response(
        status=parsed["ResponseMetadata"]["HTTPStatusCode"],
        body=body,
        etag=_bare(parsed.get("ETag")),
        request_id=parsed["ResponseMetadata"].get("RequestId"),
        date=date_of(headers),
        region=headers.get("x-amz-bucket-region"),
        upload_id=parsed.get("UploadId", ""),
    )
    match operation:
        case "get" | "head":
            response.size = _whole_size(parsed)
            response.last_modified = _utc(parsed.get("LastModified"))
            response.metadata = {name.lower(): value for name, value in parsed.get("Metadata", {}).items()}
            response.content_type = parsed.get("ContentType")
        case "list":
            response.listing = _listing(parsed)
        case "delete_objects":
            failures = parsed.get("Errors", [])
            response.undeleted = {row["Key"]: (row.get("Code", ""), row.get("Message", "")) for row in failures}
        case "copy":
            response.etag = _bare(parsed.get("CopyObjectResult", {}).get("ETag"))
            response.last_modified = _utc(parsed.get("CopyObjectResult", {}).get("LastModified"))
        case _:
            pass
    return response


def refusal_of(parsed: dict[str, Any]) -> Response:
    """A parsed error as a Response. A code that only repeats the status (answers without a body) is no code."""
    metadata: dict[str, Any] = parsed.get("ResponseMetadata", {})
    headers: dict[str, str] = metadata.get("HTTPHeaders", {})
    error: dict[str, Any] = parsed.get("Error", {})
    code = str(error.get("Code") or "")
    status = metadata.get("HTTPStatusCode") or (int(code) if code.isdigit() else 500)
    return Response(
        status=status,
        code=None if not code or code.isdigit() else code,
        message=str(error.get("Message", "")),
        request_id=metadata.get("RequestId"),
        region=headers.get("x-amz-bucket-region") or error.get("Region"),
        retry_after=_seconds(headers.get("retry-after")),
        date=date_of(headers),
        etag=_bare(headers.get("etag")),
    )


def date_of(headers: dict[str, str]) -> float | None:
    """The server's clock at the answer, epoch seconds."""
    date = _instant(headers.get("date"))
    return None if date is None else date.timestamp()


def _listing(parsed: dict[str, Any]) -> ListAnswer:
    rows: list[dict[str, Any]] = parsed.get("Contents", [])
    prefixes: list[dict[str, str]] = parsed.get("CommonPrefixes", [])
    return ListAnswer(
        rows=lambda: (
            [row["Key"] for row in rows],
            [row["Size"] for row in rows],
            [_bare(row.get("ETag")) for row in rows],
            [row["LastModified"].astimezone(UTC) for row in rows],
        ),
        prefixes=[row["Prefix"] for row in prefixes],
        next_token=parsed.get("NextContinuationToken") if parsed.get("IsTruncated") else None,
    )


def _whole_size(parsed: dict[str, Any]) -> int:
    _, slash, total = (parsed.get("ContentRange") or "").partition("/")
    return int(total) if slash and total.isdigit() else parsed.get("ContentLength", 0)


def _bare(etag: str | None) -> str:
    return (etag or "").removeprefix("W/").strip('"')


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)


def _instant(header: str | None) -> datetime | None:
    try:
        return None if header is None else parsedate_to_datetime(header)
    except ValueError:
        return None  # a server with its own idea of dates tells us nothing


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not used by S3 servers."""
    return float(header) if header is not None and header.isdigit() else None


# ---- what botocore does by itself and should not


def with_content_md5(params: dict[str, Any], **_: object) -> None:
    """Older MinIO and others want Content-MD5 on DeleteObjects, where botocore would send a crc32."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode("ascii")
    params["context"].get("checksum", {}).pop("request_algorithm", None)


def without_expect(request: Any, **_: object) -> None:
    """aiohttp waits for ever where a server answers for good instead of `100 Continue` (rclone does)."""
    if "Expect" in request.headers:
        del request.headers["Expect"]
