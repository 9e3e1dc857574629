"""
The rules of the shared bucket layout as a checker: `await broken_rules(store)` names every object that breaks one.

Written from the specification with nothing but `json` and `re`, on purpose without the library's own model: what the
library writes is judged by what another reader (DDAO's Go library) can read, not by what the library reads back.

    problems = await broken_rules(db.store)
    assert problems == []
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from ddao_async.storage.protocol import ObjectStore, StoredObject

TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z")
SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
TABLE = re.compile(r"[A-Za-z0-9.-][A-Za-z0-9._-]*\Z")
PART = re.compile(r"[0-9A-Za-z_~]+\Z")
SHARED_MEMBERS = {"id", "table_name", "fields", "created_at", "updated_at"}
OWN_MEMBERS = {"revision", "past", "tags", "fence", "absent", "dying", "intent"}
TYPES = {"text", "integer", "real", "boolean", "datetime", "json", "blob", "uuid", "decimal"}
FIELD_MEMBERS: dict[str, type | tuple[type, ...]] = {
    "Name": str,
    "DataType": str,
    "Nullable": bool,
    "Default": object,
    "Comment": str,
    "Unique": bool,
    "Index": bool,
    "AutoIncrement": bool,
    "PrimaryKey": bool,
}
LISTS = ("Indexes", "UniqueKeys", "AutoIncrementFields")


class BrokenRule(Exception):
    """One rule of the layout that one object breaks."""


async def broken_rules(store: ObjectStore, *, prefix_bytes: int = 0) -> list[str]:
    """Every object of a store that breaks the layout: `key: what is wrong`, sorted. Empty: all is well."""
    found: list[str] = []
    keys = [info.key async for info in store.list()]
    for key in keys:
        item = await store.get(key)
        assert item is not None
        found += broken_rules_of(key, item, prefix_bytes=prefix_bytes)
    return sorted(found)


def broken_rules_of(key: str, item: StoredObject, *, prefix_bytes: int = 0) -> list[str]:
    """The rules that one object breaks."""
    try:
        if prefix_bytes + len(key.encode()) > 1024:
            raise BrokenRule("the key is over 1,024 bytes")
        _check_for(key)(key, item)
    except BrokenRule as exc:
        return [f"{key}: {exc}"]
    return []


def _check_for(key: str) -> Callable[[str, StoredObject], None]:
    for pattern, check in (
        (r"_schema\.json", check_schema),
        (r"_ddao\.json", check_json),
        (r"tables/[^/]+/_metadata\.json", check_table_metadata),
        (r"tables/[^/]+/_state\.json", check_json),
        (r"tables/[^/]+/objects/.+\.json", check_document),
        (r"tables/[^/]+/_indexes/.+", check_entry),
        (r"tables/[^/]+/_uniques/.+", check_claim),
        (r"_transactions/[^/]+\.json", check_decision),
        (r"_leases/.+\.json", check_json),
        (r"_imports/.+", lambda key, item: None),
    ):
        if re.fullmatch(pattern, key, re.DOTALL):
            return check
    raise BrokenRule("no such key in the layout")


# ---- documents


def check_document(key: str, item: StoredObject) -> None:
    """A document: readable by Go, in its place, with our members right if we wrote it."""
    _, table, _, rest = key.split("/", 3)
    name = rest.removesuffix(".json")
    _need(TABLE.match(table) and not table.startswith("."), f"{table!r} is no table name")
    _check_id(name)
    body = decoded(item.data)
    check_go_reads(body)
    _need(body.get("id") == name, f"the body says id {body.get('id')!r}")
    _need(body.get("table_name") == table, f"the body says table {body.get('table_name')!r}")
    if "revision" in body:
        _check_own_members(body)
        _check_compact(item.data)
        _check_headers(item, "object", table)
        expected = name if re.fullmatch(r"[ -~]+", name) else None
        _need(item.info.metadata.get("ddao-id") == expected, f"ddao-id is {item.info.metadata.get('ddao-id')!r}")


def check_go_reads(body: dict[str, Any]) -> None:
    """What Go's `encoding/json` needs to fill its struct of five members; it matches names without regard to case."""
    seen = [name.lower() for name in body if name.lower() in SHARED_MEMBERS]
    _need(len(seen) == len(set(seen)), "two members that Go takes for one")
    _need(set(seen) == SHARED_MEMBERS or set(seen) == SHARED_MEMBERS - {"fields"}, f"members are {sorted(body)}")
    _need(isinstance(body.get("fields"), dict | None), "fields is no object")
    for name in ("created_at", "updated_at"):
        check_time(body.get(name), name)


