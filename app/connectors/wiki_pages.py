"""What Wikipedia says of a film: the infobox in its source, the plot and stated review scores in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec

from app.connectors.answers import decoded
from app.connectors.base import FilmTarget
from app.connectors.elements import Each, Raws
from app.connectors.errors import NotFoundError
from app.connectors.extras import extra
from app.connectors.film_pages import year_of
from app.connectors.mediawiki import Claims, values_of
from schemas.base import Record
from schemas.events import FactsObserved, RatingKind, RatingObserved

INFOBOXES: Final = ("infobox film", "infobox movie", "infobox television")
RUNTIMES: Final = ("runtime", "länge", "len", "durée", "duración", "durata")
BUDGETS: Final = ("budget", "presupuesto")
RELEASES: Final = ("released", "first_aired", "release_date")
DATES: Final = ("film date", "start date", "filmdatum")
LONGEST_TEXT: Final = 200_000

_HEADING: Final = re.compile(r"^(={2,6})\s*(.+?)\s*\1\s*$", re.M)
_MINUTES: Final = re.compile(r"(?<![\d–-])(\d{1,4})\s*min", re.I)
_DOLLARS: Final = re.compile(r"(?:US)?\s?\$\s?(\d[\d,]*(?:\.\d+)?)\s*(million|billion)?", re.I)
_SCALE: Final = {"million": 1e6, "billion": 1e9, "": 1.0}
_APPROVAL: Final = re.compile(
    r"\b(\d{1,3})% (?:of|based on|from) (?:the )?(\d[\d,]*)|approval rating of (\d{1,3})%(?:,? based on (\d[\d,]*))?"
)
_AVERAGE: Final = re.compile(r"average (?:rating|score) of (\d{1,2}(?:\.\d{1,2})?)/10\b")
_WEIGHTED: Final = re.compile(r"\b(\d{1,3})(?: out of |/)100\b,? (?:based on|from) (\d[\d,]*)")


class _Properties(msgspec.Struct):
    wikibase_item: str | None = None
    disambiguation: str | None = None


class _Slot(msgspec.Struct):
    content: str | None = None


class _Slots(msgspec.Struct):
    main: _Slot | None = None


class _Revision(msgspec.Struct):
    """Without a text where that was hidden from readers."""

    slots: _Slots | None = None


class WikiPage(msgspec.Struct):
    """A page, with as much of it as was asked for."""

    title: str
    missing: bool = False
    invalid: bool = False
    lastrevid: int | None = None
    fullurl: str | None = None
    pageprops: _Properties | None = None
    extract: str | None = None
    revisions: list[_Revision] | None = None

    @property
    def item(self) -> str | None:
        """The page's item in Wikidata."""
        return self.pageprops.wikibase_item if self.pageprops else None

    @property
    def source(self) -> str:
        """The page as its authors wrote it."""
        slots = self.revisions[0].slots if self.revisions else None
        return (slots.main.content if slots and slots.main else None) or ""


class _Query(msgspec.Struct):
    pages: Raws | None = None


class _Answer(msgspec.Struct):
    query: _Query = msgspec.field(default_factory=_Query)
    more: dict[str, str | int] = msgspec.field(name="continue", default_factory=dict)


class _Link(msgspec.Struct):
    title: str


class _Entity(msgspec.Struct):
    sitelinks: dict[str, _Link] | list[Any] | None = None
    claims: Claims = None


class _Entities(msgspec.Struct):
    entities: dict[str, _Entity] = {}


class _Views(msgspec.Struct):
    items: Raws | None = None


class _Day(msgspec.Struct):
    views: int


_pages: Final = Each(WikiPage, "a page", nonsense=1)
_days: Final = Each(_Day, "a day")


def parse_pages(body: bytes) -> tuple[list[WikiPage], dict[str, str | int]]:
    """The pages of a query, and what is to be asked to go on. Raises MalformedError or IncompleteError.

    A page of several that has no sense is none of those among which a film is looked for.
    """
    said = decoded(body, _Answer)
    return _pages(said.query.pages).good, said.more


def parse_sitelink(body: bytes, site: str) -> str | None:
    """The title that the one item of an answer has in a wiki. Raises MalformedError or IncompleteError."""
    for entity in decoded(body, _Entities).entities.values():
        # An empty object is written as an empty list there.
        if isinstance(entity.sitelinks, dict) and site in entity.sitelinks:
            return entity.sitelinks[site].title
    return None


def parse_same_film(body: bytes, imdb: str) -> list[str]:
    """The items that state an IMDb id (P345). Raises MalformedError or IncompleteError."""
    found = []
    for item, entity in decoded(body, _Entities).entities.items():
        if imdb in list(values_of(entity.claims, "P345")):
            found.append(item)
    return found


def parse_views(body: bytes) -> int:
    """The sum of the views in an answer of the REST API. Raises MalformedError or IncompleteError."""
    return sum(day.views for day in _days(decoded(body, _Views).items).good)


def text_of(source: str) -> str:
    """A page's text with its headings, made from its source, for wikis that do not make one (TextExtracts)."""
    parts = []
    parsed = extra("mwparserfromhell", "wikipedia").parse(source)
    for section in parsed.get_sections(flat=True, include_lead=True):
        headings = section.filter_headings(recursive=False)
        for each in headings:
            parts.append(f"{'=' * each.level} {each.title.strip_code().strip()} {'=' * each.level}")
            section.remove(each)
        for tag in section.filter_tags(matches=lambda node: str(node.tag).lower() in ("ref", "table")):
            with suppress(ValueError):  # it stood in one that is gone already
                section.remove(tag)
        for link in section.filter_wikilinks(matches=lambda node: ":" in str(node.title), recursive=False):
            section.remove(link)
        parts.append(str(section.strip_code()))
    return "\n".join(parts)


