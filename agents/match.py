"""Find out which film a mention is of: by id, by address, by what other catalogues call it, by title and year."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Final, Literal, NamedTuple

from agents.claims import Rows
from agents.film_names import dated_titles, in_addresses
from agents.messages import Message
from agents.terms import until
from models.scores_in_text import score_in
from models.titles import Known, Offer, TitleIndex
from schemas.base import Record, Rejected
from schemas.entities import FilmAlias, ListedFilm, ListRevision, OpenMention
from schemas.events import FilmRegistered, RatingObserved, ReviewObserved
from schemas.ids import FILM_ID_FORMS, derived_id, is_film_id
from schemas.mentions import (
    Candidate,
    FilmListed,
    FilmMentioned,
    How,
    MatchUnresolved,
    MentionMatched,
    ResolveMention,
)

EXCERPT: Final = 300
MOST_SHOWN: Final = 10
"""Films that a mention is said to be perhaps of."""
SEVERAL: Final = "the text names several films"


class Films:
    """A cache of the titles in a table, made anew whenever the table is not at the revision at which it was left."""

    def __init__(self) -> None:
        self._index = TitleIndex()
        self._revision: str | None = None

    def follow(self, films: Rows[ListedFilm], revision: str) -> TitleIndex:
        """The titles of exactly the films in `films`, which are at `revision`."""
        if revision != self._revision:
            self._revision = None
            self._index = TitleIndex(known for _, film in films.under("") if (known := _known(film)) is not None)
            self._revision = revision
        return self._index

    def put(self, film: ListedFilm, revision: str) -> None:
        """A film was written, which brought the table to `revision`."""
        self._revision = None
        known = _known(film)
        if known is not None:
            self._index.add(known)
        self._revision = revision


class Found(NamedTuple):
    """Which film it is and what said so."""

    film_id: str
    how: How
    score: float | None = None


async def list_film(message: Message[FilmRegistered]) -> AsyncIterator[Record]:
    """FilmListed, so that films stand in one order with the mentions that may be of them."""
    film = message.data
    yield FilmListed(**{name: getattr(film, name) for name in FilmListed.__struct_fields__})


async def match_mention(
    message: Message[FilmListed | FilmMentioned | ResolveMention],
    films: Rows[ListedFilm],
    aliases: MutableMapping[str, FilmAlias],
    mentions: MutableMapping[str, OpenMention],
    revisions: MutableMapping[str, ListRevision],
    index: Films,
) -> AsyncIterator[Record]:
    """RatingObserved or ReviewObserved of the film with MentionMatched, or MatchUnresolved with what it may be.

    Never a guess: what two films may be meant by waits for a ResolveMention. A text that shows no sign of any film is
    not about one, and is passed over. Raises Rejected for a malformed id and for a word on a mention that is not open.
    """
    data = message.data
    match data:
        case FilmListed():
            _list(data, films, aliases, revisions, index)
        case FilmMentioned():
            stored = revisions.get("")
            titles = index.follow(films, stored.digest if stored else "")
            for record in _matched(data, aliases, titles, mentions):
                yield record
        case ResolveMention():
            if data.expired is not None:
                _drop(data.mention_id, data.expired, mentions)
                return
            for record in _resolved(data, mentions):
                yield record


def _list(
    listed: FilmListed,
    films: Rows[ListedFilm],
    aliases: MutableMapping[str, FilmAlias],
    revisions: MutableMapping[str, ListRevision],
    index: Films,
) -> None:
    for alias in _aliases(listed):
        aliases[alias] = FilmAlias(film_id=listed.film_id)
    film = ListedFilm(film_id=listed.film_id, title=listed.title, year=listed.year, kind=listed.kind)
    if films.get(listed.film_id) == film:
        return
    stored = revisions.get("")
    before = stored.digest if stored else ""
    index.follow(films, before)
    films[listed.film_id] = film
    after = derived_id(before, repr(film))
    revisions[""] = ListRevision(digest=after)
    index.put(film, after)


def _matched(
    mention: FilmMentioned,
    aliases: MutableMapping[str, FilmAlias],
    titles: TitleIndex,
    mentions: MutableMapping[str, OpenMention],
) -> Iterator[Record]:
    known = mentions.get(mention.mention_id)
    if known is not None and known.closed:
        # A repeat, or a later version of a mention that was resolved: it is of the same film.
        if known.matched is not None:
            yield from _told(mention, known.matched)
        return
    found = _which(mention, aliases, titles)
    if isinstance(found, Found):
        yield MentionMatched(mention_id=mention.mention_id, film_id=found.film_id, how=found.how, score=found.score)
        yield from _told(mention, found.film_id)
    elif found is not None:
        mentions[mention.mention_id] = OpenMention(mention=mention)
        yield found


def _which(
    mention: FilmMentioned, aliases: MutableMapping[str, FilmAlias], titles: TitleIndex
) -> Found | MatchUnresolved | None:
    """The film, or what it may be; None where nothing shows that it is of any."""
    films = _by_id(mention, aliases)
    if len(films) == 1:
        return Found(*films.popitem())
    # Two films in its links say nothing certain, nor would one of two titles in the same text.
    linked = [Offer(titles.get(film) or Known(film, film, None, "movie"), 100.0) for film in films]
    if mention.title:
        match = titles.match(mention.title, mention.year, mention.kind)
        if match.film is not None:
            return Found(match.film.film_id, "title", match.score)
        return _unresolved(mention, SEVERAL if films else match.reason, [*linked, *match.offers])
    return _unresolved(mention, SEVERAL, linked) if films else _by_text(mention, titles)


def _by_id(mention: FilmMentioned, aliases: MutableMapping[str, FilmAlias]) -> dict[str, How]:
    """The films whose ids stand in a mention; its own ids come first, and then it is one film."""
    kind = mention.kind or "movie"
    said = [(mention.imdb, "id"), (mention.wikidata, "id")]
    said.append((f"tmdb:{kind}/{mention.tmdb}" if mention.tmdb else None, "id"))
    said += [(found, "address") for found in in_addresses(mention)]
    ids = {(text, how) for text, how in said if text is not None and is_film_id(text)}
    films: dict[str, How] = {}
    for text, how in sorted(ids, key=said.index):
        alias = aliases.get(text)
        way: How = "address" if how == "address" else "id"
        if alias is not None and alias.film_id != text:
            way = "crosswalk" if way == "id" else way
        films.setdefault(alias.film_id if alias is not None else text, way)
    own = next((film for film, way in films.items() if way != "address"), None)
    return films if own is None else {own: films[own]}


def _by_text(mention: FilmMentioned, titles: TitleIndex) -> Found | MatchUnresolved | None:
    """The film of the one `Title (Year)` in the text."""
    named = dated_titles(mention)
    matches = [titles.match(title, each.year) for each in named for title in each.titles]
    films = {match.film.film_id: match for match in matches if match.film is not None}
    if len(films) == 1:
        film_id, match = films.popitem()
        return Found(film_id, "title", match.score)
    if films:
        offers = [Offer(match.film, match.score) for match in films.values() if match.film is not None]
        return _unresolved(mention, SEVERAL, offers)
    best = max(matches, key=lambda match: match.score, default=None)
    offers = [offer for match in matches for offer in match.offers]
    if best is None or not (offers or any(each.clear for each in named)):
        return None
    return _unresolved(mention, best.reason, sorted(offers, key=lambda offer: -offer.score))


def _unresolved(mention: FilmMentioned, reason: str, offers: list[Offer]) -> MatchUnresolved:
    # Several titles may offer the same film.
    shown: dict[str, Candidate] = {}
    for film, score in offers:
        shown.setdefault(film.film_id, Candidate(film.film_id, film.title, film.year, score))
    return MatchUnresolved(
        mention_id=mention.mention_id,
        source=mention.source,
        reason=reason,
        title=mention.title,
        year=mention.year,
        url=mention.url,
        excerpt=mention.text[:EXCERPT] if mention.text else None,
        candidates=tuple(shown.values())[:MOST_SHOWN],
        terms=mention.terms,
    )


def _resolved(word: ResolveMention, mentions: MutableMapping[str, OpenMention]) -> Iterator[Record]:
    known = mentions.get(word.mention_id)
    if known is None:
        raise Rejected(f"mention_id: {word.mention_id} is not open; `marquee matches` lists those that are")
    if word.film_id is not None and not is_film_id(word.film_id):
        raise Rejected(f"film_id: {word.film_id!r} is none of {FILM_ID_FORMS}")
    mentions[word.mention_id] = OpenMention(mention=known.mention, closed=True, matched=word.film_id)
    yield MentionMatched(mention_id=word.mention_id, film_id=word.film_id, how="hand")
    if word.film_id is not None:
        yield from _told(known.mention, word.film_id)


def _drop(mention_id: str, expired: str, mentions: MutableMapping[str, OpenMention]) -> None:
    """Forget what a mention said, unless it may be stored for longer by now; of which film it is stays known."""
    known = mentions.get(mention_id)
    ends = None if known is None else until(known.mention.terms)
    if known is None or ends is None or ends > expired:
        return
    if not known.closed:
        del mentions[mention_id]
        return
    empty = FilmMentioned(mention_id=mention_id, source=known.mention.source, source_record_id="?")
    mentions[mention_id] = OpenMention(mention=empty, closed=True, matched=known.matched)


def _told(mention: FilmMentioned, film_id: str) -> Iterator[Record]:
    """What the mention says of the film, as if its source had known the id."""
    value, best, worst = mention.value, mention.best, mention.worst
    if value is None and mention.text and (said := score_in(mention.text)) is not None:
        value, best, worst = said.value, said.best, said.worst
    kind: Literal["mean", "single", "approval"] = mention.rating_kind or "single"
    common = {
        "film_id": film_id,
        "source": mention.source,
        "source_record_id": mention.source_record_id,
        "author": mention.author,
        "observed_at": mention.observed_at,
        "url": mention.url,
        "terms": mention.terms,
    }
    if mention.text:
        rating = {"rating": value, "best": best, "worst": worst}
        yield ReviewObserved(text=mention.text, lang=mention.lang, **common, **rating)  # type: ignore[arg-type]
    elif value is not None:
        scale = {"value": value, "best": best, "worst": worst, "votes": mention.votes, "kind": kind}
        yield RatingObserved(**common, **scale)  # type: ignore[arg-type]


def _aliases(film: FilmListed) -> list[str]:
    tmdb = f"tmdb:{film.kind}/{film.tmdb}" if film.tmdb else None
    return [alias for alias in (film.imdb, film.wikidata, tmdb) if alias is not None]


def _known(film: ListedFilm) -> Known | None:
    return None if film.title is None else Known(film.film_id, film.title, film.year, film.kind)
