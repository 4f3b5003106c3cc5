"""Holds the tree to the project's own rules: layers, sizes, pins, and what may stand where."""

from __future__ import annotations

import ast
import gc
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "agents", "models", "schemas")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LOCK = (ROOT / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", LOCK, re.M))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

MODULE_LINES = 300
FUNCTION_LINES = 40
TYPICAL_FUNCTION_LINES = 20

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_top_level_holds_only_what_belongs_there() -> None:
    allowed = {
        "app", "agents", "models", "schemas", "tests", "docker-compose.yml", "pyproject.toml", "README.md",
        "Makefile", "requirements.lock", "CHANGELOG.md", "LICENSE",
    }  # fmt: skip
    found = {path.relative_to(ROOT).parts[0] for path in _tracked()}
    assert {name for name in found if not name.startswith(".")} == allowed


def test_no_address_of_a_package_registry_stands_in_the_tree() -> None:
    hosts = re.compile(
        r"https?://[^\s\"]*(pypi|hosted|npm|maven|golang|crates|docker)|--(extra-)?index-url|--find-links"
    )
    found = []
    for path in _tracked():
        if path == Path(__file__).resolve():
            continue
        text = path.read_text(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in hosts.finditer(text)]
    assert found == []


def test_every_pin_is_exact_and_has_hashes() -> None:
    entries = re.findall(r"^[A-Za-z0-9][^\n]*(?:\n    [^\n]*)*", LOCK, re.M)
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==[^\s;]+", entry), entry[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry[:80]


@pytest.mark.parametrize(
    "name",
    [
        "faust-streaming", "aiokafka", "motor", "aiohttp", "SPARQLWrapper", "pillow", "imagehash", "river", "mlflow",
        "pytest-asyncio",
    ],
)  # fmt: skip
def test_the_packages_that_marquee_is_made_of_are_pinned(name: str) -> None:
    assert canonicalize_name(name) in PINS


def _wanted() -> Iterator[Requirement]:
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        yield from map(Requirement, group)


def test_the_lock_fits_every_dependency_and_extra() -> None:
    unfit = [
        str(wanted)
        for wanted in _wanted()
        if not wanted.specifier.contains(PINS.get(canonicalize_name(wanted.name), "0"), prereleases=True)
    ]
    assert unfit == [], "run: make lock"


def test_the_layers_and_the_functional_core_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@each_module
def test_a_module_fits_its_bar(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MODULE_LINES


def _parsed(path: Path) -> ast.Module:
    # Python 3.11 loses count of its depth where the collector runs what others left while a tree is built.
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(_parsed(path)):
        if isinstance(node, Function):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@each_module
def test_a_function_fits_on_a_screen(path: Path) -> None:
    assert [(name, lines) for name, lines in _functions(path) if lines > FUNCTION_LINES] == []


def test_most_functions_are_short() -> None:
    lengths = [lines for path in MODULES for _, lines in _functions(path)]
    assert statistics.quantiles(lengths, n=10)[-1] <= TYPICAL_FUNCTION_LINES


def _is_overload(node: Documented) -> bool:
    return any("overload" in ast.unparse(mark) or ".setter" in ast.unparse(mark) for mark in node.decorator_list)


def _public(tree: ast.Module) -> Iterator[Documented]:
    """Public classes and functions of a module, and the public methods that its classes do not inherit."""
    for node in tree.body:
        if not isinstance(node, Documented) or node.name.startswith("_"):
            continue
        yield node
        if isinstance(node, ast.ClassDef) and not node.bases:
            yield from (n for n in node.body if isinstance(n, Function) and not n.name.startswith("_"))


@each_module
def test_what_is_public_says_what_it_is_for(path: Path) -> None:
    tree = _parsed(path)
    assert ast.get_docstring(tree), "the module has no docstring"
    silent = [node.name for node in _public(tree) if not ast.get_docstring(node) and not _is_overload(node)]
    assert silent == []


def test_every_metric_is_set_somewhere() -> None:
    setting = {"inc", "dec", "set", "observe"}
    named = {
        target.id
        for node in _parsed(ROOT / "app" / "observe" / "metrics.py").body
        if isinstance(node, ast.AnnAssign) and isinstance(target := node.target, ast.Name) and target.id != "REGISTRY"
    }
    assert len(named) > 10
    calls = [
        ast.unparse(node.func)
        for path in MODULES
        if "metrics." in path.read_text()
        for node in ast.walk(_parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in setting
    ]
    found = {match[1] for call in calls if (match := re.match(r"metrics\.([A-Z_]+)\b", call))}
    assert sorted(named - found) == []