def the_page(pages: list[WikiPage], title: str) -> WikiPage:
    """The one page that was asked for. Raises NotFoundError."""
    if len(pages) != 1 or pages[0].missing or pages[0].invalid:
        raise NotFoundError(f"there is no page {title!r}")
    return pages[0]


def parse_film_page(page: WikiPage, film: FilmTarget, source: str, headings: tuple[str, ...]) -> Iterator[Record]:
    """Facts of the film, then the scores of aggregators that the text states once and plainly."""
    text = page.extract or ""
    box = _infobox(page.source)
    minutes, budget, plot = _runtime(box), _budget(box), plot_in(text, headings)
    if minutes or budget or plot or box:
        yield FactsObserved(
            film_id=film.film_id,
            source=source,
            title=(page.title.partition(" (")[0] or page.title)[:500],
            year=_year(box),
            runtime_minutes=minutes,
            budget=budget,
            plot=plot,
        )
    for name, kind, value, best, votes in scores_in(text):
        yield RatingObserved(
            film_id=film.film_id,
            source=source,
            source_record_id=f"{page.item or page.title}/{name}/{kind}"[:512],
            value=value,
            best=best,
            worst=0.0,
            votes=votes,
            kind=kind,
            author=name,
            url=page.fullurl,
        )


def plot_in(text: str, headings: tuple[str, ...]) -> str | None:
    """What stands under the heading of the plot, with what is below it; None where there is no such heading."""
    wanted = {heading.casefold() for heading in headings}
    found = list(_HEADING.finditer(text))
    for n, heading in enumerate(found):
        if heading[2].casefold() in wanted:
            depth = len(heading[1])
            end = next((after.start() for after in found[n + 1 :] if len(after[1]) <= depth), len(text))
            plain = _HEADING.sub("", text[heading.end() : end])
            return "\n".join(line.strip() for line in plain.splitlines() if line.strip())[:LONGEST_TEXT] or None
    return None


def scores_in(text: str) -> Iterator[tuple[str, RatingKind, float, float, int | None]]:
    """Name, kind, value, best and votes of aggregators' scores; what is stated twice and differs is left out."""
    tomatoes = [line for line in text.splitlines() if "Rotten Tomatoes" in line]
    metacritic = [line for line in text.splitlines() if "Metacritic" in line]
    approvals = {
        (one or other, votes or more) for line in tomatoes for one, votes, other, more in _APPROVAL.findall(line)
    }
    averages = {(value, "") for line in tomatoes for value in _AVERAGE.findall(line)}
    weighted = {found for line in metacritic for found in _WEIGHTED.findall(line)}
    forms: tuple[tuple[str, RatingKind, float, set[tuple[str, str]]], ...] = (
        ("Rotten Tomatoes", "approval", 100.0, approvals),
        ("Rotten Tomatoes", "mean", 10.0, averages),
        ("Metacritic", "mean", 100.0, weighted),
    )
    for name, kind, best, found in forms:
        if len(found) == 1:
            ((value, votes),) = found
            if float(value) <= best:
                yield name, kind, float(value), best, int(votes.replace(",", "")) if votes else None


def _infobox(source: str) -> dict[str, Any]:
    """The parameters of a film's infobox by their names in small letters, without references and comments."""
    if not source:
        return {}
    parsed = extra("mwparserfromhell", "wikipedia").parse(source)
    for template in parsed.filter_templates(recursive=False):
        if str(template.name).strip().lower().replace("_", " ").startswith(INFOBOXES):
            for each in template.params:
                for tag in each.value.filter_tags(matches=lambda node: str(node.tag).lower() == "ref", recursive=False):
                    each.value.remove(tag)
            return {str(each.name).strip().lower(): each.value for each in template.params}
    return {}


def _plain(value: Any) -> str:
    """The text of a parameter; of templates that stand for a sum of dollars or a duration, what they show."""
    for template in value.filter_templates(recursive=False):
        name, params = str(template.name).strip().lower(), {str(each.name): str(each.value) for each in template.params}
        if name in ("us$", "usd"):
            value.replace(template, f"${params.get('1', '')}")
        elif name == "duration":
            hours, minutes = params.get("h", params.get("1", "0")), params.get("m", params.get("2", "0"))
            known = hours.isdecimal() and minutes.isdecimal()
            value.replace(template, f"{int(hours) * 60 + int(minutes)} min" if known else "")
    return " ".join(str(value.strip_code()).split())


def _first(box: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((box[name] for name in names if name in box), None)


def _runtime(box: dict[str, Any]) -> float | None:
    value = _first(box, RUNTIMES)
    found = set(_MINUTES.findall(_plain(value))) if value is not None else set()
    # Several cuts have several lengths: none of them is the film's.
    minutes = float(found.pop()) if len(found) == 1 else 0.0
    return minutes or None


def _budget(box: dict[str, Any]) -> float | None:
    value = _first(box, BUDGETS)
    found = _DOLLARS.fullmatch(_plain(value)) if value is not None else None
    return float(found[1].replace(",", "")) * _SCALE[(found[2] or "").lower()] if found else None


def _year(box: dict[str, Any]) -> int | None:
    value = _first(box, RELEASES)
    if value is None:
        return None
    dates = [each for each in value.filter_templates() if str(each.name).strip().lower() in DATES]
    said = [str(each.value).strip() for date in dates for each in date.params]
    years = [year for text in said if text.isdecimal() and len(text) == 4 and (year := year_of(text)) is not None]
    return min(years) if years else year_of(_plain(value))
