"""The commands on a database in a file, as a user types them: what they print where, and their exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ddao_async.cli.main import main


class Outcome(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def values(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Outcome]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh database, named by DDAO_URL."""
    url = f"sqlite:///{tmp_path}/test.db"
    monkeypatch.setenv("DDAO_URL", url)
    return url


@pytest.fixture
def ddao(url: str, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> Outcome:
        status = main(arguments)
        out, err = capsys.readouterr()
        return Outcome(status, out, err)

    return run


@pytest.fixture
def people(ddao: Command, tmp_path: Path) -> Command:
    """A table of three people, imported from JSON lines."""
    file = tmp_path / "people.jsonl"
    file.write_text(
        '{"id": "ann", "name": "Ann", "age": 42, "country": "NL"}\n'
        '{"id": "bob", "name": "Bob", "age": 17, "country": "DE", "tags": ["x"]}\n'
        '{"id": "eve", "name": "Eve>=2", "age": 29, "country": "NL"}\n'
    )
    assert ddao("import", str(file), "--table", "people").status == 0
    return ddao


def test_get_prints_the_fields_with_the_id_among_them(people: Command) -> None:
    read = people("get", "people", "ann")
    line = people("get", "people", "ann", "--json")

    assert json.loads(read.out) == {"id": "ann", "name": "Ann", "age": 42, "country": "NL"}
    assert len(read.out.splitlines()) == 6
    assert line.out == '{"id":"ann","name":"Ann","age":42,"country":"NL"}\n'
    assert (read.status, read.err) == (0, "")


def test_get_of_a_missing_document_fails_with_one_line(people: Command) -> None:
    missing = people("get", "people", "nobody")

    assert (missing.status, missing.out, len(missing.err.splitlines())) == (1, "", 1)
    assert "nobody" in missing.err


def test_put_creates_and_replaces(people: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    created = people("put", "people", "zoe", '{"name": "Zoe", "age": 5}')
    replaced = people("put", "people", "zoe", '{"id": "zoe", "name": "Zoe", "age": 6}', "--json")

    assert created.out == "created  zoe\n"
    assert replaced.values == [{"id": "zoe", "created": False}]
    assert people("get", "people", "zoe", "--json").values == [{"id": "zoe", "name": "Zoe", "age": 6}]


def test_put_reads_standard_input(people: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "Max"}'))

    assert people("put", "people", "max", "-").status == 0
    assert people("get", "people", "max", "--json").values == [{"id": "max", "name": "Max"}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"name": 5}', "name"),
        ("[1]", "not a JSON object"),
        ('{"id": "other"}', "another id"),
        ("{", "not a JSON object"),
    ],
)
def test_put_refuses_what_does_not_fit(people: Command, body: str, message: str) -> None:
    refused = people("put", "people", "ann", body)

    assert (refused.status, len(refused.err.splitlines())) == (1, 1)
    assert message in refused.err
    assert people("get", "people", "ann", "--json").values[0]["name"] == "Ann"


@pytest.mark.parametrize(
    ("terms", "ids"),
    [
        ([], ["ann", "bob", "eve"]),
        (["country=NL"], ["ann", "eve"]),
        (["age>=29"], ["ann", "eve"]),
        (["age>29"], ["ann"]),
        (["age<=29"], ["bob", "eve"]),
        (["age<29"], ["bob"]),
        (["name^=A"], ["ann"]),
        (["name=Eve>=2"], ["eve"]),
        (["country=NL", "age<40"], ["eve"]),
        (["id=bob"], ["bob"]),
        (["country=FR"], []),
    ],
)
def test_find_converts_values_by_the_type_of_the_column(people: Command, terms: list[str], ids: list[str]) -> None:
    found = people("find", "people", *terms, "--json")

    assert (found.status, sorted(each["id"] for each in found.values)) == (0, ids)


def test_find_orders_and_limits(people: Command) -> None:
    assert [each["id"] for each in people("find", "people", "--order", "-age", "--limit", "2", "--json").values] == [
        "ann",
        "eve",
    ]
    assert [each["id"] for each in people("find", "people", "--order", "id", "--json").values] == ["ann", "bob", "eve"]


def test_find_explains(people: Command) -> None:
    explained = people("find", "people", "age>=29", "--explain", "--json")

    assert explained.status == 0
    assert len(explained.values) == 1
    assert "scan" in explained.out


@pytest.mark.parametrize("terms", [["age>=old"], ["nonsense"], ["age=1.5"]])
def test_find_refuses_a_condition_it_cannot_mean(people: Command, terms: list[str]) -> None:
    refused = people("find", "people", *terms)

    assert (refused.status, refused.out, len(refused.err.splitlines())) == (1, "", 1)


def test_rm_tells_what_it_deleted(people: Command) -> None:
    gone = people("rm", "people", "ann", "nobody")

    assert (gone.status, gone.out) == (0, "deleted  ann\nmissing  nobody\n")
    assert people("rm", "people", "bob", "--json").values == [{"id": "bob", "deleted": True}]
    assert [each["id"] for each in people("find", "people", "--json").values] == ["eve"]