def check_time(value: object, name: str) -> None:
    """RFC 3339 with a zone and at most nine digits of a second; Go skips an object with anything else."""
    _need(isinstance(value, str), f"{name} is {value!r}")
    found = TIME.match(str(value))
    _need(found, f"{name} is {value!r}: not RFC 3339 with a zone")
    assert found is not None
    try:
        datetime(*(int(part) for part in found.groups()[:6]))  # type: ignore[arg-type] # noqa: DTZ001
    except ValueError as exc:
        raise BrokenRule(f"{name} is {value!r}: {exc}") from exc


def _check_own_members(body: dict[str, Any]) -> None:
    _need(set(body) <= SHARED_MEMBERS | OWN_MEMBERS, f"unknown members {set(body) - SHARED_MEMBERS - OWN_MEMBERS}")
    _check_committed(body)
    for name in ("fence", "dying"):
        _need(name not in body or _is_nonce(body[name]), f"{name} is {body.get(name)!r}")
    if "absent" in body:
        _need(body["absent"] is True, "absent is written only while it is true")
        _need(body.get("fields") == {}, "absent with fields: Go would show them")
        _need("intent" in body or "fence" in body, "absent without a fence and without an intent")
    if "intent" in body:
        intent = body["intent"]
        _need(_is_nonce(intent.get("tx")) and intent.get("op") in ("put", "delete"), f"intent is {intent!r}")
        _need((intent["op"] == "put") == ("document" in intent), "an intent to put has a document, another has none")
        if "document" in intent:
            _check_committed(intent["document"])


def _check_committed(body: dict[str, Any]) -> None:
    _need(_is_nonce(body.get("revision")), f"revision is {body.get('revision')!r}")
    past = body.get("past", [])
    _need(isinstance(past, list) and all(map(_is_nonce, past)) and len(past) <= 8, f"past is {past!r}")
    _need(len({body["revision"], *past}) == len(past) + 1, "a revision came back")
    tags = body.get("tags", {})
    _need(isinstance(tags, dict) and all(isinstance(tag, str) and tag for tag in tags.values()), f"tags is {tags!r}")


def _check_id(id: str) -> None:
    _need(id, "an empty id")
    _need(not re.search(r"[\x00-\x1f\x7f-\x9f]", id), "a control character in the id")
    parts = id.split("/")
    _need(all(parts) and not {".", ".."} & set(parts), "an id with empty or dot segments")


def _check_compact(data: bytes) -> None:
    """No white space outside of `fields`, which stay as another writer left them."""
    text = data.decode()
    at = re.search(r'"fields":', text)
    start = at.end() if at else 0
    end = start
    if at:
        _, end = json.JSONDecoder().raw_decode(text, start)
    for part in (text[:start], text[end:]):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', part)
        _need(not re.search(r"\s", bare), "not compact JSON")


def _check_headers(item: StoredObject, kind: str, table: str | None) -> None:
    metadata = item.info.metadata
    _need(item.info.content_type == "application/json", f"Content-Type is {item.info.content_type!r}")
    _need(metadata.get("ddao-type") == kind, f"ddao-type is {metadata.get('ddao-type')!r}")
    _need(metadata.get("ddao-table") == table, f"ddao-table is {metadata.get('ddao-table')!r}")
    stamp = metadata.get("ddao-timestamp", "")
    _need(SECONDS.match(stamp), f"ddao-timestamp is {stamp!r}")


# ---- schema


