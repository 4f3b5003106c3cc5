"""What Mastodon, Bluesky and Reddit answer, as posts of one form, and the records in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from app.connectors.answers import decoded
from app.connectors.base import FilmTarget, Refused
from app.connectors.elements import Each, Raws
from app.connectors.film_signs import links_to_films, names, scored_title, shows_a_film
from app.connectors.moments import is_moment, stated
from app.connectors.news_payloads import short_id, when
from app.connectors.post_text import film_addresses, html_text, nameless
from app.connectors.pseudonym import pseudonym
from models.scores_in_text import score_in
from schemas.base import Record
from schemas.events import RatingKind, ReviewObserved
from schemas.ids import derived_id, fenced
from schemas.mentions import FilmMentioned

_FILM_WORD: Final = re.compile(
    r"\b(?:films?|movies?|cinemas?|rewatch\w*|watch(?:ed|ing)|directed|screening|trailer|letterboxd|imdb|kino|película|"
    r"filme?|cinéma)\b",
    re.I,
)
HIDDEN_LABEL: Final = "!no-unauthenticated"
"""Set by people whose posts are for those who are logged in, not to be shown elsewhere."""
GONE: Final = frozenset({"[removed]", "[deleted]", ""})


class Post(NamedTuple):
    """One post; `order` grows with time, `author` is an account and becomes a pseudonym."""

    id: str
    text: str
    addresses: tuple[str, ...]
    when: str | None
    url: str | None
    lang: str | None
    author: str | None
    order: str


class Page(NamedTuple):
    """Posts of one answer, where the next begins (None: nowhere), the orders of all its entries, and what is none."""

    posts: list[Post]
    next: str | None
    orders: list[str]
    refused: list[Refused]


class Account(msgspec.Struct):
    """Who wrote a status, as far as that matters."""

    acct: str | None = None
    bot: bool | None = None
    noindex: bool | None = None


class Status(msgspec.Struct):
    """One of a hashtag's timeline; `content` is HTML."""

    id: str
    content: str | None = None
    spoiler_text: str | None = None
    visibility: str = "public"
    created_at: str | None = None
    language: str | None = None
    account: Account | None = None


class Author(msgspec.Struct):
    """Who wrote a post at Bluesky."""

    did: str
    labels: list[dict[str, Any]] | None = None


class SkyRecord(msgspec.Struct, rename="camel"):
    """What was written; facets carry the links, whose text is cut."""

    text: str | None = None
    created_at: str | None = None
    langs: list[str] | None = None
    facets: list[dict[str, Any]] | None = None


class SkyPost(msgspec.Struct, rename="camel"):
    """One of searchPosts."""

    uri: str
    author: Author
    record: SkyRecord
    indexed_at: str | None = None


class SkyAnswer(msgspec.Struct):
    """Of app.bsky.feed.searchPosts."""

    posts: Raws
    cursor: str | None = None


class Submission(msgspec.Struct):
    """The data of a t3 in a listing."""

    name: str
    title: str | None = None
    selftext: str | None = None
    url: str | None = None
    permalink: str | None = None
    author: str | None = None
    created_utc: float | None = None
    distinguished: str | None = None


class Child(msgspec.Struct):
    """An entry of a listing, of whatever kind."""

    kind: str
    data: msgspec.Raw


class Listed(msgspec.Struct):
    """The inside of a listing."""

    children: Raws
    after: str | None = None


class Listing(msgspec.Struct):
    """Of /r/…/new and /r/…/search."""

    data: Listed


_statuses: Final = Each(Status, "a status")
_sky_posts: Final = Each(SkyPost, "a post")
_children: Final = Each(Child, "an entry")
_submissions: Final = Each(Submission, "a post")


def parse_mastodon(body: bytes, home: str, following: str | None) -> Page:
    """A page of a hashtag's timeline; `following` is its Link: rel=next. Raises MalformedError, IncompleteError.

    Who set noindex, and programs, are left out. A status goes by the one address that does not name its author.
    """
    found, refused = _statuses(decoded(body, Raws))
    posts = []
    for each in found:
        account = each.account or Account()
        if account.bot or account.noindex or each.visibility != "public":
            continue
        text, links = html_text(each.content or "")
        post = Post(
            id=short_id(each.id),
            text=nameless("\n\n".join(filter(None, (each.spoiler_text, text)))),
            addresses=film_addresses(text, links),
            when=when(each.created_at),
            url=f"{home.rstrip('/')}/api/v1/statuses/{quote(each.id, safe='')}",
            lang=_lang(each.language),
            author=account.acct,
            order=each.id,
        )
        posts.append(post)
    older = parse_qs(urlsplit(following).query).get("max_id", [None])[0] if following else None
    return Page(posts, older, [each.id for each in found], refused)


