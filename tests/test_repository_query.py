"""Searches: the right records in the right order by as few requests as were foretold, whatever drives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pytest
from fix_storage import STORES, Place
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ddao_async as ddao
from ddao_async.model.document import Document
from ddao_async.model.index import encode_id, encode_value
from ddao_async.model.keys import claim_key, entry_key, object_key
from ddao_async.model.value import comparable
from ddao_async.testing import CountingStore

START = datetime(2026, 1, 1, tzinfo=UTC)


class Person(ddao.Record, table="people", indexes=[("country", "city")]):
    email: Annotated[str, ddao.Unique()]
    country: Annotated[str, ddao.Index()]
    age: Annotated[int | None, ddao.Index()] = None
    born: Annotated[datetime | None, ddao.Index()] = None
    city: str = ""
    note: str = ""


class Plain(ddao.Record, table="plain"):
    """The same without an index: everything scans."""

    email: str
    country: str
    age: int | None = None
    born: datetime | None = None
    city: str = ""
    note: str = ""


COUNTRIES = ["NL", "DE", "BE", "N", ""]
FIELDS = [
    {
        "email": f"{n}@example.com",
        "country": COUNTRIES[n % 5],
        "age": None if n % 11 == 0 else n % 23 - 3,
        "born": None if n % 7 == 0 else START + timedelta(hours=n * 37 % 101),
        "city": "ABC"[n % 3] * (n % 4),
        "note": "even" if n % 2 == 0 else "odd",
    }
    for n in range(60)
]


@pytest.fixture
async def store() -> CountingStore:
    return CountingStore(ddao.MemoryAdapter())


@pytest.fixture
async def db(store: CountingStore) -> AsyncIterator[ddao.Database]:
    async with ddao.Database(store) as opened:
        await opened.create_tables(ddao.Schema.of(Person, Plain))
        for kind in (Person, Plain):
            report = await opened.repository(kind).insert_many(kind(id=f"p{n}", **FIELDS[n]) for n in range(60))
            assert report.inserted == 60
        store.reset()
        yield opened


@pytest.fixture
def people(db: ddao.Database) -> ddao.Repository[Person]:
    return db.repository(Person)


TYPES = {
    "group": "text",
    "rank": "float",
    "email": "text",
    "country": "text",
    "age": "integer",
    "born": "datetime",
    "city": "text",
    "note": "text",
}
operands = {
    "email": st.sampled_from([row["email"] for row in FIELDS[:5]]),
    "country": st.sampled_from(COUNTRIES),
    "age": st.integers(-4, 21) | st.sampled_from([2.5, 7.0]),
    "born": st.sampled_from([row["born"] for row in FIELDS[:20] if row["born"]]),
    "city": st.sampled_from(["", "A", "AA", "BBB"]),
    "note": st.sampled_from(["even", "odd"]),
}


@st.composite
def predicates(draw: st.DrawFn) -> Any:
    name = draw(st.sampled_from(sorted(operands)))
    value, other = draw(operands[name]), draw(operands[name])
    column = ddao.field(name)
    choices = [
        column == value,
        column != value,
        column < value,
        column <= value,
        column > value,
        column >= value,
        column.between(value, other),
        column.is_in([value, other]),
        column == None,  # noqa: E711
    ]
    if isinstance(value, str):
        choices.append(column.startswith(value[:1]))
    return draw(st.sampled_from(choices))


orders = st.none() | st.sampled_from(
    ["age", "-age", "born", "-born", "note", "-city", "id", "-id", "country", "-email"]
)


def expected_order(found: list[Any], order: str) -> list[str]:
    """Ids sorted by value, then id; the order of the keys for `id`."""
    column = order.removeprefix("-")

    def rank(record: Any) -> Any:
        if column == "id":
            return f"{record.id}.json"
        return comparable(TYPES[column], getattr(record, column)), encode_id(record.id)

    return [record.id for record in sorted(found, key=rank, reverse=order.startswith("-"))]


@given(st.lists(predicates(), max_size=3), orders, st.none() | st.integers(0, 7), st.integers(1, 9))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_index_and_a_scan_find_the_same_in_the_same_order(
    db: ddao.Database, asked: list[Any], order: str | None, limit: int | None, size: int
) -> None:
    """By one repository with indexes and one without: same records, same order, in one piece and in pages."""
    people, plain = db.repository(Person), db.repository(Plain)
    by_scan = await plain.find(*asked).all()

    def query(repository: Any) -> Any:
        found = repository.find(*asked)
        return found if order is None else found.order_by(order)

    for repository in (people, plain):
        found = [record.id for record in await query(repository).all()]
        assert sorted(found) == sorted(record.id for record in by_scan)
        if order is not None:
            assert found == expected_order(by_scan, order)
        if limit is not None:
            assert [record.id for record in await query(repository).limit(limit).all()] == found[:limit]
        paged: list[str] = []
        cursor = None
        while True:
            page = await query(repository).page(size=size, after=cursor)
            paged += [record.id for record in page.items]
            cursor = page.next
            if cursor is None:
                break
            assert len(page.items) == size
        assert paged == found
        assert await query(repository).count() == len(found)


# Requests


@pytest.mark.parametrize(
    ("predicate", "order", "access", "index"),
    [
        (ddao.field("id") == "p5", None, "id", None),
        (ddao.field("id").is_in(["p5", "p6"]), None, "id", None),
        (ddao.field("email") == "5@example.com", None, "unique", "email"),
        (ddao.field("email").is_in(["5@example.com", "6@example.com"]), None, "unique", "email"),
        (ddao.field("country") == "NL", None, "index", "country"),
        (ddao.field("country").is_in(["NL", "DE"]), None, "index", "country"),
        (ddao.field("age") >= 3, None, "index", "age"),
        (ddao.field("country").startswith("N"), None, "index", "country"),
        (ddao.field("country") == "NL", "city", "index", "country~city"),
        (ddao.field("country") == "NL", "age", "index", "country"),
        (ddao.field("note") == "odd", None, "scan", None),
        (ddao.field("note") == "odd", "age", "index", "age"),
    ],
)
async def test_requests_are_those_that_explain_foretold(
    people: ddao.Repository[Person],
    store: CountingStore,
    predicate: Any,
    order: str | None,
    access: str,
    index: str | None,
) -> None:
    query = people.find(predicate)
    query = query if order is None else query.order_by(order)
    told = await query.explain()
    store.reset()
    await query.all()

    assert (told.access, told.index, told.scans) == (access, index, access == "scan")
    assert store.counts() == {kind: count for kind, count in told.requests.items() if count}


async def test_a_limit_reads_no_more_than_it_hands_out(people: ddao.Repository[Person], store: CountingStore) -> None:
    query = people.find(country="NL").limit(3)
    told = await query.explain()
    store.reset()
    await query.all()

    assert told.requests == store.counts() == {"list": 1, "get": 3}


async def test_the_first_by_an_index_is_two_requests(people: ddao.Repository[Person], store: CountingStore) -> None:
    assert await people.find_by_key("country", "NL") is not None
    assert store.counts() == {"list": 1, "get": 1}
    store.reset()
    assert await people.find_by_key("email", "7@example.com") is not None
    assert store.counts() == {"get": 2}
    store.reset()
    assert await people.find_by_key("email", "nobody") is None
    assert store.counts() == {"get": 1}
    store.reset()
    assert await people.find().order_by("-age").first() is not None
    assert store.counts() == {"list": 1, "get": 1}


async def test_an_estimate_reads_no_document(people: ddao.Repository[Person], store: CountingStore) -> None:
    assert await people.count(country="NL", estimate=True) == 12
    assert await people.count(estimate=True) == 60
    assert set(store.counts()) == {"list"}


class Row(ddao.Record, table="rows"):
    email: Annotated[str, ddao.Unique()]
    city: Annotated[str, ddao.Index()]


async def filled(size: int) -> CountingStore:
    """A table as so many inserts leave it, written straight into memory, key after key."""
    memory = ddao.MemoryAdapter()
    db = ddao.Database(memory)
    await db.create_tables(ddao.Schema.of(Row))
    objects: dict[str, bytes] = {}
    for n in range(size):
        email, city, id = f"{n}@example.com", f"city{n // 10}", f"r{n}"  # noqa: A001
        tags = {"email": "unknown", "city": f"tag{n}"}
        document = Document(id, "rows", msgspec.Raw(msgspec.json.encode({"email": email, "city": city})), tags=tags)
        objects[object_key("rows", id)] = msgspec.json.encode(msgspec.structs.replace(document, revision=f"tag{n}"))
        objects[entry_key("rows", "city", encode_value("text", city), encode_id(id), f"tag{n}")] = b""
        objects[claim_key("rows", "email", encode_value("text", email))] = b'{"id":"%b","nonce":"x"}' % id.encode()
    for key in sorted(objects):
        await memory.put(key, objects[key])
    return CountingStore(memory)


async def test_a_key_search_costs_the_same_on_a_thousand_and_on_a_hundred_thousand_records() -> None:
    costs = []
    for size in (1_000, 10_000, 100_000):
        store = await filled(size)
        rows = ddao.Database(store).repository(Row)
        await rows.find_by_id("nobody")
        await rows.find(city="nowhere").first()
        store.reset()
        for n in (0, size // 2 - size // 2 % 10, size - 10):
            assert (await rows.find_by_key("email", f"{n}@example.com")).id == f"r{n}"  # type: ignore[union-attr]
            assert (await rows.find_by_key("city", f"city{n // 10}")).city == f"city{n // 10}"  # type: ignore[union-attr]
            assert len(await rows.find(city=f"city{n // 10}").all()) == 10
        costs.append(store.counts())

    # Each: claim and document; list and document; list and ten documents.
    assert costs == [{"get": 3 * (2 + 1 + 10), "list": 3 * 2}] * 3


class Odd(ddao.Record, table="odd", indexes=[("group", "rank")]):
    group: Annotated[str, ddao.Index()]
    rank: Annotated[int | float, ddao.Index()]


GROUPS = ["a", "a b", "a/b", "A", "é", "日本", "~", "", "a-b", "a.b"]
ODDS = [
    Odd(id=name, group=GROUPS[n % 10], rank=(n * 7 % 13) - 6 + (0.5 if n % 3 == 0 else 0))
    for n, name in enumerate(
        ["n", "n/a", "n-b", "n b", "N", "ñ", "n+%?#", "10", "9", "x" * 190, "y" * 230, *map(str, range(100, 114))]
    )
]


@pytest.mark.parametrize("place", [name for name in STORES if "aiobotocore" not in name], indirect=True)
async def test_searches_find_the_same_on_every_store(place: Place) -> None:
    """By index, by scan, either way, in pages: whatever order a server lists in."""
    gone = [name for name in ("y" * 230,) if place.gaps.sorts_by_directory]  # no name of a file there
    odds = [odd for odd in ODDS if odd.id not in gone]
    async with ddao.Database(place.store()) as db:
        await db.create_tables(ddao.Schema.of(Odd))
        repository = db.repository(Odd)
        assert (await repository.insert_many(odds)).failed == {}

        for order in ("rank", "-rank", "group", "-group"):
            query = repository.find().order_by(order)
            assert (await query.explain()).access == "index"
            assert [odd.id async for odd in query] == expected_order(odds, order)
        assert sorted([odd.id async for odd in repository.find()]) == sorted(odd.id for odd in odds)
        backwards = [odd.id async for odd in repository.find().order_by("-id")]
        assert [odd.id async for odd in repository.find().order_by("id")] == backwards[::-1]
        for order in ("id", "-id", "-rank"):
            paged, cursor = [], None
            while True:
                page = await repository.find().order_by(order).page(size=4, after=cursor)
                paged += [odd.id for odd in page.items]
                cursor = page.next
                if cursor is None:
                    break
            assert paged == [odd.id async for odd in repository.find().order_by(order)]
        for group in GROUPS:
            found = [odd.id async for odd in repository.find(group=group).order_by("-rank")]
            assert found == expected_order([odd for odd in odds if odd.group == group], "-rank")
        low = {odd.id async for odd in repository.find(ddao.field("rank") < 0)}
        assert low == {odd.id for odd in odds if odd.rank < 0}
        begin = {odd.id async for odd in repository.find(ddao.field("group").startswith("a"))}
        assert begin == {odd.id for odd in odds if odd.group.startswith("a")}


# While others write


async def test_pages_stay_right_while_others_write(people: ddao.Repository[Person]) -> None:
    """What keeps its place comes exactly once; what is deleted or inserted behind the cursor does not shift it."""
    for order in ("age", "-age", "id", "-id", "note"):
        seen: list[str] = []
        page = await people.find().order_by(order).page(size=10)
        while True:
            seen += [person.id for person in page.items]
            for gone in page.items[:3]:
                await people.delete(gone.id)
            await people.upsert(Person(id=f"new{len(seen)}", email=f"new{len(seen)}", country="XX", age=-50))
            if page.next is None:
                break
            page = await people.find().order_by(order).page(size=10, after=page.next)

        originals = [name for name in seen if name.startswith("p")]
        assert len(originals) == len(set(originals)) == 60
        for n in range(60):
            await people.upsert(Person(id=f"p{n}", **FIELDS[n]))
        await people.delete_many([person.id async for person in people.find(country="XX")])


async def test_an_entry_that_is_out_of_date_puts_nothing_in_a_wrong_place(
    db: ddao.Database, people: ddao.Repository[Person]
) -> None:
    """A writer that crashed left entries of p5 under other values, lower and higher than its own."""
    right = [person.id async for person in people.find().order_by("age")]
    for age in (None, 10, 10**9):
        await db.store.put(f"tables/people/_indexes/age/{encode_value('integer', age)}/p5/dead", b"")

    assert [person.id async for person in people.find().order_by("age")] == right
    assert [person.id async for person in people.find().order_by("-age")] == right[::-1]
    assert await people.find_by_key("age", 10**9) is None
    assert await people.count(ddao.field("age") >= -100) == len([row for row in FIELDS if row["age"] is not None])


@pytest.mark.parametrize("order", [None, "age", "-age"])
async def test_a_search_goes_on_by_a_scan_when_its_index_is_dropped_meanwhile(
    db: ddao.Database, order: str | None
) -> None:
    people = db.repository(Person)
    await people.insert_many(Person(id=f"m{n}", email=f"m{n}", country="XX", age=n * 7 % 1000) for n in range(1500))
    query = people.find(ddao.field("age") >= 0)
    query = query if order is None else query.order_by(order)
    right = [person.id async for person in query]
    found: list[str] = []
    async for person in query:
        found.append(person.id)
        if len(found) == 20:
            await db.drop_index("people", "age", exclusive=True)

    assert found == right
    assert (await query.explain()).scans


async def test_a_cursor_belongs_to_its_search(people: ddao.Repository[Person]) -> None:
    page = await people.find(country="NL").page(size=5)

    with pytest.raises(ddao.ValidationError, match="another search"):
        await people.find(country="DE").page(size=5, after=page.next)
    with pytest.raises(ddao.ValidationError, match="not a cursor"):
        await people.find(country="NL").page(size=5, after="nonsense")
    with pytest.raises(ddao.ValidationError):
        await people.find().page(size=0)
    with pytest.raises(ddao.ValidationError, match="limit"):
        await people.find().limit(5).page()


async def test_a_record_deleted_while_it_is_listed_is_left_out(
    people: ddao.Repository[Person], store: CountingStore
) -> None:
    found = []
    async for person in people.find().limit(60):
        if not found:
            await people.delete("p9")
        found.append(person.id)

    assert len(found) in (59, 60)
    assert len(set(found)) == len(found)


# What is no document


async def test_what_is_no_document_is_a_problem_and_not_skipped_in_silence(
    db: ddao.Database, caplog: pytest.LogCaptureFixture
) -> None:
    plain = db.repository(Plain)
    await db.store.put("tables/plain/objects/broken.json", b"{")
    await db.store.put("tables/plain/objects/strange.json", b'{"id":"strange","fields":{"email":5}}')
    await db.store.put("tables/plain/objects/notes.txt", b"hello")
    query = plain.find()
    with caplog.at_level(logging.WARNING, "ddao_async.query"):
        found = await query.all()

    assert len(found) == 60
    assert sorted(query.problems) == [
        f"tables/plain/objects/{name}" for name in ("broken.json", "notes.txt", "strange.json")
    ]
    assert all(isinstance(error, ddao.CorruptDocumentError) for error in query.problems.values())
    assert [record.message for record in caplog.records if "no documents" in record.message] != []
    assert len(caplog.records) == 1


async def test_only_matches_are_decoded(db: ddao.Database) -> None:
    """A document of another shape that does not match is none of the search's business."""
    plain = db.repository(Plain)
    await db.store.put("tables/plain/objects/strange.json", b'{"id":"strange","fields":{"email":5,"country":"ZZ"}}')
    query = plain.find(country="NL")

    assert len(await query.all()) == 12
    assert query.problems == {}


