"""Say where in `marquee.toml` a mistake stands and what would be right there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import inspect


def explain(error: str, file: Path, text: str, origins: Mapping[str, str], settings: type) -> str:
    """msgspec's message with the place in the file, and the nearest allowed key for a misspelt one."""
    found = re.search(r"at `\$\.?(.*?)`$", error)
    path = found.group(1) if found else ""
    message = error[: found.start()].removesuffix(" - ") if found else error
    message, path = with_choices(message, path, settings)
    if path in origins:
        return f"environment {origins[path]}: {message}"
    line = _line_of(text, path)
    return f"{file}:{line}: {path or 'top level'}: {message}"


def with_choices(message: str, path: str, kind: type) -> tuple[str, str]:
    """msgspec's message about a value of a type with what is allowed at the path, and the path down to the key."""
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown:
        key = unknown.group(1)
        return unknown_key(key, choices(kind, path)), f"{path}.{key}".lstrip(".")
    if message.startswith("Invalid enum value") and (allowed := choices(kind, path)):
        return f"{message}. Allowed: {', '.join(allowed)}", path
    return message, path


def unknown_key(key: str, allowed: Sequence[str]) -> str:
    """What to say of a key that there is not."""
    near = difflib.get_close_matches(key, allowed, 1)
    hint = f"; did you mean `{near[0]}`?" if near else "."
    return f"unknown key `{key}`{hint} Allowed: {', '.join(allowed)}"


def choices(kind: type, path: str) -> list[str]:
    """The values that a key may have, or the keys that a table may have, at a path in a configuration of this type."""
    found = [inspect.type_info(kind)]
    for part in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        found = [inner for each in _apart(found) for inner in _inside(each, part)]
    names: list[str] = []
    for each in _apart(found):
        if isinstance(each, inspect.LiteralType):
            names += [str(value) for value in each.values]
        elif isinstance(each, inspect.StructType):
            names += [field.encode_name for field in each.fields]
    return names


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


def _line_of(text: str, path: str) -> int:
    """The line of a key such as `web.port` or `films[2].imdb`; of its table where the key is absent; else 1."""
    parts = [(name, int(index or 0)) for name, index in re.findall(r"([^.\[\]]+)(?:\[(\d+)\])?", path)]
    if not parts:
        return 1
    section, wanted = parts[0]
    best, count, inside = 1, -1, False
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$", line)
        if header:
            names = header.group(1).replace('"', "").split(".")
            count += names[0] == section
            inside = names[0] == section and (not line.lstrip().startswith("[[") or count == wanted)
            inside = inside and (len(names) == 1 or len(parts) < 2 or names[1] == parts[1][0])
            best = number if inside else best
        elif (inside and re.match(rf"\s*\"?{re.escape(parts[-1][0])}\"?\s*=", line)) or (
            not header and re.match(rf"\s*{re.escape(section)}\s*=", line) and len(parts) == 1
        ):
            return number
    return best
