"""The celebrity path on the wire: from a person who was pushed to pictures found, fetched, claimed, examined, kept.

A picture is followed as an item: one address found for one person. `order` rises with every decision on an item, so
that whoever hears of two decisions knows which is the later one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from schemas.base import Layout, Record
from schemas.events import Count, ShortText, SourceName
from schemas.ids import PERSON_FORM, PersonId
from schemas.terms import SourceTerms

Url = Annotated[str, Meta(min_length=1, max_length=8192)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Hash64 = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
Hash256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Reason = Annotated[str, Meta(max_length=2000)]
Decision = Literal["keep", "reject"]


class CelebrityRegistered(Record, frozen=True, kw_only=True):
    """A film person entered the pipeline, or what is known of the identity grew."""

    topic: ClassVar[str] = "celebrities-registered"
    key_field: ClassVar[str] = "celebrity_id"

    celebrity_id: PersonId
    name: str | None = None
    wikidata: str | None = None
    imdb: str | None = None
    tmdb: Count | None = None
    life: Count = 0
    """The decision by which the person had been forgotten last, 0 where never or where nothing tells."""


class ImageFound(Record, frozen=True, kw_only=True):
    """The address of a picture that a source says shows a person; sizes in pixels as the source states them."""

    topic: ClassVar[str] = "images-found"
    key_field: ClassVar[str] = "celebrity_id"

    celebrity_id: Annotated[ShortText, PERSON_FORM]
    source: SourceName
    url: Url
    width: Count | None = None
    height: Count | None = None
    context_url: Url | None = None
    licence: Annotated[str, Meta(max_length=1000)] | None = None
    terms: SourceTerms | None = None


class ImageFetched(Record, frozen=True, kw_only=True, tag_field="type", tag="fetched"):
    """A picture's bytes are put away under their SHA-256, and its perceptual hashes are taken."""

    topic: ClassVar[str] = "images-fetched"
    key_field: ClassVar[str] = "item_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    item_id: str
    celebrity_id: PersonId
    image_id: Sha256
    source: str
    url: Url
    width: Count
    height: Count
    format: str
    bytes: Count
    phash64: Hash64
    dhash64: Hash64
    phash256: Hash256
    pipeline: Count
    """Version of the decoding and hashing that made the hashes; only hashes of one version are compared."""
    fetched_at: str
    context_url: Url | None = None
    licence: str | None = None
    terms: SourceTerms | None = None
    life: Count | None = None
    """The decision by which the person had been forgotten last when it was fetched, 0 where never; None: not told."""


class RuleImage(Record, frozen=True, kw_only=True, tag_field="type", tag="ruling"):
    """A word on an item: keep it whatever was decided, or reject it.

    `over`: nobody said it; its source does not let it be stored any longer, which `note` says.
    """

    topic: ClassVar[str] = "images-fetched"
    key_field: ClassVar[str] = "item_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    item_id: ShortText
    celebrity_id: Annotated[ShortText, PERSON_FORM]
    decision: Decision
    note: Reason = ""
    over: bool = False


class ForgetCelebrity(Record, frozen=True, kw_only=True, tag_field="type", tag="forget"):
    """Everything that is kept of a person is to be erased."""

    topic: ClassVar[str] = "images-fetched"
    key_field: ClassVar[str] = "celebrity_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    celebrity_id: Annotated[ShortText, PERSON_FORM]


class ImageAccepted(Record, frozen=True, kw_only=True):
    """The picture is nobody's yet, or a person ruled that it be kept (`ruled`)."""

    topic: ClassVar[str] = "images-accepted"
    key_field: ClassVar[str] = "celebrity_id"

    item_id: str
    celebrity_id: PersonId
    image_id: Sha256
    source: str
    url: Url
    width: Count
    height: Count
    format: str
    phash64: Hash64
    order: Count
    ruled: bool = False
    context_url: Url | None = None
    licence: str | None = None
    terms: SourceTerms | None = None


