"""
OpenTelemetry: database spans and metrics by the stable semantic conventions, request spans on demand.

    async with ddao.connect(url) as db:
        instrument(db)                               # spans `insert users`, metric db.client.operation.duration
        instrument(db, requests=True)                # and below each the requests to the bucket, every attempt

Only the database that is instrumented changes: its repositories become traced ones. One that is not pays nothing, there
is no hook to ask. Spans carry `db.system.name`, `db.namespace`, `db.collection.name`, `db.operation.name`,
`db.operation.batch.size`, `server.address`, `server.port`, and on failure `error.type` and `db.response.status_code`; a
request's span carries those of the HTTP conventions, the key as `aws.s3.key`, and which attempt it was. No value of a
document is ever recorded.

Source: OpenTelemetry semantic conventions 1.30 and newer, "Database client spans", "Database client metrics", "HTTP
client spans".
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from ..database import Database
from ..errors import StoreError, UnsupportedError
from ..many import InsertReport, OnConflict
from ..model.annotation import table_of
from ..model.predicate import Predicate
from ..query import Page, Query
from ..repository import Repository, Snapshot
from ..storage.batch import CONCURRENCY
from ..storage.protocol import BatchResult
from ..storage.watch import Sent
from ..transacted import Transaction

T = TypeVar("T")
SYSTEM = "ddao_async"
BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Of the duration histogram, in seconds, as the conventions advise."""

METHODS = {"put": "PUT", "get": "GET", "head": "HEAD", "delete": "DELETE", "list": "GET"} | {
    "head_bucket": "HEAD",
    "create_bucket": "PUT",
    "delete_objects": "POST",
    "copy": "PUT",
    "create_upload": "POST",
    "upload_part": "PUT",
    "complete_upload": "POST",
    "abort_upload": "DELETE",
}
_NOTHING: nullcontext[None] = nullcontext()


class Telemetry:
    """
    Where spans and measurements of one database go.

    Args:
        tracer: Makes the spans.
        duration: The histogram `db.client.operation.duration`, in seconds.
        place: Attributes that all of them share.
    """

    def __init__(self, tracer: Tracer, duration: metrics.Histogram, place: dict[str, str | int]) -> None:
        self._tracer = tracer
        self._duration = duration
        self._place = place

    @contextmanager
    def operation(
        self, name: str, table: str | None = None, *, size: int | None = None, is_current: bool = True
    ) -> Generator[Span, None, None]:
        """A span around one operation of `size` documents, and its duration in the histogram."""
        attributes: dict[str, str | int] = {**self._place, "db.operation.name": name}
        if table is not None:
            attributes["db.collection.name"] = table
        measured = dict(attributes)
        if size is not None and size > 1:
            attributes["db.operation.batch.size"] = size
        title = name if table is None else f"{name} {table}"
        started = time.perf_counter()
        span = self._tracer.start_span(title, kind=SpanKind.CLIENT, attributes=attributes)
        with trace.use_span(span, record_exception=False, set_status_on_exception=False) if is_current else _NOTHING:
            try:
                yield span
            except GeneratorExit:
                raise  # the caller has seen enough
            except BaseException as error:
                failure: dict[str, str | int] = {"error.type": type(error).__name__}
                if isinstance(error, StoreError) and error.code:
                    failure["db.response.status_code"] = error.code
                span.set_attributes(failure)
                span.set_status(Status(StatusCode.ERROR))
                measured |= failure
                raise
            finally:
                span.end()
                self._duration.record(time.perf_counter() - started, measured)


