"""A user's program passes strict type checkers, and a wrong one does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).with_name("sample_program.py")
ROOT = Path(__file__).parents[2]
WRONG = {
    'await users.insert(User(email="a",': 'await users.insert(User(e_mail="a",',
    "assert_type(await users.get(": "assert_type(await users.fetch(",
    "assert_type(await db.run(work), int)": "assert_type(await db.run(work), str)",
}


def complaints(program: Path, checker: str) -> str:
    if checker == "pyright":
        settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
        (program.parent / "pyrightconfig.json").write_text(json.dumps(settings))
        command = ["pyright", "--pythonpath", sys.executable, "-p", str(program.parent)]
    else:
        cache = program.parent / "cache"
        command = ["mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(cache), str(program)]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("checker", ["pyright", "mypy"])
def test_a_program_that_is_right_passes_and_each_mistake_is_found(checker: str, tmp_path: Path) -> None:
    text = SAMPLE.read_text()
    right = tmp_path / "sample_program.py"
    right.write_text(text)
    assert complaints(right, checker) == ""

    wrong = text
    for good, bad in WRONG.items():
        assert good in text
        wrong = wrong.replace(good, bad)
    right.write_text(wrong)
    found = complaints(right, checker)
    assert found.count("error") >= len(WRONG)