async def test_a_scan_of_a_large_table_says_so_in_the_log(db: ddao.Database, caplog: pytest.LogCaptureFixture) -> None:
    plain = db.repository(Plain)
    await plain.insert_many(Plain(id=f"x{n}", email=str(n), country="XX") for n in range(1000))
    with caplog.at_level(logging.WARNING, "ddao_async.query"):
        assert await plain.count(note="odd") == 30

    assert ["reads every document" in record.message for record in caplog.records] == [True]
    assert "'note'" in caplog.records[0].message


# Streaming


async def test_a_scan_streams_and_reads_no_more_than_64_ahead(db: ddao.Database, store: CountingStore) -> None:
    plain = db.repository(Plain)
    await plain.insert_many(Plain(id=f"x{n}", email=str(n), country="XX") for n in range(300))
    store.reset()
    async for _ in plain.find():
        break
    while len(asyncio.all_tasks()) > 1:  # the generator that was left is closed by the loop
        await asyncio.sleep(0)

    assert store.counts()["get"] <= 65


async def test_an_error_of_the_store_ends_the_search_and_leaves_no_task(people: ddao.Repository[Person]) -> None:
    class Failing(ddao.MemoryAdapter):
        async def get(self, key: str, **conditions: Any) -> Any:
            if "objects/" in key:
                raise ddao.StoreUnavailableError("no", operation="get", key=key)
            return await super().get(key, **conditions)

    store = Failing()
    async with ddao.Database(store) as db:
        await db.create_tables(ddao.Schema.of(Plain))
        await db.repository(Plain).insert_many(Plain(id=f"x{n}", email=str(n), country="XX") for n in range(10))
        with pytest.raises(ddao.StoreUnavailableError):
            await db.repository(Plain).find().all()

    assert len(asyncio.all_tasks()) == 1


