"""What the YouTube Data API (version 3) answers: videos, comments, and three kinds of refusal in one status."""

from __future__ import annotations

import html
import re
from typing import Final, NamedTuple

import msgspec

from app.connectors.answers import Answer, decoded
from app.connectors.base import FilmTarget, Refused
from app.connectors.elements import Each, Elements, Raws
from app.connectors.errors import NotFoundError, SourceError
from app.connectors.google_payloads import cse_fault
from app.connectors.movielens import moment
from app.connectors.pseudonym import pseudonym
from models.titles import normal, plain
from schemas.base import Rejected
from schemas.events import ReviewObserved

WATCH: Final = "https://www.youtube.com/watch"
LONGEST_TEXT: Final = 200_000
CLOSED: Final = frozenset({"commentsDisabled", "videoNotFound", "commentThreadNotFound"})
STALE: Final = frozenset({"invalidPageToken", "processingFailure"})
_YEAR: Final = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")


class CommentsClosedError(NotFoundError):
    """The video is gone, or its comments are switched off or not for everybody."""


class StalePageError(SourceError):
    """The place in a list of comments is one that YouTube no longer knows."""


class Video(msgspec.Struct, frozen=True):
    """A video; `comments` is how many it has, None where there can be none."""

    id: str
    title: str
    description: str
    comments: int | None = None


class Comments(NamedTuple):
    """A page of comments with the newest moment in it (RFC 3339), and where the next page begins."""

    reviews: list[ReviewObserved]
    refused: list[Refused]
    newest: str
    oldest: str
    next: str | None


class _Id(msgspec.Struct):
    videoId: str | None = None  # noqa: N815


class _Titles(msgspec.Struct):
    title: str | None = None
    description: str | None = None


class _Result(msgspec.Struct):
    id: _Id
    snippet: _Titles | None = None


class _List(msgspec.Struct):
    items: Raws
    nextPageToken: str | None = None  # noqa: N815


class _Statistics(msgspec.Struct):
    commentCount: int | None = None  # noqa: N815


class _Video(msgspec.Struct):
    id: str
    snippet: _Titles | None = None
    statistics: _Statistics | None = None


class _Channel(msgspec.Struct):
    value: str | None = None


class _Text(msgspec.Struct):
    textDisplay: str | None = None  # noqa: N815
    textOriginal: str | None = None  # noqa: N815
    publishedAt: str | None = None  # noqa: N815
    updatedAt: str | None = None  # noqa: N815
    authorDisplayName: str | None = None  # noqa: N815
    authorChannelId: _Channel | None = None  # noqa: N815


class _Comment(msgspec.Struct):
    id: str
    snippet: _Text


class _Top(msgspec.Struct):
    """Without a comment where that was deleted and answers to it were not."""

    topLevelComment: _Comment | None = None  # noqa: N815


class _Thread(msgspec.Struct):
    snippet: _Top


_results: Final = Each(_Result, "a result")
_videos: Final = Each(_Video, "a video")
_threads: Final = Each(_Thread, "a comment")


def youtube_fault(answer: Answer) -> SourceError | None:
    """What YouTube means: a video without comments, an old page, else what all of Google's services mean."""
    if b'"error"' not in answer.body[:4096]:
        return None
    try:
        error = msgspec.json.decode(answer.body)["error"]
        said = {(str(each.get("domain")), str(each.get("reason"))) for each in error.get("errors", [])}
    except (msgspec.DecodeError, AttributeError, TypeError, KeyError):
        return None
    reasons, text = {reason for _, reason in said}, f"{answer.url}: {error.get('message', 'no reason given')}"
    # One video whose comments are private says `forbidden` too, which elsewhere speaks of the credential.
    if reasons & CLOSED or ("youtube.commentThread", "forbidden") in said:
        return CommentsClosedError(text)
    if reasons & STALE:
        return StalePageError(text)
    return cse_fault(answer)


def parse_search(body: bytes, film: FilmTarget) -> Elements[str]:
    """Ids of the videos of a search that are about the film. Raises MalformedError or IncompleteError."""
    found, refused = _results(decoded(body, _List).items)
    # Titles in answers to searches are escaped for HTML, those of videos are not.
    said = ((each.id.videoId, [html.unescape(text) for text in _said(each.snippet)]) for each in found)
    return Elements([video for video, texts in said if video and about(film, *texts)], refused)


def parse_videos(body: bytes) -> Elements[Video]:
    """The videos that there still are. Raises MalformedError or IncompleteError."""
    found, refused = _videos(decoded(body, _List).items)
    made = [
        Video(each.id, *_said(each.snippet), comments=each.statistics.commentCount if each.statistics else None)
        for each in found
    ]
    return Elements(made, refused)


def parse_comments(body: bytes, film_id: str, video: str, source: str) -> Comments:
    """A page of top-level comments as reviews, without scores: what YouTube counts is no rating of a film."""
    page = decoded(body, _List)
    threads, refused = _threads(page.items)
    comments = [comment for thread in threads if (comment := thread.snippet.topLevelComment) is not None]
    made = [_review(comment, film_id, video, source) for comment in comments]
    moments = sorted(filter(None, (comment.snippet.publishedAt for comment in comments)))
    newest, oldest = (moments[-1], moments[0]) if moments else ("", "")
    reviews = [review for review in made if review is not None]
    return Comments(reviews, refused, newest, oldest, page.nextPageToken or None)


def about(film: FilmTarget, title: str, description: str) -> bool:
    """Whether a video is certainly about a film: its title has the film's whole title and year, and no other year.

    A description with the film's IMDb id stands for the year. Without either it may be of a sequel or a remake.
    """
    wanted, said = normal(plain(film.title or "")), f" {normal(title)} "
    before, found, after = said.partition(f" {wanted} ")
    if not wanted or not found:
        return False
    # A number behind the title makes another part of a series of it.
    following = (after.split() or [""])[0]
    if following.isdecimal() and following != str(film.year):
        return False
    # A year that belongs to the title, as in 2001, says nothing of when the film was made.
    years = set(_YEAR.findall(f"{before} {after}"))
    if film.imdb is not None and film.imdb in description:
        return years <= {str(film.year)}
    return years == {str(film.year)}


def _review(comment: _Comment, film_id: str, video: str, source: str) -> ReviewObserved | None:
    said = comment.snippet
    text = (said.textOriginal or said.textDisplay or "").strip()
    if not text:
        return None
    return ReviewObserved(
        film_id=film_id,
        source=source,
        source_record_id=comment.id,
        text=text[:LONGEST_TEXT],
        author=pseudonym(source, (said.authorChannelId or _Channel()).value or said.authorDisplayName),
        observed_at=_when(said.updatedAt or said.publishedAt),
        url=f"{WATCH}?v={video}&lc={comment.id}",
    )


def _said(snippet: _Titles | None) -> tuple[str, str]:
    return (snippet.title or "", snippet.description or "") if snippet else ("", "")


def _when(text: str | None) -> str | None:
    try:
        return moment(text) if text else None
    except Rejected:
        return None
