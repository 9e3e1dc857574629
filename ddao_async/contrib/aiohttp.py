"""
aiohttp: one call that gives an application its database, and functions that hand it out.

    app = web.Application()
    install(app, schema=ddao.Schema.of(User))          # DDAO_URL; opened and closed with the app

    @routes.get("/users/{id}")
    async def get_user(request: web.Request) -> web.Response:
        return await answer(request, repository(request, User), request.match_info["id"])   # ETag, 304, 404

* `database(request)` is the open `Database`, `repository(request, User)` its typed repository, `body(request, User)`
  the request's body as a record, checked.
* `answer`, `store`, `remove` are GET, PUT and DELETE of one document with HTTP's conditions; `page_of` is a page with
  its `Link` header. Errors become problem+json answers as `contrib.http` says.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from ..database import Database
from ..errors import ConfigurationError, DDAOError, ValidationError
from ..model.record import Record
from ..model.schema import Schema
from ..opening import connect
from ..query import Query
from ..repository import Repository
from . import http

T = TypeVar("T", bound=Record)
DATABASE = web.AppKey("ddao", Database)
"""Where the open database lies in the application."""

_REPOSITORIES = web.AppKey("ddao_repositories", dict[type[Record], Repository[Any]])
_log = logging.getLogger("ddao_async.aiohttp")


def install(
    app: web.Application,
    url: str | None = None,
    *,
    schema: Schema | None = None,
    create_tables: bool = True,
    **options: Any,
) -> None:
    """
    Give an application its database: opened when it starts, closed after clean-up; errors become HTTP answers.

    Args:
        url: Connection string; default: the environment's `DDAO_URL`, read when the application starts.
        schema: The tables; created at start unless `create_tables` is False.
        options: As for `ddao.connect`.
    """

    async def lifetime(running: web.Application) -> AsyncIterator[None]:
        where = url or os.environ.get("DDAO_URL")
        if not where:
            raise ConfigurationError("No database is configured.", hint="Set DDAO_URL, or pass install(app, url).")
        async with connect(where, schema=schema, **options) as db:
            if schema is not None and create_tables:
                await db.create_tables(schema)
            running[DATABASE] = db
            yield

    app[_REPOSITORIES] = {}
    app.cleanup_ctx.insert(0, lifetime)
    app.middlewares.append(problems)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with problem+json where the handler raises an error of this library."""
    try:
        return await handler(request)
    except DDAOError as error:
        problem = http.problem(error)
        if problem.status >= 500:
            _log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
        return web.Response(body=problem.body, status=problem.status, headers=problem.headers)


def database(request: web.Request) -> Database:
    """The application's open database."""
    try:
        return request.app[DATABASE]
    except KeyError:
        raise ConfigurationError(
            "This application has no database.", hint="Call install(app) before it starts."
        ) from None


def repository(request: web.Request, kind: type[T]) -> Repository[T]:
    """The repository of a record type; made once per application."""
    made = request.app[_REPOSITORIES]
    if kind not in made:
        made[kind] = database(request).repository(kind)
    return made[kind]


async def body(request: web.Request, kind: type[T]) -> T:
    """
    The request's JSON body as a record.

    Raises:
        ValidationError: It is not JSON, or does not fit (422).
    """
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValidationError(f"The body is not a {kind.__name__}: {error}.", hint="Send it as JSON.") from error


def reply(record: Record, *, status: int = 200) -> web.Response:
    """A record as a JSON answer."""
    return web.Response(body=msgspec.json.encode(record), status=status, content_type="application/json")


# ---- one document over HTTP


async def answer(request: web.Request, repository: Repository[T], id: str) -> web.Response:
    """
    GET: the document with its version as ETag; 304 where `If-None-Match` names it.

    Raises:
        NotFoundError: There is none (404).
    """
    found = await repository.read(id)
    headers = {"ETag": http.etag(found.version)}
    if http.is_not_modified(request.headers.get("If-None-Match"), found.version):
        return web.Response(status=304, headers=headers)
    return web.Response(body=msgspec.json.encode(found.value), content_type="application/json", headers=headers)


async def store(request: web.Request, repository: Repository[T], id: str, record: T) -> web.Response:
    """
    PUT: insert or replace the document of this id: 201 when new, 204 when replaced.

    `If-Match` replaces only that version and `If-None-Match: *` only inserts; otherwise 412.
    """
    headers = request.headers
    record = http.named(record, id)
    created = await http.store(repository, record, headers.get("If-Match"), headers.get("If-None-Match"))
    return web.Response(status=201 if created else 204)


async def remove(request: web.Request, repository: Repository[T], id: str) -> web.Response:
    """
    DELETE: 204; with `If-Match` only that version, otherwise 412.

    Raises:
        NotFoundError: There is none (404).
    """
    await http.remove(repository, id, request.headers.get("If-Match"))
    return web.Response(status=204)


async def page_of(request: web.Request, query: Query[T], *, size: int = 50, cursor: str | None = None) -> web.Response:
    """A page of a search as a JSON array; the next one is where its `Link` header says."""
    found = await query.page(size=size, after=cursor)
    where = http.link(request.path, request.query, found.next)
    return web.Response(
        body=msgspec.json.encode(found.items),
        content_type="application/json",
        headers={"Link": where} if where else None,
    )