def parse_bluesky(body: bytes) -> Page:
    """A page of a search. Raises MalformedError, IncompleteError."""
    answer = decoded(body, SkyAnswer)
    found, refused = _sky_posts(answer.posts)
    posts = []
    for each in found:
        if any(label.get("val") == HIDDEN_LABEL for label in each.author.labels or ()):
            continue
        record, text = each.record, each.record.text or ""
        post = Post(
            id=short_id(each.uri),
            text=nameless(text),
            addresses=film_addresses(text, _links(record.facets or ())),
            when=_sorted_at(each),
            url=_sky_address(each.uri),
            lang=_lang(next(iter(record.langs or ()), None)),
            author=each.author.did,
            order=_sorted_at(each) or "",
        )
        posts.append(post)
    orders = [_sorted_at(each) or "" for each in found]
    return Page(posts, answer.cursor if answer.posts else None, orders, refused)


def parse_reddit(body: bytes) -> Page:
    """A page of a listing, the newest first. Raises MalformedError, IncompleteError."""
    listing = decoded(body, Listing).data
    children, odd = _children(listing.children)
    found, refused = _submissions(child.data for child in children if child.kind == "t3")
    posts = []
    for each in found:
        gone = (each.title or "") in GONE or each.author in ("[deleted]", "AutoModerator") or each.distinguished
        if gone or each.selftext in ("[removed]", "[deleted]"):
            continue
        text = "\n\n".join(filter(None, (each.title, each.selftext)))
        post = Post(
            id=short_id(each.name),
            text=nameless(text),
            addresses=film_addresses(text, (each.url,) if each.url else ()),
            when=stated((each.created_utc or 0) * 1000),
            url=f"https://www.reddit.com{each.permalink}" if each.permalink else None,
            lang=None,
            author=each.author,
            order=_seconds(each),
        )
        posts.append(post)
    return Page(posts, listing.after, [_seconds(each) for each in found], [*odd, *refused])


def parse_post(
    post: Post, target: FilmTarget | None, films: Sequence[FilmTarget], source: str, tag: str = ""
) -> Record | None:
    """A review of the film that was searched for, or a mention; None for what is not certainly about a film.

    That a post has a film's title in it is not enough: titles are words. It has to have a score, or to speak of films.
    One that links to a film is matched by that, whatever was searched for.
    """
    if not post.text:
        return None
    score = score_in(post.text)
    common: dict[str, Any] = {
        "source": source, "source_record_id": post.id, "text": post.text, "lang": post.lang,
        "best": score.best if score else None, "worst": score.worst if score else None,
        "author": pseudonym(source, post.author), "observed_at": post.when, "url": post.url,
    }  # fmt: skip
    value = score.value if score else None
    if target is not None and not links_to_films(post.text, post.addresses):
        named = names(post.text, target.title or "") or (tag and re.search(rf"#{tag}\b", post.text, re.I))
        if not named or not (score or _FILM_WORD.search(post.text)):
            return None
        return ReviewObserved(film_id=target.film_id, rating=value, **common)
    titled = scored_title(post.text, films)
    if titled is None and not shows_a_film(post.text, post.addresses):
        return None
    title, year = titled or (None, None)
    kind: RatingKind | None = None if value is None else "single"
    return FilmMentioned(
        mention_id=derived_id(fenced(source, "/"), post.id),
        title=title,
        year=year,
        value=value,
        rating_kind=kind,
        addresses=post.addresses,
        **common,
    )


def newest(orders: Iterable[str]) -> str:
    """The last of ids or moments that grow; those of another length come before or after all of this."""
    return max(orders, key=lambda order: (len(order), order), default="")


def hashtag(title: str) -> str:
    """A title as people write it behind a #."""
    return "".join(char for char in title if char.isalnum())


def _links(facets: Iterable[dict[str, Any]]) -> list[str]:
    said = [facet.get("features") for facet in facets]
    features = [feature for each in said if isinstance(each, list) for feature in each]
    return [str(feature["uri"]) for feature in features if isinstance(feature, dict) and "uri" in feature]


def _sorted_at(post: SkyPost) -> str | None:
    """What the search sorts by: authors may claim to have written in the future."""
    said = [moment for moment in (when(post.record.created_at), when(post.indexed_at)) if moment]
    return min(said, key=datetime.fromisoformat, default=None)


def _sky_address(uri: str) -> str | None:
    """at://did/app.bsky.feed.post/key as an address for people; it has the account's number and not its name."""
    parts = uri.removeprefix("at://").split("/")
    return f"https://bsky.app/profile/{parts[0]}/post/{parts[-1]}" if len(parts) == 3 else None


def _seconds(submission: Submission) -> str:
    # Or one that is none would be newer than all that comes.
    seconds = submission.created_utc or 0.0
    return str(int(seconds) if is_moment(seconds * 1000) else 0)


def _lang(said: str | None) -> str | None:
    return said if said and len(said) <= 35 else None
