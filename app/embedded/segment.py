"""The archive's file format: records in offset order, in compressed frames whose damage shows.

A segment is a prologue and frames. Prologue: magic, first offset, end of the segment before (-1 for the
first), CRC-32 that also covers topic and partition. Frame: header (payload bytes, CRC-32 of the payload,
number of records, first and last offset, CRC-32 of these) and payload (zlib over a msgpack list of records).
All numbers are little-endian. The header has a checksum of its own so that a damaged length is not taken
for a torn end.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

MAGIC: Final = b"MQSEG001"
SUFFIX: Final = ".segment"
_PROLOGUE: Final = struct.Struct("<8sQqI")
_FRAME: Final = struct.Struct("<IIIQQI")
_CHECKED: Final = _FRAME.size - 4
_LEVEL: Final = 1


class ArchiveError(Exception):
    """The archive cannot do what was asked; the text says why."""


class ArchiveDamagedError(ArchiveError):
    """Bytes in a segment are not those that were written; the text names the file and the position."""


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a record's value may raise: anybody may write anything to any topic."""


class ArchivedRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One Kafka record; `timestamp` in milliseconds since 1970, `value` None for a tombstone."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Prologue(NamedTuple):
    """How a segment begins: its first offset, and where the one before it ends (-1: it is the first)."""

    base: int
    previous_end: int


class Frame(NamedTuple):
    """One frame as it lies in the file, from byte `start` to before byte `end`."""

    start: int
    end: int
    records: int
    first: int
    last: int
    payload: bytes


class Torn(NamedTuple):
    """The segment ends in the middle of a frame: what a kill or a power cut leaves. Good up to `start`."""

    start: int
    whole: bool
    """Whether the bytes are all there but wrong, which a reader calls damage and a writer's recovery a tear."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[ArchivedRecord])


def prologue_bytes(topic: str, partition: int, prologue: Prologue) -> bytes:
    """What stands at the beginning of a segment."""
    return _PROLOGUE.pack(MAGIC, *prologue, _prologue_crc(topic, partition, prologue))


def frame_bytes(records: Sequence[ArchivedRecord]) -> bytes:
    """A frame of at least one record."""
    payload = zlib.compress(_encoder.encode(records), _LEVEL)
    checked = (len(payload), zlib.crc32(payload), len(records), records[0].offset, records[-1].offset)
    head = _FRAME.pack(*checked, 0)[:_CHECKED]
    return head + zlib.crc32(head).to_bytes(4, "little") + payload


def read_prologue(file: BinaryIO, path: Path, topic: str, partition: int) -> Prologue | None:
    """The prologue; None where the file ends before it does. Raises ArchiveDamagedError."""
    raw = file.read(_PROLOGUE.size)
    if len(raw) < _PROLOGUE.size:
        return None
    magic, base, previous_end, crc = _PROLOGUE.unpack(raw)
    prologue = Prologue(base, previous_end)
    if magic != MAGIC or crc != _prologue_crc(topic, partition, prologue):
        raise ArchiveDamagedError(f"{path}: does not begin like a segment of {topic}/{partition}")
    return prologue


def read_frames(file: BinaryIO, path: Path) -> Iterator[Frame | Torn]:
    """The frames after the prologue; a Torn, if any, comes last. Raises ArchiveDamagedError."""
    end_of_file = path.stat().st_size
    start = file.tell()
    while start < end_of_file:
        head = file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            yield Torn(start, whole=False)
            return
        length, payload_crc, count, first, last, head_crc = _FRAME.unpack(head)
        if zlib.crc32(head[:_CHECKED]) != head_crc:
            # After a power cut a file system may have made the file longer than what it wrote.
            if any(head) or any(file.read()):
                raise ArchiveDamagedError(f"{path}: damaged frame header at byte {start}")
            yield Torn(start, whole=False)
            return
        end = start + _FRAME.size + length
        payload = file.read(length)
        if end > end_of_file:
            yield Torn(start, whole=False)
            return
        if zlib.crc32(payload) != payload_crc:
            if end < end_of_file:
                raise ArchiveDamagedError(f"{path}: damaged records at byte {start} (offsets {first} to {last})")
            yield Torn(start, whole=True)
            return
        yield Frame(start, end, count, first, last, payload)
        start = end


def unpack(frame: Frame, path: Path) -> list[ArchivedRecord]:
    """The records of a frame whose checksum is right. Raises ArchiveDamagedError where they are not in order."""
    records = _decoder.decode(zlib.decompress(frame.payload))
    offsets = [record.offset for record in records]
    if (
        len(offsets) != frame.records
        or (offsets[0], offsets[-1]) != (frame.first, frame.last)
        or any(later <= earlier for earlier, later in pairwise(offsets))
    ):
        raise ArchiveDamagedError(f"{path}: offsets out of order at byte {frame.start}")
    return records


def _prologue_crc(topic: str, partition: int, prologue: Prologue) -> int:
    return zlib.crc32(f"{topic}/{partition}/{prologue.base}/{prologue.previous_end}".encode())
