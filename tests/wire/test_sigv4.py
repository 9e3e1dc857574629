"""Signatures: AWS's published vectors, and botocore's signer on thousands of requests made up for it."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from ddao_async.config import Credentials
from ddao_async.wire.encoding import Place, encode
from ddao_async.wire.request import Request
from ddao_async.wire.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, SigningMoment, signed_head, signing_key, template

VECTORS = json.loads((Path(__file__).parent.parent / "golden" / "sigv4.json").read_text())
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def parts_of(head: bytes) -> tuple[str, dict[str, str]]:
    """The request line, and the headers by lower-case name, of a head."""
    line, *rest = head.decode().removesuffix("\r\n\r\n").split("\r\n")
    return line, dict(entry.split(": ", 1) for entry in rest)


def authorization_of(head: bytes) -> dict[str, str]:
    value = parts_of(head)[1]["authorization"].removeprefix("AWS4-HMAC-SHA256 ")
    return dict(part.split("=", 1) for part in value.split(", "))


@pytest.mark.parametrize("example", VECTORS["s3"]["examples"], ids=lambda example: example["name"])
def test_published_examples_of_s3(example: dict[str, Any]) -> None:
    suite = VECTORS["s3"]
    moment = SigningMoment(suite["second"], Credentials(suite["access_key"], suite["secret_key"]), suite["region"])
    names = tuple(name for name, _ in example["headers"])
    values = tuple(value for _, value in example["headers"])
    form = template(example["method"], suite["host"], names)

    head = signed_head(form, moment, example["path"], example["query"], example["payload_hash"], values, values, 0)

    assert authorization_of(head) == {
        "Credential": f"{suite['access_key']}/20130524/us-east-1/s3/aws4_request",
        "SignedHeaders": example["signed_headers"],
        "Signature": example["signature"],
    }


@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: vector["name"])
def test_published_signing_keys(vector: dict[str, str]) -> None:
    key = signing_key(vector["secret_key"], vector["day"], vector["region"], vector["service"])

    assert key.hex() == vector["key"]


@pytest.mark.parametrize("vector", VECTORS["strings"], ids=lambda vector: vector["name"])
def test_published_signatures_of_a_string(vector: dict[str, str]) -> None:
    key = signing_key(vector["secret_key"], vector["day"], vector["region"], vector["service"])

    signature = hmac.new(key, vector["string_to_sign"].encode(), "sha256").hexdigest()

    assert signature == vector["signature"]


def random_text(source: random.Random, alphabet: str, longest: int) -> str:
    return "".join(source.choice(alphabet) for _ in range(source.randint(1, longest)))


KEY_CHARACTERS = "abcXYZ019/-_.~ +%?#&='\"<>\\()[]{}!*;:@$,^`|éßж鍵🔑\t"
VALUE_CHARACTERS = "abcXYZ019 -_.~+%?#&='\"<>()[]{}!*;:@$,/^`|"


def random_request(source: random.Random) -> Request:
    """One of everything that the lane sends, with names and values that are as odd as they may be."""
    operation: Any = source.choice(["get", "put", "put", "head", "delete", "list", "upload_part", "head_bucket"])
    key = random_text(source, KEY_CHARACTERS, 40)
    match operation:
        case "put":
            names = {random_text(source, "abcdefgh-", 12).strip("-") or "x" for _ in range(source.randint(0, 5))}
            return Request(
                operation="put",
                key=key,
                body=source.randbytes(source.randint(0, 100)),
                content_type=source.choice([None, "application/json", "text/plain;  charset=utf-8"]),
                if_none_match=source.choice([None, "*"]),
                if_match=source.choice([None, "0123456789abcdef"]),
                metadata={name: random_text(source, VALUE_CHARACTERS, 20) for name in names} or None,
            )
        case "get" | "head" | "delete":
            return Request(
                operation=operation,
                key=key,
                if_match=source.choice([None, "abc"]),
                if_none_match=source.choice([None, "abc"]),
                range=source.choice([None, (0, 10), (5, None)]),
            )
        case "list":
            return Request(
                operation="list",
                prefix=random_text(source, KEY_CHARACTERS, 20),
                delimiter=source.choice([None, "/", "%"]),
                start_after=source.choice([None, key]),
                continuation_token=source.choice([None, "1/a+b=="]),
            )
        case _:
            return Request(operation=operation, key=key, upload_id="a/b+c", part_number=3, body=b"part")


class FixedTime(S3SigV4Auth):
    """botocore's signer at a given instant; what it signs as the date is in the request already."""

    def signature_at(self, request: AWSRequest, instant: datetime) -> str:
        request.context["timestamp"] = instant.strftime("%Y%m%dT%H%M%SZ")
        canonical = self.canonical_request(request)
        return self.signature(self.string_to_sign(request, canonical), request)


@pytest.mark.parametrize("seed", range(20))
def test_botocore_signs_the_same(seed: int) -> None:
    """200 requests for each seed, 4,000 in all: the head that is sent is the head that botocore would have signed."""
    source = random.Random(seed)
    for _ in range(200):
        request = random_request(source)
        second = source.randint(1_400_000_000, 2_000_000_000)
        region = source.choice(["us-east-1", "eu-central-1"])
        token = source.choice([None, "FwoGZXIvYXdzEBY//token=="])
        host = source.choice(["127.0.0.1:9000", "bucket.s3.eu-central-1.amazonaws.com"])
        encoded = encode(request, Place(source.choice(["/bucket", ""])))
        names, values, signed = encoded.names, encoded.values, encoded.signed_values
        if token is not None:
            names, values, signed = (*names, "x-amz-security-token"), (*values, token), (*signed, token)
        payload_hash = source.choice([hashlib.sha256(request.body).hexdigest(), UNSIGNED_PAYLOAD])
        moment = SigningMoment(second, CREDENTIALS, region)

        head = signed_head(
            template(encoded.method, host, names),
            moment, encoded.path, encoded.query, payload_hash, values, signed, len(request.body),
        )  # fmt: skip

        line, headers = parts_of(head)
        method, target, version = line.split(" ")
        sent = {name: value for name, value in headers.items() if name not in ("authorization", "content-length")}
        theirs = AWSRequest(method=method, url=f"http://{host}{target}", headers=sent, data=request.body)
        frozen = ReadOnlyCredentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, token)
        expected = FixedTime(frozen, "s3", region).signature_at(theirs, datetime.fromtimestamp(second, UTC))
        assert version == "HTTP/1.1"
        assert authorization_of(head)["Signature"] == expected, request
        assert headers["content-length"] == str(len(request.body))


def test_a_percent_sign_in_a_name_is_only_a_character() -> None:
    form = template("PUT", "host%s", ("x-amz-meta-100%d",))
    moment = SigningMoment(0, CREDENTIALS, "us-east-1")

    head = signed_head(form, moment, "/a%20b", "", EMPTY_SHA256, ("50%s",), ("50%s",), 0)

    line, headers = parts_of(head)
    assert line == "PUT /a%20b HTTP/1.1"
    assert headers["host"] == "host%s"
    assert headers["x-amz-meta-100%d"] == "50%s"


def test_credentials_do_not_show_in_a_repr() -> None:
    assert "secret-part" not in repr(Credentials("AKIDEXAMPLE", "secret-part", "secret-part"))
