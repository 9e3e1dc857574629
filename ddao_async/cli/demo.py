"""
`ddao-async demo`: what the library does, step by step, on a real S3 server over a real socket.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import anyio
import typer

from ..errors import DDAOError, ValidationError
from .option import AsJson, Url
from .output import emit, say

if TYPE_CHECKING:
    from ..database import Database

T = TypeVar("T")
Keep = Annotated[bool, typer.Option("--keep", help="Leave the objects in the bucket.")]

_USER = {"email": "john.doe@example.com", "name": "John Doe", "age": 42, "profile": {"city": "Utrecht"}}
_DOCUMENTS: dict[str, dict[str, Any]] = {
    "doc1": {"title": "Getting started", "author": "user123", "pages": 12, "tags": ["intro"]},
    "doc2": {"title": "Going further", "author": "user123", "pages": 48, "tags": ["index", "query"]},
    "doc3": {"title": "Staying safe", "author": "somebody else", "pages": 30, "tags": []},
}


def demo(keep: Keep = False, url: Url = None, as_json: AsJson = False) -> None:
    """Show what the library does: on an S3 server of its own, or with --url on any empty database."""
    from ..opening import connect

    async def work() -> None:
        async with _place(url) as (where, what):
            steps = _Steps(as_json)
            steps.say(f"{what}: {where}")
            began = perf_counter()
            async with connect(where) as db:
                steps.tell("connect", "the bucket is there" if url else "the bucket is made", perf_counter() - began)
                await _refuse_data(db, where)
                try:
                    await _tour(db, steps)
                finally:
                    if not keep:
                        await steps.run("clean up", lambda: _clean(db), lambda count: f"{count} objects deleted")
                if keep:
                    steps.say(f"The objects are kept: ddao-async ls --url '{where}'")

    anyio.run(work)


class _Steps:
    """Prints each step with the time it took."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    async def run(self, name: str, action: Callable[[], Awaitable[T]], tell: Callable[[T], str]) -> T:
        began = perf_counter()
        result = await action()
        self.tell(name, tell(result), perf_counter() - began)
        return result

    def tell(self, name: str, detail: str, seconds: float) -> None:
        if self._as_json:
            emit({"step": name, "detail": detail, "seconds": round(seconds, 6)}, as_json=True)
        else:
            say(f"{name:<22} {seconds * 1000:8.1f} ms   {detail}")

    def say(self, text: str) -> None:
        if not self._as_json:
            say(text)


@asynccontextmanager
async def _place(url: str | None) -> AsyncGenerator[tuple[str, str], None]:
    """Where the demo happens, and what that is."""
    if url:
        yield url, "The database"
        return
    from .embedded import embedded_server

    # The embedded server takes any credentials; the ones of the user are none of its business.
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    os.environ.update(AWS_ACCESS_KEY_ID="demo", AWS_SECRET_ACCESS_KEY="demo")  # noqa: S106
    began = perf_counter()
    async with embedded_server() as server:
        took = perf_counter() - began
        yield (
            f"s3://ddao-demo/demo?endpoint={server}&create_bucket=true",
            f"An S3 server of its own ({took:.1f} s to start)",
        )


async def _refuse_data(db: Database, where: str) -> None:
    async for info in db.store.list(limit=1):
        raise ValidationError(
            f"{where} is not empty: it holds {info.key}.",
            hint="The demo cleans up all that is there. Give it a prefix of its own: s3://bucket/demo.",
        )


async def _tour(db: Database, steps: _Steps) -> None:
    from ..model.predicate import field
    from ..model.record import Object

    await steps.run("schema", lambda: db.create_tables(_schema()), lambda _: "tables users and documents")
    users, documents = db.repository("users"), db.repository("documents")
    user = Object("users", "user123", dict(_USER))
    await steps.run("insert a user", lambda: users.insert(user), lambda made: f"{made.id}: {made.fields['email']}")
    for name, fields in _DOCUMENTS.items():
        document = Object("documents", name, dict(fields))
        await steps.run("insert a document", lambda new=document: documents.insert(new), lambda made: made.id)

    await steps.run("find by id", lambda: users.get("user123"), lambda found: str(found.fields["name"]))
    await steps.run(
        "find by unique key",
        lambda: users.find_by_key("email", _USER["email"]),
        lambda found: f"email = {_USER['email']}: {_id(found)}",
    )
    await steps.run(
        "find by indexed key",
        lambda: documents.find(author="user123").order_by("id").all(),
        lambda found: f"author = user123: {', '.join(each.id for each in found)}",
    )
    await steps.run(
        "find by range",
        lambda: documents.find(field("pages") >= 30).order_by("-pages").all(),
        lambda found: f"pages >= 30, most first: {', '.join(each.id for each in found)}",
    )
    await _update_and_verify(db, steps)


async def _update_and_verify(db: Database, steps: _Steps) -> None:
    from ..model.record import Object

    users = db.repository("users")

    def older(user: Object) -> Object:
        user.fields["age"] += 1
        return user

    await steps.run("update", lambda: users.modify("user123", older), lambda found: f"age {found.fields['age']}")

    async def verify() -> str:
        stored = await users.get("user123")
        if stored.fields != {**_USER, "age": 43}:
            raise DDAOError(f"Read back {stored.fields!r}.", hint="Do not use this server; try: ddao-async doctor")
        return "the update is there, every other field as it was"

    await steps.run("verify", verify, str)


def _schema() -> Any:
    from ..model.schema import Column, Schema, Table

    return Schema.of(
        Table(
            "users",
            columns=(
                Column("email", "text", unique=True),
                Column("name", "text"),
                Column("age", "integer"),
                Column("profile", "json", nullable=True),
            ),
        ),
        Table(
            "documents",
            columns=(
                Column("title", "text"),
                Column("author", "text", index=True),
                Column("pages", "integer", index=True),
                Column("tags", "json"),
            ),
        ),
    )


def _id(found: Any) -> str:
    return found.id if found is not None else "nobody"


async def _clean(db: Database) -> int:
    keys = [info.key async for info in db.store.list()]
    for key in keys:
        await db.store.delete(key)
    return len(keys)
