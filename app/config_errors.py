"""Say where in `marquee.toml` a mistake stands and what would be right there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import inspect


class ConfigError(Exception):
    """The configuration cannot be used; the text names file, line, key and what is allowed."""


def explain(error: str, file: Path, text: str, origins: Mapping[str, str], settings: type) -> str:
    """msgspec's message with the place in the file, and the nearest allowed key for a misspelt one."""
    found = re.search(r"at `\$\.?(.*?)`$", error)
    path = found.group(1) if found else ""
    message = error[: found.start()].removesuffix(" - ") if found else error
    message, path = with_choices(*_with_key(message, path, settings), settings)
    whole = re.sub(r"\[.*", "", path)
    if whole in origins:
        return f"environment {origins[whole]}{path.removeprefix(whole)}: {message}"
    line = _line_of(text, path)
    return f"{file}:{line}: {path or 'top level'}: {message}"


def _with_key(message: str, path: str, settings: type) -> tuple[str, str]:
    """What a table says of one of its own keys, as `key: what is wrong`, told of that key."""
    key, mark, told = message.partition(": ")
    return (told, f"{path}.{key}") if mark and path and key in choices(settings, path) else (message, path)


def with_choices(message: str, path: str, kind: type) -> tuple[str, str]:
    """msgspec's message about a value of a type with what is allowed at the path, and the path down to the key."""
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown:
        key = unknown.group(1)
        return unknown_key(key, choices(kind, path)), f"{path}.{key}".lstrip(".")
    if message.startswith("Invalid enum value") and (allowed := choices(kind, path)):
        return f"{message}. Allowed: {', '.join(allowed)}", path
    if "matching regex" in message and (meant := _meant(kind, path)):
        return f"{message}: {meant}", path
    return message, path


def unknown_key(key: str, allowed: Sequence[str]) -> str:
    """What to say of a key that there is not."""
    near = difflib.get_close_matches(key, allowed, 1)
    hint = f"; did you mean `{near[0]}`?" if near else "."
    return f"unknown key `{key}`{hint} Allowed: {', '.join(allowed)}"


def choices(kind: type, path: str) -> list[str]:
    """The values that a key may have, or the keys that a table may have, at a path in a configuration of this type."""
    names: list[str] = []
    for each in _apart(_types_at(kind, path)):
        if isinstance(each, inspect.LiteralType):
            names += [str(value) for value in each.values]
        elif isinstance(each, inspect.StructType):
            names += [field.encode_name for field in each.fields]
    return names


def _meant(kind: type, path: str) -> str:
    """What a key at a path is for, in the words of its description."""
    told = [each.extra_json_schema or {} for each in _described(_types_at(kind, path))]
    return next((str(each["description"]) for each in told if "description" in each), "")


def _described(types: Iterable[inspect.Type]) -> Iterator[inspect.Metadata]:
    for each in types:
        if isinstance(each, inspect.Metadata):
            yield each
            yield from _described([each.type])
        elif isinstance(each, inspect.UnionType):
            yield from _described(each.types)


def _types_at(kind: type, path: str) -> list[inspect.Type]:
    found: list[inspect.Type] = [inspect.type_info(kind)]
    for part in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        found = [inner for each in _apart(found) for inner in _inside(each, part)]
    return found


def _apart(types: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    for each in types:
        if isinstance(each, inspect.Metadata):
            yield from _apart([each.type])
        elif isinstance(each, inspect.UnionType):
            yield from _apart(each.types)
        else:
            yield each


def _inside(kind: inspect.Type, part: str) -> list[inspect.Type]:
    match kind:
        case inspect.StructType():
            return [field.type for field in kind.fields if field.encode_name == part]
        case inspect.DictType():
            return [kind.value_type]
        case inspect.ListType() | inspect.VarTupleType():
            return [kind.item_type]
        case _:
            return []


Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

_NAME = r"(?:\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)"
_KEY = rf"{_NAME}(?:\s*\.\s*{_NAME})*"


def _line_of(text: str, path: str) -> int:
    """The line of a key such as `web.port` or `films[2].imdb`; of what holds it where it has none; else 1."""
    named = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    wanted: Place = tuple(int(index) if index else name for index, name in named)
    places = list(_places(text))
    for length in range(len(wanted), 0, -1):
        found = [line for place, line in places if place[:length] == wanted[:length]]
        if found:
            return found[0]
    return 1


def _places(text: str) -> Iterator[tuple[Place, int]]:
    """Where each table and each key begins that has a line of its own; inline tables and lists have only theirs."""
    counts: dict[Place, int] = {}
    table: Place = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
            continue
        header = re.match(rf"\s*(\[\[?)\s*({_KEY})\s*\]", line)
        key = re.match(rf"\s*({_KEY})\s*=", line)
        if header:
            table = ()
            for name in _names(header.group(2)):
                # A table below one of several belongs to the last of them.
                table = (*table, counts[table], name) if table in counts else (*table, name)
            if header.group(1) == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
        elif key:
            yield (*table, *_names(key.group(1))), number
            # What looks like a key inside a text of several lines is none.
            closing = next((mark for mark in ('"""', "'''") if line.count(mark) == 1), "")


def _names(key: str) -> Place:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, key))
