"""Holds README and changelog to the program: verbs, commands, files, settings and the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from app.settings import Settings, describe
from app.topology import film_topology
from schemas.catalogue import topics

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = {name: (ROOT / name).read_text() for name in ("README.md", "CHANGELOG.md")}

MADE_BY_USERS = {"marquee.toml", "ratings.csv", "films.csv"}
FILE = re.compile(r"(?:[\w.-]+/)+(?:[\w.-]+)?|[\w-]+\.(?:py|toml|yml|json|md|lock|csv)")

each_page = pytest.mark.parametrize("page", PAGES)


def _code(text: str) -> Iterator[str]:
    """What stands as code: the lines of fenced blocks, and spans between backticks."""
    fence = re.compile(r"^```.*?\n(.*?)^```", re.M | re.S)
    for block in fence.findall(text):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", fence.sub("", text))


@each_page
def test_every_make_verb_named_in_the_docs_exists(page: str) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    named = {verb for code in _code(PAGES[page]) for verb in re.findall(r"\bmake ([a-z][a-z-]*)", code)}
    assert "test" in named
    assert sorted(named - verbs) == []


def test_every_make_verb_says_what_it_does_and_can_be_called() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    told = set(re.findall(r"^([a-z-]+):.* ## \S", MAKEFILE, re.M))
    phony = {verb for line in re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.M) for verb in line.split()}
    assert verbs == told == phony


@each_page
def test_every_marquee_command_named_in_the_docs_exists(page: str) -> None:
    from app.cli import main

    assert isinstance(main, click.Group)
    unknown = []
    named = [words for code in _code(PAGES[page]) for words in re.findall(r"\bmarquee((?: [a-z][a-z-]*)+)", code)]
    for words in named:
        command: click.Command | None = main
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            command = command.commands.get(word)
        if command is None:
            unknown.append(f"marquee{words}")
    assert named
    assert unknown == []


@each_page
def test_every_file_named_in_the_docs_exists(page: str) -> None:
    named = {code for code in _code(PAGES[page]) if FILE.fullmatch(code)} - MADE_BY_USERS
    named |= set(re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGES[page]))
    # What lies under data/ is made by running Marquee.
    missing = [name for name in sorted(named) if not name.startswith("data/") and not (ROOT / name).exists()]
    assert missing == []


def test_every_setting_stands_in_the_readme_with_its_default_and_help() -> None:
    rows = {
        key: (default, told)
        for key, default, told in re.findall(r"^\| `(\w+\.\w+)` \| (.*?) \| (.*) \|$", README, re.M)
    }
    settings = Settings()
    expected = {}
    for section, key, told in describe():
        value = getattr(getattr(settings, section), key)
        expected[f"{section}.{key}"] = (_shown(value), told)
    assert rows == expected


def _shown(value: object) -> str:
    if value == "":
        return "(empty)"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def test_every_setting_has_a_help_text() -> None:
    assert [f"{section}.{key}" for section, key, told in describe() if not told] == []


def _picture() -> tuple[set[str], set[tuple[str, str]]]:
    """The topics of the pipeline's pictures, and their arrows between topics and stages, both as shape and label."""
    topics_drawn: set[str] = set()
    arrows: set[tuple[str, str]] = set()
    for drawing in re.findall(r"```mermaid\n(.*?)```", README, re.S):
        found, drawn = _drawn(drawing)
        topics_drawn |= found
        arrows |= drawn
    return topics_drawn, arrows


def _drawn(drawing: str) -> tuple[set[str], set[tuple[str, str]]]:
    labels = {name: f"[({topic})]" for name, topic in re.findall(r"(\w+)\[\(([\w-]+)\)\]", drawing)}
    labels |= {name: f"([{stage}])" for name, stage in re.findall(r"(\w+)\(\[([\w-]+)\]\)", drawing)}
    bare = re.sub(r"(\w+)(?:\[\(.*?\)\]|\(\[.*?\]\)|\[/.*?/\])", r"\1", drawing)
    arrows = {
        (labels[source], labels[target])
        for sources, targets in re.findall(r"^ *(.*?) --> (.*)$", bare, re.M)
        for source in sources.split(" & ")
        for target in targets.split(" & ")
        if source in labels and target in labels
    }
    return set(re.findall(r"\[\(([\w-]+)\)\]", drawing)), arrows


def test_the_picture_shows_only_topics_that_exist() -> None:
    drawn, _ = _picture()
    assert {"input", "ratings", "rating-predictions"} <= drawn
    assert drawn <= set(topics())


def test_the_picture_shows_exactly_what_each_stage_reads_and_emits() -> None:
    _, drawn = _picture()
    stages = film_topology().stages
    reads = {(f"[({stage.topic})]", f"([{stage.name}])") for stage in stages}
    emits = {(f"([{stage.name}])", f"[({record.topic})]") for stage in stages for record in stage.emits}
    assert drawn == reads | emits
