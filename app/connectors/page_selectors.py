"""What a page says of a film where the configuration's selectors point, for sites without schema.org's terms."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from app.connectors.errors import SourceError
from app.connectors.film_pages import Critique, FilmPage, Score, Subject, minutes_of, score_of, whole_of, year_of
from app.connectors.markup import document, plain_text, web_address

Selector = Annotated[
    str, Meta(min_length=1, max_length=512, description="CSS, perhaps with @ATTRIBUTE at its end: meta.score@content")
]


class Selectors(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where each thing stands; those that begin with review_ are looked for inside each `review`."""

    title: Selector | None = None
    year: Selector | None = None
    value: Selector | None = None
    """The mean score."""
    best: Selector | None = None
    votes: Selector | None = None
    runtime: Selector | None = None
    plot: Selector | None = None
    genre: Selector | None = None
    review: Selector | None = None
    review_text: Selector | None = None
    review_value: Selector | None = None
    review_author: Selector | None = None
    review_time: Selector | None = None
    review_link: Selector | None = None
    next: Selector | None = None
    """The link to the next page of reviews."""

    def named(self) -> dict[str, str]:
        """Those that are set."""
        return {name: place for name, place in msgspec.structs.asdict(self).items() if place is not None}


def check_selectors(selectors: Selectors) -> None:
    """Raises SourceError for one that is no CSS, and for parts of reviews without a `review`."""
    named = selectors.named()
    inner = next((name for name in named if name.startswith("review_")), None)
    if inner is not None and selectors.review is None:
        raise SourceError(f"selectors: `{inner}` needs `review`, the element around one review")
    tree = document("<p>", "html") if named else None
    for name, place in named.items():
        try:
            tree.css(_split(place)[0])  # type: ignore[union-attr]
        except Exception as error:
            raise SourceError(f"selectors: {name}: {place!r} is no CSS selector") from error


def parse_selected(tree: Any, selectors: Selectors, base: str, scale: tuple[float, float] | None) -> FilmPage:
    """What stands where the selectors point."""
    complaints: list[str] = []
    titles = tuple(dict.fromkeys(_all(tree, selectors.title)))
    reviews = [] if selectors.review is None else tree.css(_split(selectors.review)[0])
    made = (_critique(node, selectors, base, scale, complaints) for node in reviews)
    score = _score(_first(tree, selectors.value), _first(tree, selectors.best), scale, complaints)
    votes = whole_of(_first(tree, selectors.votes))
    return FilmPage(
        Subject(titles, year_of(_first(tree, selectors.year))),
        msgspec.structs.replace(score, votes=votes) if score is not None else None,
        tuple(each for each in made if each is not None),
        tuple(dict.fromkeys(_all(tree, selectors.genre))),
        minutes_of(_first(tree, selectors.runtime)),
        _first(tree, selectors.plot),
        tuple(complaints),
    )


def next_page(tree: Any, selectors: Selectors, base: str) -> str | None:
    """The address of the next page of the same, as the selector or rel=next has it."""
    place = selectors.next or "link[rel~=next], a[rel~=next]"
    node = tree.css_first(_split(place)[0])
    return None if node is None else web_address(node.attributes.get("href"), base)


def _critique(
    node: Any, selectors: Selectors, base: str, scale: tuple[float, float] | None, complaints: list[str]
) -> Critique | None:
    text = _first(node, selectors.review_text) if selectors.review_text else plain_text(node.html or "", "html")
    if not text:
        return None
    link = node.css_first(_split(selectors.review_link)[0]) if selectors.review_link else None
    url = None if link is None else web_address(link.attributes.get("href"), base)
    return Critique(
        text=text,
        id=node.attributes.get("id") or url or "",
        url=url,
        author=_first(node, selectors.review_author),
        when=_first(node, selectors.review_time),
        score=_score(_first(node, selectors.review_value), None, scale, complaints),
    )


def _score(
    value: str | None, best: str | None, scale: tuple[float, float] | None, complaints: list[str]
) -> Score | None:
    try:
        return score_of(value, best, scale=scale)
    except ValueError as error:
        complaints.append(str(error))
        return None


def _split(place: str) -> tuple[str, str | None]:
    css, at, attribute = place.rpartition("@")
    return (css, attribute) if at and "]" not in attribute and '"' not in attribute else (place, None)


def _all(node: Any, place: str | None) -> list[str]:
    if place is None:
        return []
    css, attribute = _split(place)
    said = (each.attributes.get(attribute) if attribute else plain_text(each.html or "", "html") for each in
            node.css(css))  # fmt: skip
    return [text.strip() for text in said if text and text.strip()]


def _first(node: Any, place: str | None) -> str | None:
    return next(iter(_all(node, place)), None)
