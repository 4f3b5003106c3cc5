"""The blob that a model survives in: checked by its hash before anything in it is unpickled."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from typing import Any, Final, Protocol, Self

import msgspec

_MAGIC: Final = b"MARQUEE-SNAPSHOT"
_FORMAT: Final = b"\x001\n"
_HEAD: Final = len(_MAGIC) + len(_FORMAT)
_DIGEST: Final = 32
_LIBRARIES: Final = ("river", "numpy")


class SnapshotError(Exception):
    """This snapshot cannot be used; an older one, or learning from the log, can."""


class SnapshotCorrupt(SnapshotError):  # noqa: N818
    """The bytes are not what was written."""


class SnapshotIncompatible(SnapshotError):  # noqa: N818
    """The bytes are whole, but another version wrote them."""


class Snapshotted(Protocol):
    """A model that can be put into a snapshot."""

    @property
    def name(self) -> str:
        """Which model it is."""

    @property
    def model_version(self) -> str:
        """Which code and options made it."""

    @property
    def feature_schema(self) -> int:
        """Which features it was taught with."""

    def to_bytes(self) -> bytes:
        """The whole state."""

    def counts(self) -> dict[str, int]:
        """What the state holds."""

    def metrics(self) -> dict[str, float | None]:
        """How good the model is."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A model's state at one offset of its training topic, with what is needed to judge whether it fits."""

    model: str
    model_version: str
    feature_schema: int
    topic: str
    applied_offset: int
    created_at: float
    """Seconds since 1970."""
    state: bytes
    partition: int = 0
    counts: dict[str, int] = {}
    metrics: dict[str, float | None] = {}
    libraries: dict[str, str] = {}

    @classmethod
    def of(
        cls, learner: Snapshotted, *, topic: str, applied_offset: int, created_at: float, partition: int = 0
    ) -> Self:
        """A snapshot of `learner` as it is now."""
        return cls(
            model=learner.name,
            model_version=learner.model_version,
            feature_schema=learner.feature_schema,
            topic=topic,
            partition=partition,
            applied_offset=applied_offset,
            created_at=created_at,
            state=learner.to_bytes(),
            counts=learner.counts(),
            metrics=learner.metrics(),
            libraries=libraries(),
        )


def libraries() -> dict[str, str]:
    """The versions that a state depends on."""
    return {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}


def pack(snapshot: Snapshot) -> bytes:
    """The blob of a snapshot: magic, format, SHA-256, MessagePack."""
    body = msgspec.msgpack.encode(snapshot)
    return _MAGIC + _FORMAT + hashlib.sha256(body).digest() + body


def digest_of(blob: bytes) -> str:
    """A blob's content address: the SHA-256 of all its bytes, hex."""
    return hashlib.sha256(blob).hexdigest()


def unpack(blob: bytes) -> Snapshot:
    """The snapshot in a blob.

    Raises SnapshotCorrupt where the bytes are damaged, and SnapshotIncompatible where this program or its
    River (of which parts of a state are pickles) cannot read what another version wrote.
    """
    if blob[: len(_MAGIC)] != _MAGIC:
        raise SnapshotCorrupt("this is not a snapshot: delete it; the one before it is used, or the log is read again")
    if blob[len(_MAGIC) : _HEAD] != _FORMAT:
        raise SnapshotIncompatible(
            "another version of the snapshot format: run the version of Marquee that wrote it, or delete it to learn "
            "from the log again"
        )
    body = blob[_HEAD + _DIGEST :]
    if hashlib.sha256(body).digest() != blob[_HEAD : _HEAD + _DIGEST]:
        raise SnapshotCorrupt(
            "the snapshot's SHA-256 does not fit its bytes: delete it; the one before it is used, or the log is read "
            "again"
        )
    try:
        snapshot = msgspec.msgpack.decode(body, type=Snapshot)
    except msgspec.DecodeError as error:
        raise SnapshotIncompatible(f"the snapshot has other fields ({error}): delete it to learn again") from error
    _check_libraries(snapshot)
    return snapshot


def _check_libraries(snapshot: Snapshot) -> None:
    written, here = snapshot.libraries.get("river", "unknown"), version("river")
    if written.split(".")[:2] != here.split(".")[:2]:
        raise SnapshotIncompatible(
            f"the snapshot was written with river {written}, this is river {here}: install that version, or delete "
            "the snapshot to learn from the log again"
        )


def decode_state(state: bytes, kind: type[Any]) -> Any:
    """A learner's state of Struct `kind`; raises SnapshotIncompatible where the bytes hold another layout."""
    try:
        return msgspec.msgpack.decode(state, type=kind)
    except msgspec.DecodeError as error:
        raise SnapshotIncompatible(
            f"{kind.__name__} has another layout ({error}): delete the snapshot to learn from the log again"
        ) from error
