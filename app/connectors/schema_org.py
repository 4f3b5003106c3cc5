"""Things of schema.org in a page: JSON-LD with all that is wrong with it in practice, and microdata, in one form."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urljoin

import msgspec

Thing = dict[str, list[Any]]
"""Properties with all their values, which are texts, numbers or things; `@type` holds names without their address."""

DEEPEST: Final = 20
MOST_THINGS: Final = 5000
FROM_ATTRIBUTE: Final = {
    "meta": "content", "a": "href", "area": "href", "link": "href", "img": "src", "audio": "src", "video": "src",
    "source": "src", "iframe": "src", "embed": "src", "track": "src", "object": "data", "data": "value",
    "meter": "value", "time": "datetime",
}  # fmt: skip
"""Which attribute of an element holds its value (HTML, 5.2.4)."""

_COMMA: Final = re.compile(r",\s*(?=[}\]])")
_WRAPPED: Final = re.compile(r"^\s*(?:<!--|//\s*<!\[CDATA\[|/\*\s*<!\[CDATA\[\s*\*/|<!\[CDATA\[)")
_UNWRAPPED: Final = re.compile(r"(?:-->|//\s*\]\]>|/\*\s*\]\]>\s*\*/|\]\]>)\s*;?\s*$")


class Things(msgspec.Struct):
    """What a page holds; `broken` counts blocks of JSON-LD that nothing could be made of."""

    found: list[Thing]
    broken: int = 0


def parse_json_ld(tree: Any) -> Things:
    """The things in the JSON-LD of a parsed page, those inside others too; references by @id are followed."""
    things = Things([])
    for node in tree.css("script"):
        if (node.attributes.get("type") or "").partition(";")[0].strip().lower() != "application/ld+json":
            continue
        said = _loaded(node.text(deep=True))
        if said is None:
            things.broken += 1
        else:
            things.found += _collected(said, 0)
    named: dict[str, Thing] = {}
    for thing in things.found:
        for name in thing.get("@id", ()):
            # The same @id may stand with a type at one place and with nothing but itself at others.
            if isinstance(name, str) and len(thing) > len(named.get(name, ())):
                named[name] = thing
    for thing in things.found:
        for values in thing.values():
            values[:] = [_resolved(value, named) for value in values]
    return things


def parse_microdata(tree: Any, base: str) -> Things:
    """The things in the microdata of a parsed page."""
    found = [_item(node, base, 0) for node in tree.css("[itemscope]")[:MOST_THINGS]]
    return Things([thing for thing in found if thing.get("@type")])


def of_type(things: list[Thing], *types: str) -> list[Thing]:
    """Those of one of the types."""
    return [thing for thing in things if set(types) & set(thing.get("@type", ()))]


def values_of(thing: Thing, name: str) -> list[Any]:
    """All values of a property, none if it is not there."""
    return thing.get(name, [])


def text_of(thing: Thing, name: str) -> str | None:
    """The first value of a property as text; of a thing its name or value. None where it is empty."""
    for value in values_of(thing, name):
        if isinstance(value, dict):
            # One level only: by its references a thing may be inside itself.
            value = next((each for name in ("name", "@value") for each in value.get(name, ()) if _plain(each)), None)
        # Half of a pair, where a script cut an emoji in two, cannot be written as UTF-8.
        whole = str(value).encode("utf-8", "replace").decode() if value is not None else ""
        text = " ".join(html.unescape(whole).split())
        if text:
            return text
    return None


def things_in(thing: Thing, name: str) -> list[Thing]:
    """The values of a property that are things."""
    return [value for value in values_of(thing, name) if isinstance(value, dict)]


def _loaded(text: str) -> Any:
    """JSON with what people get wrong: comments around it, bare line ends, commas before brackets, escapes of HTML."""
    plain = _UNWRAPPED.sub("", _WRAPPED.sub("", text.strip().removeprefix("\ufeff"))).strip()
    mended = _COMMA.sub("", plain)
    for attempt in (plain, mended, html.unescape(mended)):
        try:
            return json.loads(attempt.rstrip("; \n"), strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _collected(said: Any, depth: int) -> Iterator[Thing]:
    """All things in a piece of JSON-LD, the outer before those in it."""
    if depth > DEEPEST:
        return
    if isinstance(said, list):
        for each in said:
            yield from _collected(each, depth + 1)
        return
    if not isinstance(said, dict):
        return
    if "@graph" in said:
        yield from _collected(said["@graph"], depth + 1)
    thing = _thing(said, depth)
    if len(thing) > 0:
        yield from _spread(thing)


def _thing(said: dict[str, Any], depth: int) -> Thing:
    thing: Thing = {}
    for name, value in said.items():
        if name in ("@context", "@graph") or depth > DEEPEST:
            continue
        values = value if isinstance(value, list) else [value]
        if name == "@type":
            thing[name] = [_short(each) for each in values if isinstance(each, str)]
        else:
            made = [_thing(each, depth + 1) if isinstance(each, dict) else each for each in values]
            thing[_short(name)] = [each for each in made if not isinstance(each, list) and each is not None]
    return thing


def _spread(thing: Thing) -> Iterator[Thing]:
    yield thing
    for values in thing.values():
        for value in values:
            if isinstance(value, dict):
                yield from _spread(value)


def _resolved(value: Any, named: dict[str, Thing]) -> Any:
    # {"@id": "#rating"} stands for the thing of that name elsewhere in the page.
    if isinstance(value, dict) and set(value) == {"@id"}:
        (name,) = value["@id"] or [None]
        return named.get(name, value) if isinstance(name, str) else value
    return value


def _item(node: Any, base: str, depth: int) -> Thing:
    types = (node.attributes.get("itemtype") or "").split()
    thing: Thing = {"@type": [_short(each) for each in types]} if types else {}
    if name := node.attributes.get("itemid"):
        thing["@id"] = [name]
    if depth <= DEEPEST:
        for each in _properties(node):
            value = _item(each, base, depth + 1) if "itemscope" in each.attributes else _value(each, base)
            for name in (each.attributes.get("itemprop") or "").split():
                thing.setdefault(_short(name), []).append(value)
    return thing


def _properties(node: Any) -> Iterator[Any]:
    """Elements with a property of this item: below it, and not below an item inside it."""
    waiting = list(node.iter(include_text=False))[::-1]
    while waiting:
        each = waiting.pop()
        if each.attributes.get("itemprop"):
            yield each
        if "itemscope" not in each.attributes:
            waiting += list(each.iter(include_text=False))[::-1]


def _value(node: Any, base: str) -> str:
    attribute = FROM_ATTRIBUTE.get(node.tag, "")
    # Many write content="8.1" on any element, which is what search engines read.
    said = node.attributes.get("content") or (node.attributes.get(attribute) if attribute else None)
    if said is None:
        return " ".join(str(node.text(deep=True)).split())
    if attribute in ("href", "src"):
        try:
            return urljoin(base, str(said).strip())
        except ValueError:
            pass
    return str(said).strip()


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _short(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].rpartition("#")[2].removeprefix("schema:")
