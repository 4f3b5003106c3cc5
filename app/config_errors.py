"""Say where in `marquee.toml` a mistake stands and what would be right there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints


def explain(error: str, file: Path, text: str, origins: Mapping[str, str], settings: type) -> str:
    """msgspec's message with the place in the file, and the nearest allowed key for a misspelt one."""
    found = re.search(r"at `\$\.?(.*?)`$", error)
    path = found.group(1) if found else ""
    message = error[: found.start()].removesuffix(" - ") if found else error
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown:
        path = f"{path}.{unknown.group(1)}".lstrip(".")
        message = _suggest(path, settings)
    if path in origins:
        return f"environment {origins[path]}: {message}"
    line = _line_of(text, path)
    return f"{file}:{line}: {path or 'top level'}: {message}"


def _suggest(path: str, settings: type) -> str:
    *parents, key = re.sub(r"\[\d+\]", "", path).split(".")
    kind: Any = get_type_hints(settings).get(parents[0]) if parents else settings
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    allowed = list(getattr(kind, "__struct_fields__", ()))
    near = difflib.get_close_matches(key, allowed, 1)
    hint = f"; did you mean `{near[0]}`?" if near else ""
    return f"unknown key `{key}`{hint} Allowed: {', '.join(allowed)}"


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
