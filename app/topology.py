"""The whole pipeline on one page: a row says what a stage reads, which function runs, and what it may emit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, get_args

from agents.claim import claim
from agents.claims import ClaimIndex, ClaimsRevision
from agents.clean import clean_rating
from agents.examine import ask_for_examination, examine_picture, outcome_of_examination, recall_examination
from agents.facts import merge_facts
from agents.fetch import ask_for_picture, fetch_picture, outcome_of_fetch, recall_fetch
from agents.intake import admit
from agents.judge import judge
from agents.latest import keep_latest
from agents.match import Films, list_film, match_mention
from agents.ports import CollectingProjections, ModelDesk, PictureEraser, PictureProjections, Pictures, Projections
from agents.project import (
    obey_control,
    project_films,
    project_matched,
    project_predictions,
    project_ratings,
    project_reviews,
    project_runs,
    project_sentiments,
    project_unresolved,
)
from agents.project_pictures import (
    project_accepted,
    project_celebrities,
    project_discarded,
    project_forgotten,
    project_found,
    project_kept,
    project_recognised,
    project_rejected,
)
from agents.register import register_celebrity, register_film
from agents.reviews import clean_review
from agents.scrapes import Askable, admit_scrape, follow_scrapes, scrape_on_registration
from app.stage import Kind, Stage, TableSpec, Topology
from schemas.base import Record
from schemas.commands import ControlModel, EraseCelebrity, PushCelebrity, PushFilm, SubmitCelebrity, SubmitFilm
from schemas.entities import (
    AdmittedRun,
    Celebrity,
    Claim,
    ClaimedItem,
    Film,
    FilmAlias,
    FilmFacts,
    FilmTally,
    ForgottenPerson,
    FoundItem,
    JudgedItem,
    ListedFilm,
    ListRevision,
    OpenMention,
    PersonFaces,
    Prediction,
    ScrapeState,
    SeenRating,
    SeenReview,
)
from schemas.events import (
    FactsObserved,
    FilmRegistered,
    RatingCleaned,
    RatingObserved,
    RatingPredicted,
    ReviewCleaned,
    ReviewObserved,
    SentimentPredicted,
)
from schemas.faces import FaceConfirmed, FaceRecognised, FacesForgotten, FaceWithdrawn
from schemas.mentions import FilmListed, FilmMentioned, MatchUnresolved, MentionMatched, ResolveMention
from schemas.pictures import (
    CelebrityRegistered,
    FindDropped,
    ForgetCelebrity,
    ImageAccepted,
    ImageDiscarded,
    ImageExamined,
    ImageFetched,
    ImageFound,
    ImageKept,
    ImageRejected,
    ImageWithdrawn,
    PersonForgotten,
    RuleImage,
)
from schemas.scrapes import ConnectorSteered, RunEvent, ScrapeAdmitted, ScrapeRequested, SteerConnector

__all__ = ["Kind", "Ports", "Stage", "TableSpec", "Topology", "film_topology"]

FILMS = TableSpec("films", {"": Film})
FACTS = TableSpec("film-facts", {"": FilmFacts})
CLEANED_RATINGS = TableSpec("cleaned-ratings", {"rating|": SeenRating, "film|": FilmTally})
CLEANED_REVIEWS = TableSpec("cleaned-reviews", {"": SeenReview})
PREDICTIONS = TableSpec("predictions", {"": Prediction})
CELEBRITIES = TableSpec("celebrities", {"": Celebrity})
FOUND = TableSpec("found-images", {"": FoundItem})
CLAIMS = TableSpec(
    "claims", {"item|": ClaimedItem, "image|": Claim, "revision|": ClaimsRevision, "gone|": ForgottenPerson}
)
FACES = TableSpec("faces", {"person|": PersonFaces, "item|": JudgedItem})
ADMITTED = TableSpec("admitted-scrapes", {"": AdmittedRun})
MENTIONS = TableSpec(
    "mentions", {"film|": ListedFilm, "alias|": FilmAlias, "mention|": OpenMention, "revision|": ListRevision}
)
SCRAPES = TableSpec("scrapes", {"": ScrapeState})


Ask = Callable[..., Awaitable[Any]]


def _unfollowed(ask: Ask) -> Ask:
    return ask


@dataclass(frozen=True)
class Ports:
    """The outside services that the stages of one worker share, and which connectors can be asked about one entity."""

    projections: Projections
    models: ModelDesk
    people: PictureProjections
    pictures: Pictures
    files: PictureEraser
    collecting: CollectingProjections
    film_connectors: Sequence[Askable] = ()
    people_connectors: Sequence[Askable] = ()
    following: Callable[[Ask], Ask] = _unfollowed
    """Keeps an eye on what puts files of pictures away."""


def film_topology(ports: Ports | None = None) -> Topology:
    """Every stage of Marquee. Without `ports` only the rows are wanted, for people to read."""
    given: Any = ports or Ports(*(None,) * 6)  # type: ignore[arg-type]
    return Topology((*_film_path(given), *_celebrity_path(given), *_collecting(given), *_kept(given)))


def _film_path(ports: Ports) -> tuple[Stage, ...]:
    return (
        _decide("intake", (PushFilm, PushCelebrity), admit, (SubmitFilm, SubmitCelebrity)),
        _decide("register", (SubmitFilm,), register_film, (FilmRegistered,), FILMS, aside=True),
        _decide("facts", (FactsObserved,), merge_facts, (SubmitFilm,), FACTS),
        _decide("clean", (RatingObserved,), clean_rating, (RatingCleaned, SubmitFilm), CLEANED_RATINGS, (FACTS,)),
        _decide("clean-reviews", (ReviewObserved,), clean_review, (ReviewCleaned, SubmitFilm), CLEANED_REVIEWS),
        _decide("list-films", (FilmRegistered,), list_film, (FilmListed,), aside=True),
        _decide(
            "match",
            (FilmListed, FilmMentioned, ResolveMention),
            partial(match_mention, index=Films()),
            (RatingObserved, ReviewObserved, MatchUnresolved, MentionMatched),
            MENTIONS,
            aside=True,
        ),
        Stage("learn-ratings", (RatingCleaned,), Kind.LEARN, emits=(RatingPredicted,)),
        Stage("learn-reviews", (ReviewCleaned,), Kind.LEARN, emits=(SentimentPredicted,)),
        Stage("latest", (RatingPredicted,), Kind.DECIDE, keep_latest, table=PREDICTIONS, patient=True),
    )


def _celebrity_path(ports: Ports) -> tuple[Stage, ...]:
    claims = partial(claim, index=ClaimIndex())
    claimed = (ImageAccepted, ImageRejected, ImageWithdrawn, PersonForgotten, FindDropped, EraseCelebrity)
    faces = (FaceConfirmed, FaceWithdrawn, FacesForgotten)
    examined, judged = (
        (ImageExamined, ImageWithdrawn, PersonForgotten, FindDropped),
        (ImageKept, ImageDiscarded, *faces),
    )
    submitted, registered = (SubmitCelebrity, EraseCelebrity), (CelebrityRegistered,)
    fetched = (ImageFetched, ImageRejected, SubmitCelebrity, FindDropped, ImageWithdrawn)
    world: Any = ports.pictures
    fetch = _Asking(ports.following(partial(ask_for_picture, pictures=world)), outcome_of_fetch, recall_fetch)
    examination = ports.following(partial(ask_for_examination, pictures=world))
    examine = _Asking(examination, outcome_of_examination, recall_examination)
    return (
        _decide("register-celebrity", submitted, register_celebrity, registered, CELEBRITIES),
        _reach("fetch", ImageFound, fetch, fetch_picture, fetched, 128, FOUND, (CELEBRITIES,)),
        _decide("claim", (ImageFetched, RuleImage, ForgetCelebrity), claims, claimed, CLAIMS),
        _reach("examine", ImageAccepted, examine, examine_picture, (ImageExamined,), 64, looks_up=(CELEBRITIES,)),
        _decide("judge", examined, judge, judged, FACES),
        Stage("learn-faces", faces, Kind.LEARN, emits=(FaceRecognised,)),
    )


class _Asking(NamedTuple):
    ask: Callable[..., Awaitable[Any]]
    outcome: Callable[[Record], str | None]
    recall: Callable[..., bool]


def _collecting(ports: Ports) -> tuple[Stage, ...]:
    asked = (ScrapeRequested, SteerConnector)
    films = partial(scrape_on_registration, connectors=ports.film_connectors)
    people = partial(scrape_on_registration, connectors=ports.people_connectors)
    return (
        _decide("collect-films", (FilmRegistered,), films, (ScrapeRequested,), aside=True),
        _decide("collect-people", (CelebrityRegistered,), people, (ScrapeRequested,)),
        _decide("admit-scrapes", asked, admit_scrape, (ScrapeAdmitted, ConnectorSteered), ADMITTED),
        _decide("follow-scrapes", get_args(RunEvent), follow_scrapes, (), SCRAPES),
    )


def _kept(ports: Ports) -> tuple[Stage, ...]:
    films, people = ports.projections, ports.people
    forgotten = (ImageExamined, ImageWithdrawn, PersonForgotten, FindDropped)
    return (
        _keep("project-films", (FilmRegistered,), project_films, projections=films),
        _keep("project-ratings", (RatingCleaned,), project_ratings, projections=films),
        _keep("project-predictions", (RatingPredicted,), project_predictions, projections=films),
        _keep("project-reviews", (ReviewCleaned,), project_reviews, projections=films),
        _keep("project-sentiments", (SentimentPredicted,), project_sentiments, projections=films),
        _keep("project-celebrities", (CelebrityRegistered,), project_celebrities, pictures=people),
        _keep("project-found", (ImageFound,), project_found, pictures=people),
        _keep("project-accepted", (ImageAccepted,), project_accepted, pictures=people),
        _keep("project-rejected", (ImageRejected,), project_rejected, pictures=people),
        _keep("project-kept", (ImageKept,), project_kept, pictures=people),
        _keep("project-discarded", (ImageDiscarded,), project_discarded, pictures=people),
        _keep("project-recognised", (FaceRecognised,), project_recognised, pictures=people),
        _keep("project-forgotten", forgotten, project_forgotten, pictures=people, files=ports.files),
        _keep("project-runs", get_args(RunEvent), project_runs, collecting=ports.collecting),
        _keep("project-unresolved", (MatchUnresolved,), project_unresolved, collecting=ports.collecting),
        _keep("project-matched", (MentionMatched,), project_matched, collecting=ports.collecting),
        _keep("control", (ControlModel,), obey_control, batch=1, desk=ports.models),
    )


def _decide(
    name: str,
    reads: tuple[type[Record], ...],
    run: Callable[..., AsyncIterator[Record]],
    emits: tuple[type[Record], ...],
    table: TableSpec | None = None,
    looks_up: tuple[TableSpec, ...] = (),
    aside: bool = False,
) -> Stage:
    # A stage that remembers nothing keeps its mark all the same.
    return Stage(name, reads, Kind.DECIDE, run, emits, table or TableSpec(name, {}), looks_up, aside=aside)


def _reach(
    name: str,
    reads: type[Record],
    asking: _Asking,
    run: Callable[..., AsyncIterator[Record]],
    emits: tuple[type[Record], ...],
    batch: int,
    table: TableSpec | None = None,
    looks_up: tuple[TableSpec, ...] = (),
) -> Stage:
    kept = table or TableSpec(name, {})
    return Stage(name, (reads,), Kind.REACH, run, emits, kept, looks_up, batch=batch, **asking._asdict())


def _keep(
    name: str, reads: tuple[type[Record], ...], run: Callable[..., Awaitable[None]], batch: int = 5000, **ports: Any
) -> Stage:
    # A stage that only writes outside keeps nothing but its mark.
    table = TableSpec(name, {})
    return Stage(name, reads, Kind.KEEP, partial(run, **ports), table=table, batch=batch, patient=batch > 1)