def instrument(
    db: Database,
    *,
    requests: bool = False,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Database:
    """
    Trace one database, from its next repository on. Call it before repositories are made.

    Args:
        requests: A span for each request to the bucket too, every attempt of it (S3 only).
        tracer_provider: Default: the global one.
        meter_provider: Default: the global one.

    Returns:
        The same database.
    """
    tracer = trace.get_tracer("ddao_async", tracer_provider=tracer_provider)
    meter = metrics.get_meter("ddao_async", meter_provider=meter_provider)
    duration = meter.create_histogram(
        "db.client.operation.duration",
        unit="s",
        description="Duration of database client operations.",
        explicit_bucket_boundaries_advisory=BUCKETS,
    )
    telemetry = Telemetry(tracer, duration, _place(db.store))

    def repository(kind: Any) -> Repository[Any]:
        return TracedRepository(db, kind, telemetry)

    db.repository = repository  # type: ignore[method-assign]
    db.transaction = lambda: TracedTransaction(db, telemetry)  # type: ignore[method-assign]
    if requests:
        watch = getattr(db.store, "watch", None)
        if watch is None:
            raise UnsupportedError(f"{db.store!r} sends no requests to trace.", hint="Leave out requests=True.")
        watch(RequestSpans(tracer, _place(db.store)))
    return db


def _place(store: Any) -> dict[str, str | int]:
    """Where the database is: the bucket as the conventions' namespace, and the server's address."""
    place: dict[str, str | int] = {"db.system.name": SYSTEM}
    address = str(getattr(store, "address", ""))
    if address:
        parts = urlsplit(address)
        place["db.namespace"] = parts.path.lstrip("/")
        place["server.address"] = parts.hostname or ""
        place["server.port"] = parts.port or (443 if parts.scheme == "https" else 80)
    return place


class TracedTransaction(Transaction):
    """A transaction that makes a span of its end, and whose repositories are traced."""

    def __init__(self, database: Database, telemetry: Telemetry) -> None:
        super().__init__(database)
        self._telemetry = telemetry

    def repository(self, kind: Any) -> Repository[Any]:
        return TracedRepository(self, kind, self._telemetry)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._telemetry.operation("commit" if kind is None else "rollback"):
            await super().__aexit__(kind, error, traceback)


class TracedRepository(Repository[T]):
    """A repository that makes a span of each operation."""

    def __init__(self, origin: Any, kind: type[T] | str, telemetry: Telemetry) -> None:
        super().__init__(origin, kind)
        self._telemetry = telemetry
        self._plain: Repository[T] = Repository(origin, kind)  # of the many in one call, each is no span of its own
        self._table = kind if isinstance(kind, str) else table_of(cast(Any, kind)).name

    async def get(self, id: str) -> T:
        with self._telemetry.operation("get", self._table):
            return await super().get(id)

    async def find_by_id(self, id: str) -> T | None:
        with self._telemetry.operation("find_by_id", self._table):
            return await super().find_by_id(id)

    async def read(self, id: str) -> Snapshot[T]:
        with self._telemetry.operation("read", self._table):
            return await super().read(id)

    async def insert(self, record: T) -> T:
        with self._telemetry.operation("insert", self._table):
            return await super().insert(record)

    async def update(self, record: T, *, if_version: Any = msgspec.UNSET) -> T:
        with self._telemetry.operation("update", self._table):
            return await super().update(record, if_version=if_version)

    async def upsert(self, record: T) -> bool:
        with self._telemetry.operation("upsert", self._table):
            return await super().upsert(record)

    async def delete(self, id: str, *, if_version: Any = msgspec.UNSET) -> bool:
        with self._telemetry.operation("delete", self._table):
            return await super().delete(id, if_version=if_version)

    async def modify(self, id: str, change: Callable[[T], T | Awaitable[T]]) -> T:
        with self._telemetry.operation("modify", self._table):
            return await super().modify(id, change)

    def find(self, *predicates: Predicate, **equal: object) -> Query[T]:
        return TracedQuery(super().find(*predicates, **equal), self._telemetry, self._table)

    async def insert_many(
        self,
        records: Iterable[T] | AsyncIterable[T],
        *,
        concurrency: int = CONCURRENCY,
        on_conflict: OnConflict = "error",
    ) -> InsertReport:
        with self._telemetry.operation("insert_many", self._table):
            return await self._plain.insert_many(records, concurrency=concurrency, on_conflict=on_conflict)

    async def get_many(self, ids: Sequence[str], *, concurrency: int = CONCURRENCY) -> list[T | None]:
        with self._telemetry.operation("get_many", self._table, size=len(ids)):
            return await self._plain.get_many(ids, concurrency=concurrency)

    async def delete_many(
        self, ids: Iterable[str] | AsyncIterable[str], *, concurrency: int = CONCURRENCY
    ) -> BatchResult:
        with self._telemetry.operation("delete_many", self._table):
            return await self._plain.delete_many(ids, concurrency=concurrency)


class TracedQuery(Query[T]):
    """A query that makes a span of each run."""

    def __init__(self, query: Query[T], telemetry: Telemetry, table: str) -> None:
        self.__dict__.update(vars(query))
        self._telemetry = telemetry
        self._table = table

    def order_by(self, column: str) -> Query[T]:
        return TracedQuery(super().order_by(column), self._telemetry, self._table)

    def limit(self, count: int) -> Query[T]:
        return TracedQuery(super().limit(count), self._telemetry, self._table)

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        # Not the current span: what the loop's body does between two results is not part of the search.
        with self._telemetry.operation("find", self._table, is_current=False):
            async for value in super().__aiter__():
                yield value

    async def first(self) -> T | None:
        with self._telemetry.operation("find", self._table):
            return await super().first()

    async def page(self, *, size: int = 50, after: str | None = None) -> Page[T]:
        with self._telemetry.operation("find", self._table):
            return await super().page(size=size, after=after)

    async def count(self, *, estimate: bool = False) -> int:
        with self._telemetry.operation("count", self._table):
            return await super().count(estimate=estimate)


class RequestSpans:
    """Makes a span of each request that has been sent, by the HTTP conventions; a child of the operation's."""

    def __init__(self, tracer: Tracer, place: dict[str, str | int]) -> None:
        self._tracer = tracer
        self._place = {name: value for name, value in place.items() if name.startswith("server.")}
        self._bucket = str(place.get("db.namespace", ""))

    def __call__(self, sent: Sent) -> None:
        ended = time.time_ns()
        method = METHODS[sent.operation]
        span = self._tracer.start_span(
            method,
            kind=SpanKind.CLIENT,
            start_time=ended - int(sent.seconds * 1e9),
            attributes={
                **self._place,
                "http.request.method": method,
                "http.request.resend_count": sent.attempt - 1,
                "aws.s3.bucket": self._bucket,
                "aws.s3.key": sent.key,
                "ddao.lane": sent.lane,
                "ddao.operation": sent.operation,
            },
        )
        if sent.status is None:
            span.set_attribute("error.type", sent.failure)
            span.set_status(Status(StatusCode.ERROR))
        else:
            span.set_attribute("http.response.status_code", sent.status)
            if sent.status >= 400:
                span.set_attribute("error.type", sent.failure or str(sent.status))
                span.set_status(Status(StatusCode.ERROR))
        span.end(ended)
