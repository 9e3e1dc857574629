"""The doctor: what it says of healthy and unhealthy stores, step by step."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fix_server import Server, free_port, new_bucket_name
from fix_storage import s3_store
from lax_store import LaxStore

from ddao_async.config import Credentials
from ddao_async.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConnectionTimeoutError,
    InvalidCredentialsError,
)
from ddao_async.maintenance.doctor import Health, Step, diagnose
from ddao_async.storage.capability import learned
from ddao_async.storage.memory import MemoryAdapter
from ddao_async.storage.protocol import Capabilities, ObjectInfo

LOOKS = ["connection", "credentials", "bucket", "region", "clock", "write", "read", "list", "delete"]
INDEX = {"build": "b", "columns": ["age"], "types": ["integer"]}
PROMISES = ["conditional put", "conditional delete", "list order"]


async def examined(store: Any, **options: Any) -> dict[str, Step]:
    return {step.name: step async for step in diagnose(store, **options)}


def document(id: str, table: str = "users", **members: Any) -> bytes:
    times = {"created_at": "2026-11-22T10:17:41Z", "updated_at": "2026-11-22T10:17:41Z"}
    return json.dumps({"id": id, "table_name": table, "fields": {}, **times, **members}).encode()


async def test_a_healthy_store_is_all_ok_in_order() -> None:
    steps = await examined(MemoryAdapter())

    assert list(steps) == LOOKS + PROMISES
    assert {step.health for step in steps.values()} == {Health.OK}


async def test_leaves_nothing_but_the_record() -> None:
    store = LaxStore()
    await examined(store)

    assert [info.key async for info in store.memory.list()] == ["_ddao.json"]


async def test_says_what_is_not_enforced_and_what_follows() -> None:
    """On a server like rclone or MinIO each broken promise is named, with its consequence, and recorded."""
    store = LaxStore("create", "replace", "delete", by_directory=True)
    steps = await examined(store)

    assert [steps[name].health for name in PROMISES] == [Health.NOTE] * 3
    assert "If-None-Match: * on an existing key: done" in steps["conditional put"].detail
    assert "transactions and leases are refused" in steps["conditional put"].hint
    assert "DELETE If-Match with a wrong etag: deleted" in steps["conditional delete"].detail
    assert "vacuum" in steps["conditional delete"].hint
    assert "n/a, n-b" in steps["list order"].detail
    assert await learned(store) == Capabilities(False, False, False)


async def test_looks_anew_at_what_was_recorded() -> None:
    """A server that was upgraded is believed after the doctor has seen it."""
    memory = MemoryAdapter()
    await examined(LaxStore("delete", memory=memory))
    await examined(LaxStore(memory=memory))

    assert (await learned(LaxStore(memory=memory))).conditional_delete is True


@pytest.mark.parametrize(
    ("error", "failed", "before"),
    [
        (ConnectionTimeoutError("No answer.", hint="Check the endpoint."), "connection", []),
        (InvalidCredentialsError("Unknown key.", status=403, hint="Check it."), "credentials", ["connection"]),
        (InvalidCredentialsError("None found.", hint="Set AWS_ACCESS_KEY_ID."), "credentials", []),
        (BucketNotFoundError("No bucket.", hint="Create it."), "bucket", ["connection", "credentials"]),
    ],
)
async def test_names_the_step_that_failed(error: Exception, failed: str, before: list[str]) -> None:
    """The first request tells which of connection, credentials and bucket is wrong; what cannot work is skipped."""

    class Broken(MemoryAdapter):
        async def check(self) -> None:
            raise error

    steps = await examined(Broken())

    assert list(steps) == [*before, failed, "objects"]
    assert steps[failed].health is Health.FAILED
    assert steps[failed].hint == error.hint  # type: ignore[attr-defined]
    assert steps["objects"].health is Health.SKIPPED


async def test_read_only_credentials_still_get_their_tables_examined() -> None:
    class ReadOnly(LaxStore):
        async def put(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
            raise AccessDeniedError("Access denied.", operation="put", key=key, hint="Grant s3:PutObject.")

    store = ReadOnly()
    await store.memory.put("tables/users/objects/ann.json", document("ann", revision="r1"))
    steps = await examined(store)

    assert (steps["write"].health, steps["write"].hint) == (Health.FAILED, "Grant s3:PutObject.")
    assert steps["conditions"].health is Health.SKIPPED
    assert steps["table users"].health is Health.OK


@pytest.mark.parametrize(("skew", "said"), [(300.0, "300 s ahead of"), (-90.0, "90 s behind")])
async def test_notes_a_clock_that_is_wrong(skew: float, said: str) -> None:
    at = time.time()
    steps = await examined(MemoryAdapter(clock=lambda: at), now=lambda: at + skew)

    assert steps["clock"].health is Health.NOTE
    assert said in steps["clock"].detail


async def test_a_store_that_forgets_what_it_took() -> None:
    """Lists and reads are compared with what was written, not believed."""

    class Forgetful(LaxStore):
        async def put(self, key: str, data: bytes, **options: Any) -> ObjectInfo:
            return await super().put(key, b"something else", **options)

    steps = await examined(Forgetful())

    assert steps["read"].health is Health.FAILED


@pytest.fixture
async def table() -> MemoryAdapter:
    store = MemoryAdapter()
    await store.put("tables/users/objects/ann.json", document("ann", revision="r1"))
    return store


async def test_a_table_in_order(table: MemoryAdapter) -> None:
    state = {"nonce": "n", "transactions": True, "indexes": {"age": INDEX | {"state": "complete"}}}
    await table.put("tables/users/_state.json", json.dumps(state).encode())
    step = (await examined(table))["table users"]

    assert (step.health, step.detail) == (Health.OK, "1 document; indexes: age complete.")


async def test_documents_of_another_tool_are_counted(table: MemoryAdapter) -> None:
    await table.put("tables/users/objects/bob.json", document("bob"))
    step = (await examined(table))["table users"]

    assert step.health is Health.NOTE
    assert "2 documents; 1 without revision" in step.detail
    assert "reindex users" in step.hint


async def test_an_index_that_searches_cannot_use_yet(table: MemoryAdapter) -> None:
    """Half built ones and declared ones that nobody built are both named."""
    state = {"nonce": "n", "transactions": True, "indexes": {"age": INDEX | {"state": "building"}}}
    fields = {"age": {"Index": True}, "email": {"Unique": True}, "name": {"Index": False, "Unique": False}}
    await table.put("tables/users/_state.json", json.dumps(state).encode())
    await table.put("tables/users/_metadata.json", json.dumps({"table_name": "users", "fields": fields}).encode())
    step = (await examined(table))["table users"]

    assert step.health is Health.NOTE
    assert "searches on age, email scan" in step.hint


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"id":"bob"', document("rob"), b"\xff"])
async def test_objects_that_are_no_documents_fail(table: MemoryAdapter, body: bytes) -> None:
    await table.put("tables/users/objects/bob.json", body)
    step = (await examined(table))["table users"]

    assert step.health is Health.FAILED
    assert "tables/users/objects/bob.json" in step.detail


async def test_reads_a_sample_of_a_large_table(table: MemoryAdapter) -> None:
    for n in range(20):
        await table.put(f"tables/users/objects/{n}.json", document(str(n), revision="r"))
    step = (await examined(table, sample=10))["table users"]

    assert "10 documents read, there are more" in step.detail


# ---- real servers


async def test_a_server_that_is_not_there(moto_server: Server) -> None:
    steps = await examined_at(moto_server, endpoint=f"http://127.0.0.1:{free_port()}", deadline=2.0)

    assert list(steps) == ["connection", "objects"]
    assert "Check that the server runs" in steps["connection"].hint


async def test_a_healthy_server(moto_server: Server) -> None:
    steps = await examined_at(moto_server, bucket=moto_server.create_bucket(), region="eu-west-1")

    assert {step.health for step in steps.values()} == {Health.OK}
    assert steps["connection"].detail.startswith(moto_server.url)
    assert steps["region"].detail == "Requests are signed for eu-west-1."


async def test_a_bucket_that_is_not_there(seaweedfs: Server) -> None:
    steps = await examined_at(seaweedfs, bucket=new_bucket_name())

    assert list(steps) == ["connection", "credentials", "bucket", "objects"]
    assert steps["bucket"].health is Health.FAILED
    assert steps["bucket"].hint


@pytest.mark.parametrize(
    "credentials", [Credentials("nobody", "secret"), Credentials("labaccess", "wrong")], ids=["key", "secret"]
)
async def test_credentials_that_the_server_does_not_know(seaweedfs: Server, credentials: Credentials) -> None:
    steps = await examined_at(seaweedfs, bucket=seaweedfs.create_bucket(), credentials=credentials)

    assert list(steps) == ["connection", "credentials", "objects"]
    assert steps["credentials"].health is Health.FAILED
    assert "wrong" not in repr(steps)


async def test_credentials_that_may_only_read(seaweedfs: Server) -> None:
    """What they may do is examined, what they may not is named, and the tables are looked at."""
    bucket = seaweedfs.create_bucket()
    async with s3_store(seaweedfs, bucket) as store:
        await store.put("tables/users/objects/ann.json", document("ann"))
    reader = Credentials(seaweedfs.reader_access_key, seaweedfs.reader_secret_key)
    steps = await examined_at(seaweedfs, bucket=bucket, credentials=reader)

    assert steps["write"].health is Health.FAILED
    assert steps["write"].hint
    assert steps["table users"].health is Health.NOTE
    assert "1 without revision" in steps["table users"].detail


async def examined_at(server: Server, *, bucket: str = "bucket", **options: Any) -> dict[str, Step]:
    async with s3_store(server, bucket, **options) as store:
        return await examined(store)
