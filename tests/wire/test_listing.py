"""LIST answers: the regex against ElementTree, on pages of every spelling that servers use, and on hostile ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddao_async.wire.listing import listing, tree_rows
from ddao_async.wire.request import Rows
from ddao_async.wire.xml import MalformedXml, child_text, tree

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
DATE = "2026-01-01T00:00:00.000Z"
INSTANT = datetime(2026, 1, 1, tzinfo=UTC)


def page(rows: str, *, around: str = "", behind: str = "", truncated: str = "false") -> bytes:
    middle = f"<Name>b</Name><IsTruncated>{truncated}</IsTruncated>{around}{rows}{behind}"
    return f"{HEAD}{middle}</ListBucketResult>".encode()


def row(key: str = "a", *, etag: str = "&quot;e&quot;", size: Any = 1, date: str = DATE, more: str = "") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{date}</LastModified><ETag>{etag}</ETag><Size>{size}</Size>"
        f"{more}</Contents>"
    )


AWS = row("a", more="<StorageClass>STANDARD</StorageClass>")
OTHER = f"<Contents><Size>1</Size><ETag>e</ETag><Key>a</Key><Odd></Odd><LastModified>{DATE}</LastModified></Contents>"
SPELLINGS = {
    "aws": AWS * 3,
    "no storage class": row("a") * 2,
    "etag quoted by number": row("a", etag="&#34;e&#34;"),
    "etag quoted plainly": row("a", etag='"e"'),
    "etag bare": row("a", etag="e"),
    "weak etag": row("a", etag="W/&quot;e&quot;"),
    "checksums where there are some": (
        AWS
        + row("b", more="<StorageClass>STANDARD</StorageClass>").replace(
            "<Size>", "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>"
        )
        + AWS
    ),
    "owner": row("a", more="<Owner><ID>1</ID><DisplayName>x</DisplayName></Owner><StorageClass>S</StorageClass>") * 2,
    "owner in some": AWS + row("a", more="<Owner><ID>1</ID><DisplayName></DisplayName></Owner>"),
    "an empty owner": row("a", more="<Owner/>") * 2,
    "restore status": row("a", more="<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus>"),
    "another order": OTHER * 2,
    "orders that change": AWS + OTHER,
    "attributes": AWS.replace("<Contents>", '<Contents a="b">') + AWS,
    "pretty": AWS.replace("><", ">\n  <") * 2,
    "pretty, with keys of blanks": "".join(map(row, (" ", "\n", "a\n  b"))).replace("><", ">\n  <"),
    "pretty between": (AWS + "\n") * 3,
    "comments": AWS + f"<!-- {AWS} -->" + AWS,
    "character data": AWS + row("<![CDATA[<Key>odd</Key>]]>"),
    "a carriage return": row("a\rb"),
    "a size with a zero": row("a", size="007"),
    "prefixes between": AWS + "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>" + AWS,
    "offset": row("a", date="2026-01-01T01:00:00+01:00"),
    "whole seconds": row("a", date="2026-01-01T00:00:00Z"),
    "nanoseconds": row("a", date="2026-01-01T00:00:00.000000000Z"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_rows_are_what_a_tree_finds(name: str) -> None:
    body = page(SPELLINGS[name])

    keys, sizes, etags, instants = listing(body).rows()

    assert (keys, sizes, etags, instants) == tree_rows(tree(body.decode()), False)
    assert set(etags) == {"e"}
    assert set(instants) == {INSTANT}
    assert all(instant.tzinfo is UTC or instant.utcoffset() is not None for instant in instants)


def test_an_empty_list() -> None:
    found = listing(page(""))

    assert found.rows() == ([], [], [], [])
    assert (found.prefixes, found.next_token) == ([], None)


def test_keys_are_decoded_where_the_server_says_that_they_are_encoded() -> None:
    rows = row("a%20b+c%2Bd%252F%D0%BA") + row("&lt;&amp;%26amp;")
    encoded = listing(page(rows, around="<EncodingType>url</EncodingType>"))
    raw = listing(page(rows))

    assert encoded.rows()[0] == ["a b c+d%2Fк", "<&&amp;"]
    assert raw.rows()[0] == ["a%20b+c%2Bd%252F%D0%BA", "<&%26amp;"]


def test_prefixes_and_the_next_page() -> None:
    behind = (
        "<CommonPrefixes><Prefix>a%2Fb/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>"
        "<NextContinuationToken>1/a&amp;b==</NextContinuationToken><EncodingType>url</EncodingType>"
    )

    found = listing(page(AWS, behind=behind, truncated="true"))

    assert (found.prefixes, found.next_token) == (["a/b/", "c/"], "1/a&b==")


MALFORMED = {
    "cut in the head": page(AWS)[:40],
    "cut in a row": page(AWS * 2)[:-60],
    "cut behind the rows": page(AWS)[:-5],
    "no xml": b"hello",
    "nothing": b"",
    "html": b"<html><body>It works!</body></html>",
    "a document type": page(AWS).replace(b"?>\n", b'?>\n<!DOCTYPE x [<!ENTITY a "b">]>'),
    "no utf-8": page(row("\xff")).replace("\xff".encode(), b"\xff"),
    "goes on without a token": page(AWS, truncated="true"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_list_is_refused(name: str) -> None:
    with pytest.raises(MalformedXml):
        listing(MALFORMED[name]).rows()


@pytest.mark.parametrize(
    "rows",
    [
        row(size="x"),
        row(size=""),
        row(size="-"),
        row(date="yesterday"),
        row(date='2026", "'),
        row(date="2026-01-01T00:00:00"),
        AWS + row(date=""),
    ],
)
def test_rows_that_make_no_sense_are_refused(rows: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        listing(page(rows)).rows()


def test_a_hostile_page_takes_no_longer_than_a_good_one() -> None:
    """Elements with nothing in them, nested and not: no way to make the pattern try every way of matching them."""
    odd = "<A></A>" * 200 + "<B>" + "<C></C>" * 200 + "</B>"
    body = page(row("a", more=odd) + row("b", more=odd + "<D><E><F></F></E></D>"))

    assert listing(body).rows()[0] == ["a", "b"]


KEYS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20) | st.sampled_from(
    [
        "<Contents>",
        "</Contents>",
        "&lt;",
        "&amp;amp;",
        "%",
        "%zz",
        "+",
        " ",
        "]]>",
        "<!--",
        "a\tb",
        "é",
        "\U0010ffff",
        "&",
    ]
)
ELEMENTS = st.sampled_from(
    ["<StorageClass>S</StorageClass>", "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>", "<Owner><ID>i</ID></Owner>", ""]
)


def xml_can_hold(text: str) -> bool:
    return all(c in "\t\n\r" or (ord(c) >= 0x20 and c not in "\ufffe\uffff") for c in text)


@st.composite
def pages(draw: st.DrawFn) -> tuple[bytes, list[str], bool]:
    keys = draw(st.lists(KEYS, max_size=8))
    is_quoted = draw(st.booleans())
    spell = draw(st.sampled_from([quote, quote_plus])) if is_quoted else str
    if not is_quoted:
        keys = [key for key in keys if xml_can_hold(key) and "\r" not in key]
    quotes = draw(st.sampled_from(["&quot;", "&#34;", '"', ""]))
    rows = "".join(
        row(escape(spell(key)), etag=f"{quotes}{at:032x}{quotes}", size=at * 7, more=draw(ELEMENTS))
        for at, key in enumerate(keys)
    )
    around = "<EncodingType>url</EncodingType>" if is_quoted else ""
    return page(rows, around=around), keys, is_quoted


@settings(max_examples=400, deadline=None)
@given(pages())
def test_the_regex_finds_what_the_tree_finds(case: tuple[bytes, list[str], bool]) -> None:
    body, keys, is_quoted = case

    found: Rows = listing(body).rows()

    assert found == tree_rows(tree(body.decode()), is_quoted)
    assert found[0] == keys


@settings(max_examples=300, deadline=None)
@given(pages(), st.data())
def test_a_page_that_was_damaged_is_read_as_the_tree_reads_it_or_refused(
    case: tuple[bytes, list[str], bool], data: st.DataObject
) -> None:
    body, _, _ = case
    at = data.draw(st.integers(0, len(body) - 1))
    length = data.draw(st.integers(0, 30))
    with_ = data.draw(
        st.sampled_from([b"", b"<", b">", b"&", b"</Contents>", b"<Contents>", b"<Key>", b"</Key>", b"0"])
    )
    damaged = body[:at] + with_ + body[at + length :]
    try:
        root = tree(damaged.decode())
        expected: Any = tree_rows(root, child_text(root, "EncodingType") == "url")
    except (ValueError, UnicodeDecodeError):
        expected = None
    try:
        found: Any = listing(damaged).rows()
    except ValueError:
        return

    assert expected is None or found == expected


def test_the_pattern_serves_every_page_of_a_server() -> None:
    """The fast way is taken at all: a page of another server's spelling needs no tree."""
    from ddao_async.wire import listing as module

    module._patterns.cache_clear()
    for name in ("aws", "checksums where there are some", "owner", "another order", "an empty owner", "pretty"):
        text = SPELLINGS[name]
        assert module._matches(text) is not None, name
    assert module._patterns.cache_info().currsize <= 5
