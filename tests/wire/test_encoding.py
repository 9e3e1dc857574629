"""How requests are spelled, and what is refused before it can break out of a header."""

from __future__ import annotations

from typing import Any

import pytest

from ddao_async.config import S3Settings
from ddao_async.errors import ValidationError
from ddao_async.wire.encoding import Place, encode, place_of, signed_values, with_checksum
from ddao_async.wire.request import Request

PATH_STYLE = Place("/bucket")
VIRTUAL = Place("")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b.json", "/bucket/a/b.json"),
        ("with space", "/bucket/with%20space"),
        ("plus+plus", "/bucket/plus%2Bplus"),
        ("percent%2F", "/bucket/percent%252F"),
        ("q?a=b#c", "/bucket/q%3Fa%3Db%23c"),
        ("ключ", "/bucket/%D0%BA%D0%BB%D1%8E%D1%87"),
        ("a//b/../c/./", "/bucket/a//b/../c/./"),
        ("/leading", "/bucket//leading"),
        ("tilde~", "/bucket/tilde~"),
        ("new\r\nline", "/bucket/new%0D%0Aline"),
    ],
)
def test_a_key_is_encoded_once_and_not_normalised(key: str, path: str) -> None:
    assert encode(Request(operation="get", key=key), PATH_STYLE).path == path
    assert encode(Request(operation="get", key=key), VIRTUAL).path == path.removeprefix("/bucket")


@pytest.mark.parametrize(
    ("request_", "method", "query", "headers"),
    [
        (Request(operation="get", key="k"), "GET", "", {}),
        (Request(operation="head", key="k"), "HEAD", "", {}),
        (Request(operation="delete", key="k"), "DELETE", "", {}),
        (Request(operation="get", key="k", if_none_match="e"), "GET", "", {"if-none-match": '"e"'}),
        (Request(operation="get", key="k", range=(0, 10)), "GET", "", {"range": "bytes=0-9"}),
        (
            Request(operation="get", key="k", range=(5, None), if_match="e"),
            "GET",
            "",
            {"range": "bytes=5-", "if-match": '"e"'},
        ),
        (Request(operation="delete", key="k", if_match="e"), "DELETE", "", {"if-match": '"e"'}),
        (Request(operation="delete", key="k", if_match="e", bare_etag=True), "DELETE", "", {"if-match": "e"}),
        (Request(operation="put", key="k", if_none_match="*"), "PUT", "", {"if-none-match": "*"}),
        (Request(operation="put", key="k", if_match="e"), "PUT", "", {"if-match": '"e"'}),
        (
            Request(operation="put", key="k", content_type="text/plain", metadata={"DDAO-Type": "object"}),
            "PUT",
            "",
            {"content-type": "text/plain", "x-amz-meta-ddao-type": "object"},
        ),
        (
            Request(operation="upload_part", key="k", upload_id="a/b", part_number=7),
            "PUT",
            "partNumber=7&uploadId=a%2Fb",
            {},
        ),
        (
            Request(operation="list", prefix="a b/", delimiter="/", max_keys=5, start_after="a&b"),
            "GET",
            "delimiter=%2F&encoding-type=url&list-type=2&max-keys=5&prefix=a%20b%2F&start-after=a%26b",
            {},
        ),
        (
            Request(operation="list", continuation_token="1+/=", start_after="x"),
            "GET",
            "continuation-token=1%2B%2F%3D&encoding-type=url&list-type=2&max-keys=1000&prefix=",
            {},
        ),
        (Request(operation="head_bucket"), "HEAD", "", {}),
    ],
)  # fmt: skip
def test_each_operation(request_: Request, method: str, query: str, headers: dict[str, str]) -> None:
    encoded = encode(request_, PATH_STYLE)

    assert (encoded.method, encoded.query) == (method, query)
    assert dict(zip(encoded.names, encoded.values, strict=True)) == headers
    assert encoded.path == ("/bucket" if request_.operation in ("list", "head_bucket") else "/bucket/k")


def test_a_bucket_in_the_host_is_the_root() -> None:
    assert encode(Request(operation="list"), VIRTUAL).path == "/"


@pytest.mark.parametrize(
    "text", ["a\rb", "a\nb", "a\r\nx-evil: 1", "a\0b", "a\x1bb", "a\x7fb", "tab\there", "né", "\u2028"]
)
@pytest.mark.parametrize(
    "field",
    [
        lambda text: {"metadata": {"name": text}},
        lambda text: {"metadata": {text: "value"}},
        lambda text: {"content_type": text},
        lambda text: {"if_match": text},
        lambda text: {"if_none_match": text},
    ],
)
def test_nothing_breaks_out_of_a_header(field: Any, text: str) -> None:
    with pytest.raises(ValidationError):
        encode(Request(operation="put", key="k", **field(text)), PATH_STYLE)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a(b", "x" * 201])
def test_a_name_of_metadata_is_a_token(name: str) -> None:
    with pytest.raises(ValidationError):
        encode(Request(operation="put", key="k", metadata={name: "v"}), PATH_STYLE)


def test_names_of_metadata_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(ValidationError):
        encode(Request(operation="put", key="k", metadata={"a": "1", "A": "2"}), PATH_STYLE)


@pytest.mark.parametrize("field", ["key", "prefix", "start_after", "delimiter", "continuation_token"])
def test_lone_surrogates_are_refused(field: str) -> None:
    operation: Any = "get" if field == "key" else "list"
    with pytest.raises(ValidationError):
        encode(Request(operation=operation, **{field: "\ud800"}), PATH_STYLE)


@pytest.mark.parametrize(
    ("values", "signed"),
    [
        (("plain", "two words"), ("plain", "two words")),
        ((" before", "b"), ("before", "b")),
        (("a", "behind "), ("a", "behind")),
        (("a", " "), ("a", "")),
        (("", ""), ("", "")),
        (("two  blanks   here", "|"), ("two blanks here", "|")),
    ],
)
def test_what_is_signed_is_trimmed(values: tuple[str, ...], signed: tuple[str, ...]) -> None:
    assert signed_values(values) == signed


def test_encryption_goes_with_every_write_and_nothing_else() -> None:
    settings = S3Settings(bucket="bucket", sse="aws:kms", kms_key_id="alias/key")
    place = place_of(settings, "/bucket")
    expected = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "alias/key",
    }

    put = encode(Request(operation="put", key="k"), place)

    assert dict(zip(put.names, put.values, strict=True)) == expected
    assert encode(Request(operation="get", key="k"), place).names == ()
    assert place_of(S3Settings(bucket="bucket", sse="AES256"), "").put_values == ("AES256",)


def test_a_checksum_is_the_base64_of_the_crc32() -> None:
    """Of the body `Hello world` (S3 User Guide, "Checking object integrity"): i9aeUg==."""
    encoded = with_checksum(encode(Request(operation="put", key="k"), PATH_STYLE), 0x8BD69E52)

    assert dict(zip(encoded.names, encoded.values, strict=True)) == {"x-amz-checksum-crc32": "i9aeUg=="}
    assert encoded.signed_values == encoded.values
