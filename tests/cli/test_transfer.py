"""import, export and copy as commands: their options, what they say, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ddao_async.cli.main import main
from ddao_async.cli.progress import Progress


class Outcome:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def values(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def ddao(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("DDAO_URL", f"sqlite:///{tmp_path}/test.db")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        return Outcome(main(arguments), *capsys.readouterr())

    return run


def test_resume_goes_on_and_says_what_was_done_before(ddao: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n{"id": "a"}\n')
    first = ddao("import", "a.jsonl", "--table", "t", "--resume", "--json")
    again = ddao("import", "a.jsonl", "--table", "t", "--resume")

    assert (first.status, again.status) == (1, 1)
    assert first.values[0] == {
        "line": 3,
        "reason": "Document 'a' of table 't' exists. Update or upsert it, or choose another id.",
        "id": "a",
    }
    assert {"inserted": 2, "rejected": 1, "resumed": 0}.items() <= first.values[1].items()
    assert "line 3 (a): " in again.err
    assert "2 inserted, 1 rejected. 3 of them were done before." in again.err


def test_a_dry_run_tells_requests_and_writes_nothing(ddao: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,n\na,1\nb\nc,2\n")
    told = ddao("import", "a.csv", "--table", "t", "--dry-run")
    as_json = ddao("import", "a.csv", "--table", "t", "--dry-run", "--json")

    assert told.status == as_json.status == 1
    assert "2 rows would be written, 1 rejected; requests: 2 PUT" in told.err
    assert "would be created from the data: n integer" in told.err
    assert "line 3: 1 cells where the header has 2" in told.err
    assert {"rows": 2, "rejected": 1, "requests": {"put": 2}}.items() <= as_json.values[-1].items()
    assert ddao("ls").out == ""


def test_patterns_packed_files_and_every_format(ddao: Any, tmp_path: Path) -> None:
    import gzip

    (tmp_path / "1.jsonl").write_text('{"id": "a", "n": 1}\n')
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(b'{"id": "b", "n": 2}\n'))
    assert ddao("import", "*.jsonl*", "--table", "t").status == 0
    for name in ("o.csv", "o.parquet", "o.jsonl.zst"):
        assert ddao("export", "t", "--output", name).status == 0
        assert ddao("import", name, "--table", name[2:]).status == 0
        assert sorted(v["n"] for v in ddao("export", name[2:]).values) == [1, 2]
    ordered = ddao("export", "t", "--format", "csv", "--ranges", "1")
    assert ordered.out == "id,n\na,1\nb,2\n"


def test_fields_without_a_place_are_a_failure_that_names_them(ddao: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "n": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"id": "b", "n": 1, "more": 2}\n')
    assert [ddao("import", f"{name}.jsonl", "--table", "t").status for name in "ab"] == [0, 0]
    done = ddao("export", "t", "--output", "t.csv")

    assert done.status == 1
    assert "more: left out of 1 documents" in done.err


def test_copy_between_two_stores(ddao: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"id": "{n}"}}\n' for n in range(20)))
    assert ddao("import", "a.jsonl", "--table", "t").status == 0
    source, target = f"sqlite:///{tmp_path}/test.db", f"sqlite:///{tmp_path}/copy.db"
    first = ddao("copy", source, target, "--verify", "--json")
    again = ddao("copy", source, target)
    (same,) = (ddao("copy", source, source),)

    assert first.status == again.status == 0
    assert first.values[0]["copy"]["copied"] == first.values[0]["verify"]["equal"] >= 20
    assert "0 objects copied" in again.err
    assert same.status == 1
    assert "the same" in same.err
    assert len(ddao("export", "t", "--url", target).values) == 20


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "no-such-*.csv", "--table", "t"],
        ["import", "a.jsonl.xz", "--table", "t"],
        ["copy", "memory://", "x:"],
    ],
)
def test_what_cannot_be_fails_with_one_line(ddao: Any, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.jsonl.xz").write_bytes(b"")
    done = ddao(*arguments)

    assert (done.status, done.out, len(done.err.splitlines())) == (1, "", 1)


def test_progress_is_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ddao_async.cli.progress.LINE_SECONDS", 0.0)
    with Progress("rows", total_bytes=4_000_000) as progress:
        progress.show(1000, 1_000_000, errors=2)
    with Progress("rows", total_bytes=4_000_000, as_json=True) as progress:
        progress.show(1000, 1_000_000, errors=2, before=1000)
    plain, as_json = capsys.readouterr().err.splitlines()

    assert plain.startswith("1,000 rows, ")
    assert plain.endswith("s left")
    assert ", 1.0 of 4.0 MB, 2 rejected, about " in plain
    told = json.loads(as_json)["progress"]
    assert (told["rows"], told["bytes"], told["total_bytes"], told["errors"]) == (1000, 1_000_000, 4_000_000, 2)
    assert told["per_second"] == 0.0


def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    """Under a pseudo-terminal: rate, bytes, rejects and the time left."""
    import os
    import pty

    file = tmp_path / "a.jsonl"
    file.write_text("".join(f'{{"id": "{n}"}}\n' for n in range(3000)) + "[]\n")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "ddao_async", "import", str(file), "--table", "t", "--url", "memory://"]
    with subprocess.Popen(
        command, stderr=follower, stdout=subprocess.PIPE, env={**os.environ, "COLUMNS": "200"}
    ) as run:
        os.close(follower)
        shown = b""
        while True:
            try:
                data = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            shown += data
        status = run.wait(30)
    os.close(leader)

    assert status == 1
    for words in (b"rows", b"/s", b"MB", b"1 rejected", b"left:", b"line 3001"):
        assert words in shown