async def test_only_predicates_and_known_columns_are_accepted(people: ddao.Repository[Person]) -> None:
    with pytest.raises(ddao.ValidationError, match="not a predicate"):
        people.find("country")  # type: ignore[arg-type]
    with pytest.raises(ddao.ValidationError, match="no column 'shoe'"):
        await people.find(shoe=43).all()
    with pytest.raises(ddao.ValidationError, match="no column 'shoe'"):
        await people.find().order_by("-shoe").all()
    with pytest.raises(ddao.ValidationError):
        people.find().limit(-1)
    with pytest.raises(ddao.ValidationError):
        people.find().order_by("")


async def test_an_object_may_be_found_by_a_field_that_its_table_does_not_declare(db: ddao.Database) -> None:
    await db.create_tables(ddao.Schema.of(ddao.Table("loose")))
    await db.insert(ddao.Object("loose", "1", {"size": 5, "at": START}))
    await db.insert(ddao.Object("loose", "2", {"size": 7}))

    assert [obj.id async for obj in db.repository("loose").find(ddao.field("size") > 5)] == ["2"]
    assert [obj.id async for obj in db.repository("loose").find(ddao.field("at") == START)] == ["1"]
    assert [obj.id async for obj in db.repository("loose").find().order_by("-size")] == ["2", "1"]


# Transactions


async def test_a_search_in_a_transaction_sees_its_own_writes(db: ddao.Database) -> None:
    async with db.transaction() as tx:
        people = tx.repository(Person)
        await people.delete("p0")
        await people.update(Person(id="p5", email="5@example.com", country="XX", age=99))
        await people.insert(Person(id="new", email="new", country="NL", age=98))
        nl = {person.id async for person in people.find(country="NL")}

        assert nl == {f"p{n}" for n in range(60) if n % 5 == 0} - {"p0", "p5"} | {"new"}
        assert [person.id async for person in people.find().order_by("-age").limit(2)] == ["p5", "new"]
        assert (await people.find_by_key("email", "new")).id == "new"  # type: ignore[union-attr]
        assert await people.count() == 60
        await tx.rollback()
    assert await db.repository(Person).count(country="NL") == 12