def test_tables_shows_the_columns(people: Command) -> None:
    shown = people("tables")
    [table] = people("tables", "--json").values

    assert [line.split()[:3] for line in shown.out.splitlines()][:2] == [
        ["TABLE", "COLUMN", "TYPE"],
        ["people", "name", "text"],
    ]
    assert [(column["name"], column["type"]) for column in table["columns"]] == [
        ("name", "text"),
        ("age", "integer"),
        ("country", "text"),
        ("tags", "json"),
    ]


def test_ls_lists_raw_keys_in_order(people: Command) -> None:
    keys = [each["key"] for each in people("ls", "--json").values]

    assert keys == sorted(keys)
    assert "tables/people/objects/ann.json" in keys
    assert [line.split()[-1] for line in people("ls", "tables/people/objects/a").out.splitlines()] == [
        "tables/people/objects/ann.json"
    ]


def test_doctor_finds_a_file_healthy(ddao: Command, url: str) -> None:
    spoken = ddao("doctor", url)
    steps = ddao("doctor", "--json").values

    assert spoken.status == 0
    assert all(line.startswith("ok") for line in spoken.out.splitlines())
    assert {step["health"] for step in steps} == {"ok"}
    assert "bucket" in {step["name"] for step in steps}


def test_reindex_and_vacuum_run_on_a_table(people: Command) -> None:
    assert people("reindex", "people", "--check").status == 0
    assert people("vacuum", "--dry-run").status == 0
    assert people("vacuum", "--json").status == 0


def test_export_writes_json_lines(people: Command, tmp_path: Path) -> None:
    exported = people("export", "people")
    to_file = people("export", "people", "--output", str(tmp_path / "out.jsonl"))

    assert sorted(value["id"] for value in exported.values) == ["ann", "bob", "eve"]
    assert sorted((tmp_path / "out.jsonl").read_text().splitlines()) == sorted(exported.out.splitlines())
    assert (to_file.out, to_file.err) == ("", f"3 documents written to {tmp_path}/out.jsonl.\n")
    assert [path.name for path in tmp_path.glob(".*part")] == []


def test_export_then_import_gives_the_same_table(people: Command, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    people("export", "people", "--output", str(file))

    assert people("import", str(file), "--table", "again").status == 0
    assert sorted(people("export", "again").out.splitlines()) == sorted(file.read_text().splitlines())


def test_export_of_an_unknown_table_leaves_no_file(ddao: Command, tmp_path: Path) -> None:
    failed = ddao("export", "nothing", "--output", str(tmp_path / "out.jsonl"))

    assert (failed.status, len(failed.err.splitlines())) == (1, 1)
    assert "nothing" in failed.err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "people"],
        ["frobnicate"],
        ["get", "people", "ann", "--frobnicate"],
        ["find", "people", "--limit", "many"],
        ["import", "-", "--table", "people"],
        ["import", "x.csv", "--table", "people", "--on-conflict", "perhaps"],
        ["import", "x.csv"],
    ],
)
def test_a_wrong_command_line_is_status_2_and_one_line(ddao: Command, arguments: list[str]) -> None:
    refused = ddao(*arguments)

    assert (refused.status, refused.out, len(refused.err.splitlines())) == (2, "", 1)
    assert "--help" in refused.err


def test_no_database_is_named(ddao: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDAO_URL")
    refused = ddao("tables")

    assert refused.status == 2
    assert "--url" in refused.err
    assert "DDAO_URL" in refused.err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/x?colour=blue", "colour"),
        ("s3://bucket?max_connections=many", "max_connections"),
        ("s3://key:secret@bucket/x", "credentials"),
        ("ftp://bucket", "ftp"),
        ("sqlite:///no/such/directory/x.db", "x.db"),
    ],
)
def test_a_bad_connection_string_is_one_line_that_names_it(ddao: Command, url: str, message: str) -> None:
    refused = ddao("tables", "--url", url)

    assert (refused.status, refused.out, len(refused.err.splitlines())) == (1, "", 1)
    assert message in refused.err
    assert "secret@" not in refused.err


def test_a_bad_id_and_a_bad_table_are_named(ddao: Command) -> None:
    bad_id, bad_table = ddao("get", "people", "a//b"), ddao("get", "_people", "a")

    assert (bad_id.status, len(bad_id.err.splitlines())) == (1, 1)
    assert (bad_table.status, len(bad_table.err.splitlines())) == (1, 1)
    assert "a//b" in bad_id.err or "people" in bad_id.err
    assert "_people" in bad_table.err


def test_help_lists_every_command(ddao: Command) -> None:
    shown = ddao("--help")

    assert shown.status == 0
    for name in ["demo", "doctor", "tables", "get", "put", "find", "rm", "ls", "import", "export", "reindex", "vacuum"]:
        assert name in shown.out


def test_keys_cannot_steer_the_terminal(people: Command) -> None:
    people("put", "people", "x\u202ey", "{}")

    assert "\\u202e" in people("ls", "tables/people/objects/x").out
