"""
FastAPI: one call that gives a service its database, and three annotations that hand it out.

    app = FastAPI()
    install(app, schema=ddao.Schema.of(User))          # DDAO_URL; opened and closed with the app

    @app.get("/users/{id}")
    async def get_user(id: str, users: Repo[User], request: Request) -> Json[User]:
        return await answer(request, users, id)        # ETag, 304, 404

* `Db` is the open `Database`, `Repo[User]` its typed repository.
* `Json[User]` is a record as a request or response body: checked by msgspec, its JSON schema in the OpenAPI document.
* `answer`, `store`, `remove` are GET, PUT and DELETE of one document with HTTP's conditions; `page_of` is a page with
  its `Link` header. Errors become problem+json answers as `contrib.http` says.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from fastapi import Body, Depends, FastAPI, Request, Response
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..database import Database
from ..errors import ConfigurationError, DDAOError
from ..model.record import Record
from ..model.schema import Schema
from ..opening import connect
from ..query import Query
from ..repository import Repository
from . import http

T = TypeVar("T", bound=Record)
_log = logging.getLogger("ddao_async.fastapi")


def install(
    app: FastAPI, url: str | None = None, *, schema: Schema | None = None, create_tables: bool = True, **options: Any
) -> None:
    """
    Give an app its database: opened when it starts, closed when it has stopped; errors become HTTP answers.

    Call it once, before the app starts. A lifespan that the app already has runs inside the database's.

    Args:
        url: Connection string; default: the environment's `DDAO_URL`, read when the app starts.
        schema: The tables; created at start unless `create_tables` is False.
        options: As for `ddao.connect`.
    """
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(running: FastAPI) -> AsyncGenerator[Any]:
        where = url or os.environ.get("DDAO_URL")
        if not where:
            raise ConfigurationError("No database is configured.", hint="Set DDAO_URL, or pass install(app, url).")
        async with connect(where, schema=schema, **options) as db:
            if schema is not None and create_tables:
                await db.create_tables(schema)
            running.state.ddao = db
            running.state.ddao_repositories = {}  # making one costs more than using it
            async with inner(running) as state:
                yield state

    app.router.lifespan_context = lifespan
    app.openapi = _hoisted(app.openapi)  # type: ignore[method-assign]
    app.add_exception_handler(DDAOError, _refuse)  # pyright: ignore[reportArgumentType]


async def _refuse(request: Request, error: DDAOError) -> Response:
    problem = http.problem(error)
    if problem.status >= 500:
        _log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return Response(problem.body, problem.status, problem.headers)


async def database(request: Request) -> Database:
    """The app's open database; the dependency behind `Db`."""
    try:
        return request.app.state.ddao
    except AttributeError:
        raise ConfigurationError("This app has no database.", hint="Call install(app) before it starts.") from None


Db = Annotated[Database, Depends(database)]

if TYPE_CHECKING:
    Repo = Repository
    Json = Annotated[T, None]
else:

    class Repo:
        """`Repo[User]`: the repository of a record type, from the app's database."""

        def __class_getitem__(cls, record: type) -> Any:
            async def repository(request: Request, db: Db) -> Any:
                made = request.app.state.ddao_repositories
                if record not in made:
                    made[record] = db.repository(record)
                return made[record]

            return Annotated[Repository, Depends(repository)]

    class Json:
        """`Json[User]`: a record as a JSON body, in a request or in an answer."""

        def __class_getitem__(cls, record: type) -> Any:
            return Annotated[record, Body(), _Schema(record)]


class _Schema:
    """Tells pydantic how msgspec reads, writes and describes a record."""

    def __init__(self, record: type[Any]) -> None:
        self._record = record

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def checked(value: Any) -> Any:
            if isinstance(value, self._record):
                return value
            try:
                return msgspec.convert(value, self._record, strict=True, builtin_types=())
            except msgspec.ValidationError as exc:
                raise PydanticCustomError("record", "{reason}", {"reason": str(exc)}) from exc

        return core_schema.no_info_plain_validator_function(
            checked, serialization=core_schema.plain_serializer_function_ser_schema(msgspec.to_builtins)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return json_schema(self._record)


def json_schema(record: type[Any]) -> dict[str, Any]:
    """The JSON schema of a record; what it refers to stands in its `$defs` until `_hoisted` puts it where it says."""
    (schema,), components = msgspec.json.schema_components([record], ref_template=_REF)
    return {**schema, "$defs": components}


_REF = "#/components/schemas/{name}"


def _hoisted(openapi: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """The app's OpenAPI document with the schemas of records among its components."""

    def document() -> dict[str, Any]:
        whole = openapi()
        found: dict[str, Any] = {}
        _take_definitions(whole, found)
        if found:
            schemas = whole.setdefault("components", {}).setdefault("schemas", {})
            whole["components"]["schemas"] = dict(sorted({**schemas, **found}.items()))
        return whole

    return document


def _take_definitions(node: Any, found: dict[str, Any]) -> None:
    if isinstance(node, dict):
        found.update(node.pop("$defs", {}))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        for value in node.values():  # pyright: ignore[reportUnknownVariableType]
            _take_definitions(value, found)
    elif isinstance(node, list):
        for value in node:  # pyright: ignore[reportUnknownVariableType]
            _take_definitions(value, found)


# ---- one document over HTTP


async def answer(request: Request, repository: Repository[T], id: str) -> Response:
    """
    GET: the document with its version as ETag; 304 where `If-None-Match` names it.

    Raises:
        NotFoundError: There is none (404).
    """
    found = await repository.read(id)
    headers = {"ETag": http.etag(found.version)}
    if http.is_not_modified(request.headers.get("if-none-match"), found.version):
        return Response(status_code=304, headers=headers)
    return Response(msgspec.json.encode(found.value), 200, headers, "application/json")


async def store(request: Request, repository: Repository[T], id: str, record: T) -> Response:
    """
    PUT: insert or replace the document of this id: 201 when new, 204 when replaced.

    `If-Match` replaces only that version and `If-None-Match: *` only inserts; otherwise 412.
    """
    headers = request.headers
    record = http.named(record, id)
    created = await http.store(repository, record, headers.get("if-match"), headers.get("if-none-match"))
    return Response(status_code=201 if created else 204)


async def remove(request: Request, repository: Repository[T], id: str) -> Response:
    """
    DELETE: 204; with `If-Match` only that version, otherwise 412.

    Raises:
        NotFoundError: There is none (404).
    """
    await http.remove(repository, id, request.headers.get("if-match"))
    return Response(status_code=204)


async def page_of(request: Request, query: Query[T], *, size: int = 50, cursor: str | None = None) -> Response:
    """A page of a search as a JSON array; the next one is where its `Link` header says."""
    found = await query.page(size=size, after=cursor)
    where = http.link(request.url.path, dict(request.query_params), found.next)
    return Response(msgspec.json.encode(found.items), 200, {"Link": where} if where else None, "application/json")
