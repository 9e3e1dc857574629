"""What an instrumented database tells: spans and metrics by the semantic conventions, and nothing of what it holds."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fix_server import Server
from fix_storage import s3_store
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import ddao_async as ddao
from ddao_async.contrib.opentelemetry import instrument


class User(ddao.Record, table="users"):
    email: Annotated[str, ddao.Unique()]
    name: str


class Collected:
    """Where the spans and measurements of one test arrive."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader])

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def points(self) -> list[Any]:
        data = self.reader.get_metrics_data()
        (metric,) = [
            metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "db.client.operation.duration"
        ]
        assert metric.unit == "s"
        return list(metric.data.data_points)


@pytest.fixture
def collected() -> Collected:
    return Collected()


async def test_operations_are_spans_and_durations(collected: Collected) -> None:
    async with ddao.connect("memory://") as db:
        await db.create_tables(ddao.Schema.of(User))
        instrument(db, tracer_provider=collected.tracers, meter_provider=collected.meters)
        users = db.repository(User)
        ann = await users.insert(User(email="secret@example.com", name="Ann"))
        await users.get(ann.id)
        assert [user.id async for user in users.find(name="Ann").order_by("-name").limit(3)] == [ann.id]
        await users.get_many([ann.id, "nobody"])
        async with db.transaction() as tx:
            await tx.repository(User).modify(ann.id, lambda user: user)
        with pytest.raises(ddao.NotFoundError):
            await users.get("nobody")

    spans = collected.spans()
    assert [span.name for span in spans] == [
        "insert users",
        "get users",
        "find users",
        "get_many users",
        "modify users",
        "commit",
        "get users",
    ]
    assert dict(spans[0].attributes or {}) == {
        "db.system.name": "ddao_async",
        "db.operation.name": "insert",
        "db.collection.name": "users",
    }
    assert (spans[3].attributes or {})["db.operation.batch.size"] == 2
    assert (spans[-1].status.status_code, (spans[-1].attributes or {})["error.type"]) == (
        StatusCode.ERROR,
        "NotFoundError",
    )
    assert not any("secret" in str(span.to_json()) for span in spans)
    counts = {
        (point.attributes["db.operation.name"], point.attributes.get("error.type")): point.count
        for point in collected.points()
    }
    assert counts[("get", None)] == counts[("get", "NotFoundError")] == counts[("insert", None)] == 1


@pytest.mark.parametrize("lane", ["wire", "aiobotocore"])
async def test_requests_are_children_of_their_operation(collected: Collected, moto_server: Server, lane: str) -> None:
    store = s3_store(moto_server, moto_server.create_bucket(), "app", transport=lane)
    async with ddao.Database(store) as db:
        await db.create_tables(ddao.Schema.of(User))
        instrument(db, requests=True, tracer_provider=collected.tracers, meter_provider=collected.meters)
        users = db.repository(User)
        await users.insert(User(id="ann", email="a@b.c", name="Ann"))
        collected.exporter.clear()
        await users.find_by_key("email", "a@b.c")

    claim, document, find = collected.spans()
    assert find.name == "find users"
    assert find.attributes is not None
    assert (find.attributes["db.namespace"], find.attributes["server.address"]) == (store.settings.bucket, "127.0.0.1")
    for request in (claim, document):
        assert request.parent is not None
        assert request.parent.span_id == find.context.span_id
        assert request.name == "GET"
        assert request.attributes is not None
        assert (request.attributes["http.response.status_code"], request.attributes["ddao.lane"]) == (200, lane)
        assert request.attributes["http.request.resend_count"] == 0
    assert document.attributes is not None
    assert document.attributes["aws.s3.key"] == "app/tables/users/objects/ann.json"


async def test_a_search_that_is_left_early_is_no_error(collected: Collected) -> None:
    async with ddao.connect("memory://") as db:
        await db.create_tables(ddao.Schema.of(User))
        instrument(db, tracer_provider=collected.tracers, meter_provider=collected.meters)
        users = db.repository(User)
        for n in range(3):
            await users.insert(User(email=f"{n}@x", name="x"))
        found = users.find(name="x").__aiter__()
        await anext(found)
        await found.aclose()  # type: ignore[attr-defined]

    (span,) = [span for span in collected.spans() if span.name == "find users"]
    assert span.status.status_code is not StatusCode.ERROR


async def test_a_store_without_requests_says_so(collected: Collected) -> None:
    async with ddao.connect("memory://") as db:
        with pytest.raises(ddao.UnsupportedError, match="requests=True"):
            instrument(db, requests=True, tracer_provider=collected.tracers)
