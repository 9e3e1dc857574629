"""Every Python block of the README runs: the first two as programs, the rest as one session of `python -m asyncio`."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import airportsdata
import pytest
from fix_server import Server

README = (Path(__file__).parents[1] / "README.md").read_text()
PROGRAM, S3_LINE, *SESSION = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(program: str, directory: Path, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=directory,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_program_has_at_most_fifteen_lines_and_may_be_run_again(tmp_path: Path) -> None:
    assert len([line for line in PROGRAM.splitlines() if line.strip()]) <= 15
    assert run(PROGRAM, tmp_path) == run(PROGRAM, tmp_path)
    assert "name='Ann'" in run(PROGRAM, tmp_path)


def test_the_program_runs_on_s3_by_changing_one_line(tmp_path: Path, moto_server: Server) -> None:
    bucket = moto_server.create_bucket()
    line = S3_LINE.replace("my-bucket", bucket).replace("http://127.0.0.1:9000", moto_server.url)
    program, changed = re.subn(r"^ *async with ddao\.connect.*\n", line, PROGRAM, flags=re.MULTILINE)

    assert changed == 1
    assert "name='Ann'" in run(program, tmp_path, **moto_server.environ)


async def test_the_other_blocks_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("readme")  # record classes look their annotations up where they were defined
    monkeypatch.setitem(sys.modules, "readme", module)
    namespace: dict[str, Any] = module.__dict__
    try:
        for block in SESSION:
            code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            result = types.FunctionType(code, namespace)()
            if code.co_flags & 0x80:  # the block awaits
                await result

        assert len(SESSION) >= 6
        assert namespace["db"].stats() is not None
    finally:
        if "db" in namespace:
            await namespace["db"].close()


def test_the_command_lines_run(tmp_path: Path) -> None:
    """On a file in place of the bucket, with the airports of `airportsdata`, the first and every hundredth."""
    [commands] = re.findall(r"^## Command line\n.*?^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    header, *rows = Path(airportsdata.__file__).with_name("airports.csv").read_text(encoding="utf-8-sig").splitlines()
    some = [row for number, row in enumerate(rows) if number % 100 == 0 or '"EHAM"' in row]
    (tmp_path / "airports.csv").write_text("\n".join([header, *some]))
    script = re.sub(r'DDAO_URL="[^"]*"', "DDAO_URL=sqlite:///readme.db", commands)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert "DDAO_URL=sqlite" in script
    assert '"name": "Amsterdam Airport Schiphol"' in done.stdout
    assert (tmp_path / "airports.jsonl").read_text().count("\n") == len(some)
