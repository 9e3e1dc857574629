"""
What the null server answers: (method, target, headers, body) -> response bytes. No sockets here.

    /bucket/…/tables/users/objects/ID.json    GET: a document with that id; PUT and DELETE succeed and store nothing
    /bucket/…missing…                         404
    /bucket/…/tables/many/objects/…           LIST: as many made-up keys as asked for
    /bucket/…big…                             GET: 64 MiB, or a range of it; PUT and multipart uploads are swallowed
    /bucket/anything else                     remembered, and written conditionally, so that tables can be created

Signatures are not checked: this server measures what a client itself costs.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from email.utils import formatdate
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape, unescape

from . import data

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_UNQUOTED = "/-_.~"
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_ETAG = "5d41402abc4b2a76b9719d911017c592"
_IDS = b"x-amz-id-2: kq0b9Yx1G8TzX0nS3rUO0o7V3m1q8p5b6mYdGm5mX3iC2Lq4c8K0oA==\r\nx-amz-request-id: 7XG9V6E9D3W8S1QT\r\n"
_MARK = "the-id"
_STATUS = {200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified", 404: "Not Found"}
_STATUS |= {412: "Precondition Failed", 416: "Range Not Satisfiable", 501: "Not Implemented"}
_LISTED = data.document_key("", data.LISTED_TABLE).removesuffix(".json")

Answer = tuple[bytes, memoryview | None]
"""Head and small body in one, and a large body to be sent after it."""


class Answers:
    """
    The made-up bucket, and what it remembers.

    Args:
        keys: How many keys the listed table has.
        large_bytes: Size of a large object.
    """

    def __init__(self, keys: int = 100_000, large_bytes: int = data.LARGE_BYTES) -> None:
        self._count = keys
        self._large = memoryview(data.large_object(large_bytes))
        self._remembered: dict[str, tuple[bytes, str]] = {}
        self._rows: dict[str, list[tuple[str, bytes]]] = {}
        self._before, self._after = data.document(_MARK, data.user_fields(0)).split(_MARK.encode())
        self._size = len(self._before) + len(self._after)
        self.set_date(0.0)

    def set_date(self, now: float) -> None:
        """Build the heads anew, with this time (epoch seconds) as their Date: once a second."""
        common = _IDS + f"Date: {formatdate(now, usegmt=True)}\r\nServer: AmazonS3\r\n".encode()
        found = (
            b"HTTP/1.1 200 OK\r\n" + common + b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
            b'ETag: "' + _ETAG.encode() + b'"\r\nAccept-Ranges: bytes\r\nx-amz-server-side-encryption: AES256\r\n'
            b"Content-Type: application/json\r\nContent-Length: "
        )
        self._common = common
        self._found = found
        self._stored = (
            b"HTTP/1.1 200 OK\r\n" + common + b'ETag: "' + _ETAG.encode() + b'"\r\n'
            b"x-amz-server-side-encryption: AES256\r\nContent-Length: 0\r\n\r\n"
        )
        self._deleted = b"HTTP/1.1 204 No Content\r\n" + common + b"\r\n"

    def is_remembered(self, target: bytes) -> bool:
        """Whether the body of a PUT to this target matters."""
        return (b"/objects/" not in target and b"big" not in target and b"?" not in target) or b"?delete" in target

    def document(self, method: bytes, target: bytes) -> bytes | None:
        """The answer for a plain document; None where `other` must look closer. This is the server's hot path."""
        at = target.rfind(b"/objects/")
        if at < 0 or b"?" in target or b"missing" in target or b"big" in target:
            return None
        if method == b"PUT":
            return self._stored
        if method == b"DELETE":
            return self._deleted
        name = target[at + 9 : -5]
        if b"%" in name:
            name = unquote(name).encode()
        if method == b"GET":
            return b"%s%d\r\n\r\n%s%s%s" % (self._found, self._size + len(name), self._before, name, self._after)
        return b"%s%d\r\n\r\n" % (self._found, self._size + len(name)) if method == b"HEAD" else None

    def other(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer for anything else."""
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path.removeprefix("/")).partition("/")
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        parameters.pop("x-id", None)
        if method == "GET" and "list-type" in parameters:
            return self._xml(200, self.page(bucket, parameters)), None
        if "location" in parameters:
            return self._xml(200, f'<LocationConstraint xmlns="{_NAMESPACE}">us-east-1</LocationConstraint>'), None
        if "delete" in parameters:
            return self._delete_all(body.decode()), None
        if "uploads" in parameters or "uploadId" in parameters:
            return self._multipart(method, bucket, key, parameters), None
        if not key:
            return self._plain(200 if method != "DELETE" else 204), None
        if "missing" in key:
            return self._error(404, "NoSuchKey", method), None
        if "big" in key:
            return self._big(method, headers.get("range"))
        return self._memory(method, key, headers, body), None

    def page(self, bucket: str, parameters: dict[str, str]) -> str:
        """One page of ListObjectsV2: the made-up keys, or what is remembered."""
        prefix = parameters.get("prefix", "")
        after = parameters.get("continuation-token") or parameters.get("start-after", "")
        size = min(int(parameters.get("max-keys", "1000")), 1000)
        rows = self._rows_of(prefix)
        start = bisect_right(rows, after, key=_key_of) if after >= prefix else bisect_left(rows, prefix, key=_key_of)
        end = bisect_left(rows, prefix + "\U0010ffff", key=_key_of)
        stop = min(start + size, end)
        chosen = b"".join([row for _, row in rows[start:stop]]).decode()
        more = "true" if size and stop < end else "false"
        token = f"<NextContinuationToken>{escape(rows[stop - 1][0])}</NextContinuationToken>" if more == "true" else ""
        return (
            f'{_XML}<ListBucketResult xmlns="{_NAMESPACE}"><Name>{escape(bucket)}</Name>'
            f"<Prefix>{quote(prefix, safe=_UNQUOTED)}</Prefix><MaxKeys>{size}</MaxKeys>"
            f"<KeyCount>{stop - start}</KeyCount><EncodingType>url</EncodingType>"
            f"<IsTruncated>{more}</IsTruncated>{chosen}{token}</ListBucketResult>"
        )

    def _rows_of(self, prefix: str) -> list[tuple[str, bytes]]:
        """Sorted keys that a prefix may choose from, each with its row of XML."""
        at = prefix.find(_LISTED)
        if at < 0:
            return [(key, _row(key, len(value), etag)) for key, (value, etag) in sorted(self._remembered.items())]
        base = prefix[:at] + _LISTED
        if base not in self._rows:
            keys = [f"{base}{data.listed_id(index, self._count)}.json" for index in range(self._count)]
            rows = [(key, _row(key, 400 + n % 100, f"{n * 2654435761:032x}")) for n, key in enumerate(keys)]
            self._rows = {base: rows}
        return self._rows[base]

    def _delete_all(self, request: str) -> bytes:
        """DeleteObjects: everything asked for is deleted."""
        keys = [unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", request)]
        for key in keys:
            self._remembered.pop(key, None)
        quiet = "<Quiet>true</Quiet>" in request
        rows = "" if quiet else "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return self._xml(200, f'{_XML}<DeleteResult xmlns="{_NAMESPACE}">{rows}</DeleteResult>')

    def _multipart(self, method: str, bucket: str, key: str, parameters: dict[str, str]) -> bytes:
        place = f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(key)}</Key>"
        if "uploads" in parameters:
            tag, inner = "InitiateMultipartUploadResult", f"{place}<UploadId>U1</UploadId>"
        elif method == "POST":
            tag, inner = "CompleteMultipartUploadResult", f'<Location>l</Location>{place}<ETag>"{_ETAG}-8"</ETag>'
        else:
            return self._stored if method == "PUT" else self._deleted
        return self._xml(200, f'{_XML}<{tag} xmlns="{_NAMESPACE}">{inner}</{tag}>')

    def _big(self, method: str, range_header: str | None) -> Answer:
        if method == "PUT":
            return self._stored, None
        if method == "DELETE":
            return self._deleted, None
        size = len(self._large)
        if range_header is None:
            return b"%s%d\r\n\r\n" % (self._found, size), self._large if method == "GET" else None
        first, _, last = range_header.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if start >= size:
            return self._error(416, "InvalidRange", method), None
        head = self._found.replace(b"200 OK", b"206 Partial Content", 1).replace(
            b"Content-Type", b"Content-Range: bytes %d-%d/%d\r\nContent-Type" % (start, stop - 1, size), 1
        )
        return b"%s%d\r\n\r\n" % (head, stop - start), self._large[start:stop] if method == "GET" else None

    def _memory(self, method: str, key: str, headers: dict[str, str], body: bytes) -> bytes:
        """Keys that are not documents: a dict, with S3's conditions."""
        value, etag = self._remembered.get(key, (b"", ""))
        wanted = headers.get("if-match", "").strip('"')
        if wanted and wanted != etag:
            return self._error(412 if etag else 404, "PreconditionFailed" if etag else "NoSuchKey", method)
        if method in ("GET", "HEAD"):
            if not etag:
                return self._error(404, "NoSuchKey", method)
            if headers.get("if-none-match", "").strip('"') == etag:
                return self._plain(304, f'ETag: "{etag}"\r\n')
            head = self._found.replace(_ETAG.encode(), etag.encode(), 1)
            return b"%s%d\r\n\r\n%s" % (head, len(value), value if method == "GET" else b"")
        if method == "DELETE":
            self._remembered.pop(key, None)
            return self._deleted
        if etag and headers.get("if-none-match") == "*":
            return self._error(412, "PreconditionFailed", method)
        if "aws-chunked" in headers.get("content-encoding", ""):
            body = _unchunked(body)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self._remembered[key] = (body, etag)
        return self._stored.replace(_ETAG.encode(), etag.encode(), 1)

    def _plain(self, status: int, extra: str = "") -> bytes:
        length = "" if status in (204, 304) else "Content-Length: 0\r\n"
        return f"HTTP/1.1 {status} {_STATUS[status]}\r\n{self._common.decode()}{extra}{length}\r\n".encode()

    def _xml(self, status: int, text: str, method: str = "GET") -> bytes:
        body = text.encode()
        head = f"HTTP/1.1 {status} {_STATUS[status]}\r\n{self._common.decode()}Content-Type: application/xml\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + (b"" if method == "HEAD" else body)

    def _error(self, status: int, code: str, method: str) -> bytes:
        text = f"<Error><Code>{code}</Code><Message>{_STATUS[status]}</Message><RequestId>7XG9</RequestId></Error>"
        return self._xml(status, f"{_XML}{text}", method)


def _key_of(row: tuple[str, bytes]) -> str:
    return row[0]


def _row(key: str, size: int, etag: str) -> bytes:
    return (
        f"<Contents><Key>{quote(key, safe=_UNQUOTED)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    ).encode()


def _unchunked(body: bytes) -> bytes:
    """The payload within aws-chunked framing."""
    parts: list[bytes] = []
    while body:
        head, _, rest = body.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if size == 0:
            break
        parts.append(rest[:size])
        body = rest[size + 2 :]
    return b"".join(parts)
