"""The README's worked example is a whole connector: its own code, its own fixture, the contract of every kind."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from app.connectors import registry
from tests.connectors.suite import ConnectorSuite

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Write a connector")[2].partition("\n## ")[0]
MODULE, FIXTURE = re.findall(r"```python\n(.*?)```", SECTION, re.S)


def _loaded(name: str, source: str) -> Any:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"README.md ({name})", "exec", dont_inherit=True), module.__dict__)
    return module


connector = _loaded("readme_filmclub", MODULE)
fixture = _loaded("readme_filmclub_fixture", FIXTURE)


class TestReadmeExample(fixture.TestFilmclub):  # type: ignore[misc, name-defined]
    """The example under the contract that it says it inherits."""

    @pytest.fixture(autouse=True)
    def _registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.KINDS, connector.FilmclubConnector.kind, connector.FilmclubConnector)


def test_the_two_lines_that_the_text_names_make_the_kind_known() -> None:
    import_line, entry = re.findall(
        r"`(from [\w.]+ import \w+)` among the\s+imports, and `(\w+,)` in the tuple `ALL`", SECTION
    )[0]
    source = Path(registry.__file__).read_text(encoding="utf-8")
    changed = source.replace("from app.connectors.fetch import", f"{import_line}\nfrom app.connectors.fetch import", 1)
    changed = changed.replace("    GoogleImagesConnector,\n", f"    {entry}\n    GoogleImagesConnector,\n", 1)
    name = import_line.split()[1]
    sys.modules[name] = connector
    try:
        found = _loaded("readme_registry", changed)
    finally:
        del sys.modules[name]
    assert found.KINDS[connector.FilmclubConnector.kind] is connector.FilmclubConnector


def test_the_example_inherits_the_contract_of_every_kind():
    assert issubclass(fixture.TestFilmclub, ConnectorSuite)
    assert connector.FilmclubConnector.kind not in registry.KINDS
