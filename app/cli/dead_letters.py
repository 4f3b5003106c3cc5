"""Dead letters as people deal with them: listed, shown, sent back to where they came from, given up.

A letter is resolved by a tombstone under its id on the same topic, so that what is open can be told from the log alone.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer

from app.cli.call import CliError
from app.cli.kafka import cut, read_all
from app.connectors.runner import ORIGIN
from app.delivery.contiguity import KafkaLogReader
from app.delivery.moved import without_origin
from app.delivery.producer import MAX_REQUEST_BYTES
from app.settings import Settings
from schemas.base import Rejected
from schemas.catalogue import decode
from schemas.envelope import identified
from schemas.events import DeadLettered
from schemas.ids import position_id

TOPIC: Final = DeadLettered.topic


class Letter(msgspec.Struct):
    """A dead letter, and whether somebody has dealt with it."""

    record: DeadLettered
    resolved: bool = False

    @property
    def id(self) -> str:
        """The letter's id."""
        return self.record.id


async def letters(settings: Settings, stage: str | None = None) -> list[Letter]:
    """Every dead letter, oldest first. A record that was given up, resolved and given up again is open."""
    found: dict[str, Letter] = {}
    async for raw in read_all(settings, TOPIC):
        key = (raw.key or b"").decode(errors="replace")
        if raw.value is None:
            if key in found:
                found[key].resolved = True
            continue
        try:
            record = decode(raw.value, (DeadLettered,))
        except Rejected:
            continue
        assert isinstance(record, DeadLettered)
        found.pop(record.id, None)
        found[record.id] = Letter(record)
    return [letter for letter in found.values() if stage in (None, letter.record.stage)]


def chosen(all_letters: Sequence[Letter], ids: Sequence[str]) -> list[Letter]:
    """The letters with these ids, or unique beginnings of them. Raises CliError."""
    picked = []
    for wanted in ids:
        if not wanted:
            raise CliError("an id is empty: name a dead letter by its id or the beginning of it (`marquee dlq list`)")
        fits = [letter for letter in all_letters if letter.id.startswith(wanted)]
        if not fits:
            raise CliError(f"no dead letter has the id {wanted}: `marquee dlq list` shows them")
        if len(fits) > 1 and all(letter.id != wanted for letter in fits):
            raise CliError(f"{len(fits)} dead letters have an id that begins with {wanted}: give more of it")
        picked += [letter for letter in fits if letter.id == wanted] or fits
    return picked


class Sent(msgspec.Struct, frozen=True):
    """A record as somebody sent it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


async def original(settings: Settings, record: DeadLettered) -> Sent:
    """The record as it was; read from its topic again where it was too large to keep. Raises CliError."""
    if record.value_base64 is not None or record.value_bytes is None:
        return kept(record)
    reader, at = KafkaLogReader(settings.servers), record.origin_offset
    there = []
    if (await cut(settings)).get(record.origin_topic, 0) > record.origin_partition:
        there = list(await reader.read(record.origin_topic, record.origin_partition, at, at + 1))
    if not there:
        raise CliError(
            f"{record.id}: its {record.value_bytes} bytes were too large to keep and are gone from its topic"
        )
    return Sent(there[0].key, there[0].value, list(there[0].headers))


def kept(record: DeadLettered) -> Sent:
    """What a letter has of its record."""
    return Sent(
        None if record.key_base64 is None else base64.b64decode(record.key_base64),
        None if record.value_base64 is None else base64.b64decode(record.value_base64),
        [(name, base64.b64decode(value)) for name, value in record.headers],
    )


def headers_of(record: DeadLettered, sent: Sent, dropped: Sequence[str] = ()) -> list[tuple[str, bytes]]:
    """The headers as they were, without `dropped`, and with an id, so that every replay is the same event."""
    # A replay is wanted, so that it must not be taken for a repeat.
    headers = [(name, value) for name, value in without_origin(sent.headers) if name not in dropped]
    return identified(headers, position_id(record.origin_topic, record.origin_partition, record.origin_offset))


def can_go_back(record: DeadLettered) -> None:
    """Raises CliError for a letter that came from no topic."""
    if record.origin_topic.startswith(ORIGIN):
        name = record.origin_topic.removeprefix(ORIGIN)
        raise CliError(
            f"{record.id} is line {record.origin_offset} of a source: mend it there and run "
            f"`marquee connectors run {name}`, then `marquee dlq purge {record.id}`"
        )


async def replay(
    settings: Settings, picked: Sequence[Letter], value: bytes | None = None, dropped: Sequence[str] = ()
) -> dict[str, str]:
    """Send each record back to its partition, and resolve its letters once it is there.

    Several stages may have given up one record: it is sent once, and all of them have it again. Why a letter's record
    cannot be sent, by the letter's id; the others go all the same.
    """
    open_letters = [letter for letter in await letters(settings) if not letter.resolved]
    records = {_origin(letter): letter.record for letter in picked}
    gone: dict[str, str] = {}
    async with _producer(settings) as producer:
        for origin, record in records.items():
            try:
                sent = await original(settings, record)
            except CliError as error:
                if value is None:
                    gone |= {letter.id: str(error) for letter in picked if _origin(letter) == origin}
                    continue
                sent = kept(record)
            content = sent.value if value is None else value
            # aiokafka sends no record of nothing; an empty key says as little.
            key = b"" if sent.key is None and content is None else sent.key
            await producer.send_and_wait(
                record.origin_topic,
                content,
                key,
                partition=record.origin_partition,
                headers=headers_of(record, sent, dropped),
            )
            for letter in (*picked, *open_letters):
                if _origin(letter) == origin and not letter.resolved:
                    await producer.send_and_wait(TOPIC, None, letter.id.encode(), partition=0)
                    letter.resolved = True
    return gone


def _origin(letter: Letter) -> tuple[str, int, int]:
    record = letter.record
    return record.origin_topic, record.origin_partition, record.origin_offset


async def resolve(settings: Settings, picked: Sequence[Letter]) -> None:
    """Give letters up without sending them anywhere."""
    async with _producer(settings) as producer:
        for letter in picked:
            await producer.send_and_wait(TOPIC, None, letter.id.encode(), partition=0)
            letter.resolved = True


def _producer(settings: Settings) -> Any:
    return AIOKafkaProducer(bootstrap_servers=settings.servers, acks="all", max_request_size=MAX_REQUEST_BYTES)
