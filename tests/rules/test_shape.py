"""Rules of the house that a program can check: names, sizes, nothing swallowed, every module on its floor."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ddao_async"
MODULES = sorted(PACKAGE.rglob("*.py"))

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "types", "core", "misc", "manager"}
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[Path, ast.AST]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield path, node


def test_no_module_is_a_drawer() -> None:
    assert [relative(path) for path in MODULES if path.stem in FORBIDDEN_NAMES] == []


def test_every_module_says_what_it_knows() -> None:
    silent = [
        relative(path) for path in MODULES if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_modules_and_functions_stay_readable() -> None:
    long = [
        f"{relative(path)}: {n} lines"
        for path in MODULES
        if (n := len(path.read_text().splitlines())) > MAX_MODULE_LINES
    ]
    for path, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef)):
        lines = node.end_lineno - node.lineno + 1  # type: ignore[attr-defined]
        if lines > MAX_FUNCTION_LINES:
            long.append(f"{relative(path)}: {node.name} has {lines} lines")  # type: ignore[attr-defined]

    assert long == []


BROAD = {"Exception", "BaseException", "DDAOError", "StoreError"}


def test_no_exception_is_swallowed() -> None:
    """To go on after an error of one expected kind is a decision; to go on after any error hides what happened."""
    swallowed = []
    for path, node in nodes((ast.ExceptHandler, ast.Call)):
        if isinstance(node, ast.ExceptHandler):
            caught = {"BaseException"} if node.type is None else names(node.type)
            is_hidden = all(isinstance(inner, ast.Pass | ast.Continue) for inner in node.body)
        else:
            assert isinstance(node, ast.Call)
            caught = {name for argument in node.args for name in names(argument)}
            is_hidden = "suppress" in names(node.func)
        if is_hidden and caught & BROAD:
            swallowed.append(f"{relative(path)}:{node.lineno}")

    assert swallowed == []


def names(node: ast.AST) -> set[str]:
    """Every name in an expression, with the last part of a dotted one."""
    found = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return found | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}


def test_the_package_never_imports_itself_from_the_top() -> None:
    """`ddao_async/__init__.py` is the highest floor: what is below it imports its neighbours by their own names."""
    found = []
    for path, node in nodes((ast.Import, ast.ImportFrom)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            steps = len(path.relative_to(PACKAGE).parts)
            is_top = (node.module == "ddao_async" and not node.level) or (node.level == steps and not node.module)
            names = ["ddao_async"] if is_top and not _are_modules(node) else []
        if "ddao_async" in names and path != PACKAGE / "__init__.py":
            found.append(f"{relative(path)}:{node.lineno}")  # type: ignore[attr-defined]

    assert found == []


def _are_modules(node: ast.ImportFrom) -> bool:
    return all((PACKAGE / alias.name).is_dir() or (PACKAGE / f"{alias.name}.py").is_file() for alias in node.names)


@pytest.fixture(scope="module")
def contracts() -> list[dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_every_module_stands_on_a_floor(contracts: list[dict[str, object]]) -> None:
    """A new module is put into the contract of the floors before anything can import it from the wrong side."""
    floors = next(contract for contract in contracts if contract["type"] == "layers")["layers"]
    assert isinstance(floors, list)
    rooms = {name.strip(" ()") for floor in floors for name in floor.replace("|", ":").split(":")}

    homeless = [
        dotted(path)
        for path in MODULES
        if not any(dotted(path) == room or dotted(path).startswith(room + ".") for room in rooms)
        and not any(room.startswith(dotted(path) + ".") for room in rooms)  # a package split over floors
        and path.name != "__main__.py"
        and dotted(path) != "ddao_async"
    ]

    assert homeless == []


def test_pure_modules_are_listed_by_what_they_say(contracts: list[dict[str, object]]) -> None:
    """A module whose docstring calls it pure is held to it."""
    listed = {name for contract in contracts if contract["type"] == "forbidden" for name in contract["source_modules"]}  # type: ignore[attr-defined]
    said = {dotted(path) for path in MODULES if "Pure" in (ast.get_docstring(ast.parse(path.read_text())) or "")}

    unlisted = [name for name in said if not any(name == known or name.startswith(known + ".") for known in listed)]

    assert sorted(unlisted) == []