def check_schema(key: str, item: StoredObject) -> None:
    """`_schema.json`: the members that Go reads back, tables in it complete."""
    body = decoded(item.data)
    _need(isinstance(body.get("DatabaseName"), str), "DatabaseName is no text")
    _need(isinstance(body.get("FieldOrder", 0), list | None), "FieldOrder is no list")
    _need(isinstance(body.get("Tables"), dict), "Tables is no object")
    for name, table in body["Tables"].items():
        _need(table.get("TableName") == name, f"{name}: TableName is {table.get('TableName')!r}")
        _check_fields(table.get("Fields"))
        order = table.get("FieldOrder")
        _need(isinstance(order, list) and set(order) == set(table["Fields"]), f"{name}: FieldOrder is {order!r}")
        _need(isinstance(table.get("PrimaryKey"), str), f"{name}: PrimaryKey is no text")
        _need(isinstance(table.get("Comment"), str), f"{name}: Comment is no text")
        for member in LISTS:
            _need(table.get(member, 0) is None or isinstance(table.get(member), list), f"{name}: {member} is no list")
    if item.info.content_type != "application/octet-stream":
        _check_headers(item, "schema", None)


def check_table_metadata(key: str, item: StoredObject) -> None:
    """`_metadata.json`: the name, the fields and the time of creation of one table."""
    body = decoded(item.data)
    table = key.split("/")[1]
    _need(body.get("table_name") == table, f"table_name is {body.get('table_name')!r}")
    check_time(body.get("created_at"), "created_at")
    _check_fields(body.get("fields"))
    if item.info.content_type != "application/octet-stream":
        _check_headers(item, "table-metadata", table)


def _check_fields(fields: object) -> None:
    _need(isinstance(fields, dict), "the fields are no object")
    assert isinstance(fields, dict)
    for name, field in fields.items():
        for member, type_ in FIELD_MEMBERS.items():
            _need(member in field and isinstance(field[member], type_), f"{name}: {member} is {field.get(member)!r}")
        _need(field["Name"] == name, f"{name}: Name is {field['Name']!r}")
        _need(field["DataType"] not in ("float", "bytes"), f"{name}: {field['DataType']} is written real or blob")


# ---- this library's own keys


def check_json(key: str, item: StoredObject) -> None:
    decoded(item.data)


def check_entry(key: str, item: StoredObject) -> None:
    """An index entry: column, value, id and tag, of characters that sort alike everywhere."""
    parts = key.split("/")
    _need(len(parts) == 7, "an entry has a column, a value, an id and a tag")
    for part in parts[4:]:
        _need(PART.match(part), f"{part!r} holds characters that servers sort differently")
        _need(len(part.encode()) <= 255, f"{part[:20]!r}... is over 255 bytes")
    _need(not item.data or _is_hashed(parts[5]), "an entry has an empty body unless its id is too long for the key")


def check_claim(key: str, item: StoredObject) -> None:
    """A unique claim: who holds a value."""
    parts = key.split("/")
    _need(len(parts) == 5 and PART.match(parts[4].removesuffix(".json")), "a claim has a column and a value")
    body = decoded(item.data)
    _need({"id", "nonce"} <= set(body) <= {"id", "nonce", "dying"}, f"members are {sorted(body)}")
    _need(body["id"] is None or isinstance(body["id"], str), f"id is {body['id']!r}")
    _need(_is_nonce(body["nonce"]), f"nonce is {body['nonce']!r}")


def check_decision(key: str, item: StoredObject) -> None:
    """The decision of a transaction."""
    body = decoded(item.data)
    _need(body.get("state") in ("committed", "aborted"), f"state is {body.get('state')!r}")


# ---- JSON as Go takes it


def decoded(data: bytes) -> dict[str, Any]:
    """One JSON object, strictly: UTF-8, no NaN, no member twice."""
    try:
        body = json.loads(data.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except ValueError as exc:
        raise BrokenRule(f"not JSON: {exc}") from exc
    _need(isinstance(body, dict), "not a JSON object")
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    _need(len(names) == len(set(names)), f"a member twice: {_repeated(names)}")
    return dict(pairs)


def _repeated(names: list[str]) -> Iterator[str] | list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _constant(name: str) -> Any:
    raise BrokenRule(f"{name} is not JSON")


def _is_nonce(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _is_hashed(part: str) -> bool:
    return len(part) > 100


def _need(holds: object, problem: str) -> None:
    if not holds:
        raise BrokenRule(problem)