class ImageRejected(Record, frozen=True, kw_only=True):
    """An item went no further than fetching or claiming; `distance` in differing bits of phash256 to `duplicate_of`."""

    topic: ClassVar[str] = "images-rejected"
    key_field: ClassVar[str] = "celebrity_id"

    item_id: str
    celebrity_id: PersonId
    source: str
    url: Url
    stage: Literal["fetch", "claim"]
    verdict: Literal["duplicate", "conflict", "rejected", "failed"]
    reason: Reason
    order: Count
    image_id: Sha256 | None = None
    duplicate_of: Sha256 | None = None
    conflict_with: str | None = None
    distance: Count | None = None
    width: Count | None = None
    height: Count | None = None
    phash64: Hash64 | None = None


class Face(Record, frozen=True, kw_only=True):
    """A face on a picture: box (x, y, width, height) in pixels of the cleaned picture, score of the detector 0-1.

    `embedding` is 128 little-endian float32 of length 1, base64 on the wire.
    """

    topic: ClassVar[str] = ""
    key_field: ClassVar[str] = "score"

    box: tuple[int, int, int, int]
    score: float
    embedding: Annotated[bytes, Meta(min_length=512, max_length=512)]


class ImageExamined(Record, frozen=True, kw_only=True, tag_field="type", tag="examined"):
    """What cleaning made of a picture: the disarmed copy and its faces, or why there is none (`refused`)."""

    topic: ClassVar[str] = "images-examined"
    key_field: ClassVar[str] = "item_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    item_id: str
    celebrity_id: PersonId
    image_id: Sha256
    source: str
    url: Url
    phash64: Hash64
    order: Count
    ruled: bool = False
    refused: Reason | None = None
    clean_sha256: Sha256 | None = None
    path: str | None = None
    width: Count = 0
    height: Count = 0
    faces: tuple[Face, ...] = ()
    face_model: str | None = None
    """Which detector and embedder, with the digest of their weights; embeddings of two are never compared."""
    unsafe: float | None = None
    """Score 0-1 of the NSFW model where it is installed."""
    terms: SourceTerms | None = None


class ImageWithdrawn(Record, frozen=True, kw_only=True, tag_field="type", tag="withdrawn"):
    """A claimed picture was given up: ruled out by hand, no longer to be stored, or its person forgotten."""

    topic: ClassVar[str] = "images-examined"
    key_field: ClassVar[str] = "item_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    item_id: str
    celebrity_id: PersonId
    image_id: Sha256
    source: str
    url: Url
    order: Count
    reason: Reason


class PersonForgotten(Record, frozen=True, kw_only=True, tag_field="type", tag="forgotten"):
    """No claim of a person is left; whoever decides on faces forgets the person too."""

    topic: ClassVar[str] = "images-examined"
    key_field: ClassVar[str] = "celebrity_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    celebrity_id: PersonId
    order: Count


class FindDropped(Record, frozen=True, kw_only=True, tag_field="type", tag="dropped"):
    """A find came, at `found_at`, for a person who was forgotten by `order` and whom nobody has pushed since."""

    topic: ClassVar[str] = "images-examined"
    key_field: ClassVar[str] = "celebrity_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    celebrity_id: PersonId
    order: Count
    found_at: str


class ImageKept(Record, frozen=True, kw_only=True):
    """A picture stays; `image_id` is the SHA-256 of the bytes as fetched, `sha256` that of the file at `path`."""

    topic: ClassVar[str] = "images-kept"
    key_field: ClassVar[str] = "celebrity_id"

    image_id: Sha256
    celebrity_id: PersonId
    sha256: Sha256
    phash: Hash64
    width: Count
    height: Count
    path: str
    source: str
    item_id: str
    url: Url
    order: Count
    faces: Count = 0
    box: tuple[int, int, int, int] | None = None
    similarity: float | None = None
    ruled: bool = False


class ImageDiscarded(Record, frozen=True, kw_only=True):
    """Cleaning or the faces speak against a picture, or cannot speak yet (`pending`)."""

    topic: ClassVar[str] = "images-discarded"
    key_field: ClassVar[str] = "celebrity_id"

    item_id: str
    celebrity_id: PersonId
    image_id: Sha256
    source: str
    url: Url
    verdict: Literal["rejected", "quarantined", "pending"]
    reason: Reason
    order: Count
    faces: Count = 0
    similarity: float | None = None
    sha256: Sha256 | None = None
    path: str | None = None
