"""The checker of the layout: it passes what Go wrote and what the layout draws, and names each broken rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
from layout_rules import broken_rules_of

from ddao_async.storage.protocol import ObjectInfo, StoredObject

KEY = "tables/users/objects/ann.json"
HEADERS = {
    "ddao-type": "object",
    "ddao-table": "users",
    "ddao-id": "ann",
    "ddao-timestamp": "2026-11-22T10:17:41Z",
}
GO_BODY = b"""{
  "id": "ann",
  "table_name": "users",
  "fields": {
    "html": "\\u003ca\\u003e"
  },
  "created_at": "2026-11-22T10:17:41.946289548Z",
  "updated_at": "0001-01-01T00:00:00Z"
}"""


def item(
    data: bytes, key: str = KEY, content_type: str = "application/json", metadata: dict[str, str] | None = None
) -> StoredObject:
    return StoredObject(
        data, ObjectInfo(key, len(data), "e", metadata=HEADERS | (metadata or {}), content_type=content_type)
    )


def ours(**changes: Any) -> bytes:
    body = {
        "id": "ann",
        "table_name": "users",
        "fields": {"age": 7},
        "created_at": "2026-11-22T10:17:41.1Z",
        "updated_at": "2026-11-22T10:17:41.1Z",
        "revision": "r2",
        "past": ["r1"],
        "tags": {"age": "r2"},
    }
    return json.dumps(body | changes, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "data",
    [
        GO_BODY,
        ours(),
        ours(fields={}, absent=True, fence="f"),
        ours(fields={}, absent=True, intent={"tx": "t", "op": "delete"}),
        ours(fields=None),
    ],
)
def test_passes_what_the_layout_allows(data: bytes) -> None:
    assert broken_rules_of(KEY, item(data)) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"[1]", "not a JSON object"),
        (b'{"id":"ann"', "not JSON"),
        (ours(id="bob"), "the body says id 'bob'"),
        (ours(table_name="x"), "the body says table 'x'"),
        (ours(created_at="2026-11-22T10:17:41"), "not RFC 3339"),
        (ours(created_at="2026-11-31T10:17:41Z"), "day is out of range"),
        (ours(updated_at="2026-11-22T10:17:41.1234567891Z"), "not RFC 3339"),
        (ours(ID="ann"), "two members that Go takes for one"),
        (ours(fields=[1]), "fields is no object"),
        (ours(note="x"), "unknown members"),
        (ours(past=[str(n) for n in range(9)]), "past is"),
        (ours(past=["r2"]), "a revision came back"),
        (ours(absent=False), "absent is written only"),
        (ours(absent=True, fence="f"), "absent with fields"),
        (ours(absent=True, fields={}), "without a fence"),
        (ours(intent={"tx": "t", "op": "put"}), "an intent to put"),
        (ours().replace(b'"revision":', b'"revision": '), "not compact"),
        (ours().replace(b'"age":7', b'"age":NaN'), "NaN"),
        (ours().replace(b'"age":7', b'"age":7,"age":8'), "a member twice"),
        (GO_BODY.replace(b'"id"', b'"Id"').replace(b"ann", b"a\xff"), "not JSON"),
    ],
)
def test_names_the_broken_rule(data: bytes, problem: str) -> None:
    found = broken_rules_of(KEY, item(data))

    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"content_type": "text/plain"}, "Content-Type"),
        ({"metadata": {"ddao-type": "x"}}, "ddao-type"),
        ({"metadata": {"ddao-id": "bob"}}, "ddao-id"),
        ({"metadata": {"ddao-timestamp": "2026-11-22T10:17:41.5Z"}}, "ddao-timestamp"),
    ],
)
def test_headers_of_our_documents_count(changes: dict[str, Any], problem: str) -> None:
    assert problem in broken_rules_of(KEY, item(ours(), **changes))[0]


@pytest.mark.parametrize(
    ("key", "data", "problem"),
    [
        ("tables/users/objects/a//b.json", ours(), "empty or dot segments"),
        ("tables/_users/objects/ann.json", ours(), "no table name"),
        ("notes.txt", b"", "no such key"),
        ("tables/users/_indexes/age/v-1/ann/r", b"", "sort differently"),
        ("tables/users/_indexes/age/v/ann/r", b"x", "empty body"),
        ("tables/users/_uniques/age/v.json", b'{"id":"ann"}', "members are"),
        ("_transactions/t.json", b"{}", "state is None"),
        ("tables/users/_metadata.json", b'{"table_name":"x"}', "table_name"),
    ],
)
def test_every_kind_of_key_has_rules(key: str, data: bytes, problem: str) -> None:
    assert problem in broken_rules_of(key, item(data, key))[0]
