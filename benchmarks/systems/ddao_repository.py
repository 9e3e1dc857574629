"""ddao_async's typed repository, no index: records in, records out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ddao_async

from ..data import TABLE, contents
from ..place import Item, Place
from .ddao_wire import options

label = "ddao_async, typed repository"
keys_are_relative = True


class User(ddao_async.Record, table=TABLE):
    """What `data.user_fields` makes."""

    email: str
    name: str
    country: str
    age: int
    active: bool
    score: float
    profile: dict[str, Any] | None = None


class Client:
    """An open database and its repository."""

    def __init__(self, database: Any) -> None:
        self.database = database
        self.users = database.repository(User)


async def open(place: Place) -> Client:
    database = await ddao_async.connect(place.url, schema=ddao_async.Schema.of(User), **options)
    await database.create_tables(database.schema)
    return Client(database)


async def close(client: Client) -> None:
    await client.database.close()


def prepare(item: Item) -> Item:
    return item._replace(body=User(id=item.id, **contents(item.id))) if item.body else item


async def get(client: Client, item: Item) -> User:
    return await client.users.get(item.id)


async def insert(client: Client, item: Item) -> None:
    await client.users.insert(item.body)


async def create(client: Client, item: Item) -> None:
    await client.users.insert(item.body)


async def pour(client: Client, items: Iterator[Item]) -> int:
    report = await client.users.insert_many((prepare(item).body for item in items), concurrency=64)
    return report.inserted
