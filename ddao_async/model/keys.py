"""
The only place that knows the key layout.

    _schema.json                                      summary of all tables (shared with Go)
    _ddao.json                                        what the server was found to enforce
    tables/users/_metadata.json                       columns of one table (shared with Go)
    tables/users/_state.json                          its indexes, how it deletes
    tables/users/objects/ann.json                     the document "ann" (shared with Go)
    tables/users/_indexes/age/<value>/<id>/<tag>      one index entry
    tables/users/_uniques/email/<value>.json          one unique claim
    _transactions/<txid>.json                         one decision
    _leases/<name>.json                               one lease
    _imports/<name>/...                               one import's journal
    _probe/<nonce>/...                                throw-away keys of one probe of the server

Keys are relative to the store's prefix. Rules for names: layout.md, "Keys".
"""

from __future__ import annotations

import re

from ..errors import ValidationError

SCHEMA_KEY = "_schema.json"
SERVER_KEY = "_ddao.json"
TABLES_PREFIX = "tables/"
TRANSACTIONS_PREFIX = "_transactions/"
LEASES_PREFIX = "_leases/"
IMPORTS_PREFIX = "_imports/"
PROBES_PREFIX = "_probe/"

MAX_KEY_BYTES = 1024
"""S3's limit for a whole key, in bytes of UTF-8, the store's prefix included."""

_TABLE = re.compile(r"[A-Za-z0-9.-][A-Za-z0-9_.-]*\Z")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_~-]{1,200}\Z")
_ID_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_table(name: str) -> str:
    """Return the table name, or raise a ValidationError that names the rule it breaks."""
    if not isinstance(name, str) or not _TABLE.match(name) or name.startswith("."):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(
            f"{name!r} is not a table name.",
            hint="Use letters, digits, '_', '-' and '.', not starting with '_' or '.'.",
        )
    return name


def check_id(id: str) -> str:
    """Return the id, or raise a ValidationError that names the rule it breaks."""
    if isinstance(id, str) and _PLAIN_ID.match(id):  # pyright: ignore[reportUnnecessaryIsInstance]
        return id
    if not isinstance(id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValidationError(f"An id is a string, not {type(id).__name__}.", hint="Convert it with str().")
    rule = None
    if not id:
        rule = "it must not be empty"
    elif _ID_REFUSED.search(id):
        rule = "it must not hold control characters or lone surrogates"
    elif id.startswith("/") or id.endswith("/"):
        rule = "it must not start or end with '/'"
    elif "//" in id:
        rule = "it must not hold '//'"
    elif any(part in (".", "..") for part in id.split("/")):
        rule = "it must not have a '.' or '..' segment"
    if rule:
        raise ValidationError(f"{id!r} is not an id: {rule}.", hint="Choose another id.")
    return id


def check_key_bytes(key: str, prefix: str = "") -> str:
    """Return the key, or raise a ValidationError if it is over S3's 1,024 bytes with the prefix in front."""
    length = len(prefix.encode()) + len(key.encode())
    if length > MAX_KEY_BYTES:
        raise ValidationError(
            f"The key {key[:60]!r}... is {length} bytes long; a key has at most {MAX_KEY_BYTES}.",
            hint="Use a shorter id, table name or prefix.",
        )
    return key


def metadata_key(table: str) -> str:
    return f"tables/{table}/_metadata.json"


def state_key(table: str) -> str:
    return f"tables/{table}/_state.json"


def objects_prefix(table: str) -> str:
    return f"tables/{table}/objects/"


def object_key(table: str, id: str) -> str:
    """The key of a document. Table and id must have been checked."""
    return f"tables/{table}/objects/{id}.json"


def object_id(table: str, key: str) -> str | None:
    """The id in the key of a document of this table; None if the key is not of that form."""
    prefix = objects_prefix(table)
    if key.startswith(prefix) and key.endswith(".json") and len(key) > len(prefix) + 5:
        return key[len(prefix) : -5]
    return None


def document_of(key: str) -> tuple[str, str] | None:
    """Table and id in the key of a document; None if the key is not of that form."""
    parts = key.split("/", 2)
    found = object_id(parts[1], key) if len(parts) == 3 and parts[0] == "tables" else None
    return None if found is None else (parts[1], found)


def indexes_prefix(table: str) -> str:
    return f"tables/{table}/_indexes/"


def uniques_prefix(table: str) -> str:
    return f"tables/{table}/_uniques/"


def index_prefix(table: str, column: str) -> str:
    return f"tables/{table}/_indexes/{column}/"


def unique_prefix(table: str, column: str) -> str:
    return f"tables/{table}/_uniques/{column}/"


def entry_key(table: str, column: str, value: str, id: str, tag: str) -> str:
    """The key of one index entry; value and id encoded as `model.index` says."""
    return f"tables/{table}/_indexes/{column}/{value}/{id}/{tag}"


def claim_key(table: str, column: str, value: str) -> str:
    """The key of one unique claim; value encoded as `model.index` says."""
    return f"tables/{table}/_uniques/{column}/{value}.json"


def decision_key(txid: str) -> str:
    return f"_transactions/{txid}.json"


def lease_key(name: str) -> str:
    return f"_leases/{name}.json"


def import_key(name: str, part: str) -> str:
    """The key of one object of an import's journal."""
    return f"_imports/{name}/{part}.json"
