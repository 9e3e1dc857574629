"""The harness runs from its command line to its tables: tiny counts, two competitors, a null server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as harness
from benchmarks import data
from benchmarks.contestant import Contestant, Failed
from benchmarks.environment import interpreter
from benchmarks.place import parse_url
from benchmarks.systems import SYSTEMS, System


def test_a_run_measures_writes_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--rounds", "2", "--seconds", "0.01", "--keys", "1500", "--documents", "200", "--output", str(tmp_path)]
    chosen = ["--cases", "get,late_list,tls_put,memory,cold", "--systems", "ddao_wire,echo"]

    assert harness.main(["--server", "null", *tiny, *chosen]) == 0
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "null.jsonl").read_text().splitlines()]
    assert {"python", "commit", "cores"} <= lines[0]["machine"].keys()
    assert lines[0]["versions"]["ddao_wire"]["ddao-async"]
    rounds = {(line["case"], line["system"], line["verb"], line["round"]) for line in lines[1:]}
    assert {("get", name, "get", n) for name in ("ddao_wire", "echo") for n in (0, 1)} <= rounds
    assert {("late_list", "ddao_wire", verb, 1) for verb in ("list", "list_split")} <= rounds
    assert ("memory", "ddao_wire", "pour", 0) in rounds
    assert all(line["cpu"] > 0 for line in lines[1:] if line["case"] == "get")
    assert "| bare socket (ceiling) |" in printed
    assert (tmp_path / "null.md").read_text() == printed.removesuffix("\n")


def test_every_competitor_has_a_module_of_its_own() -> None:
    modules = {path.stem for path in (Path(harness.__file__).parent / "systems").glob("*.py")} - {"__init__"}

    assert modules == {system.name for system in SYSTEMS}


@pytest.mark.parametrize("option", [["--cases", "nope"], ["--systems", "nope"], ["--server", "nope"]])
def test_an_unknown_name_is_refused_with_those_that_there_are(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        harness.main(option)

    assert "nope" in capsys.readouterr().err


def test_a_competitor_that_is_not_installed_has_no_interpreter(tmp_path: Path) -> None:
    absent = System("absent", "absent", "no_such_package_anywhere")
    apart = System("apart", "apart", "json", own_environment=True)
    python = tmp_path / "apart" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()

    assert interpreter(absent, tmp_path) is None
    assert interpreter(apart, tmp_path) == python
    assert interpreter(System("here", "here", "json"), tmp_path) == Path(sys.executable)


def test_a_competitor_that_cannot_connect_says_so_and_leaves_no_process(tmp_path: Path) -> None:
    echo = next(system for system in SYSTEMS if system.name == "echo")
    place = parse_url("s3://b?endpoint=http://127.0.0.1:9", access_key="a", secret_key="b")
    contestant = Contestant(echo, Path(sys.executable), place, tmp_path / "log")

    with pytest.raises(Failed, match="ended; see"):
        contestant.__enter__()
    with pytest.raises(Failed, match="is not running"):
        contestant.run("get", 1, 1)


def test_documents_are_seeded_and_about_as_large_as_promised() -> None:
    sizes = [len(body) for _, body in data.documents(0, 100)]

    assert list(data.documents(5, 3)) == list(data.documents(5, 3))
    assert 400 <= min(sizes) <= max(sizes) <= 460
