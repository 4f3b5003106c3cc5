"""Goes through the films or people of a run one by one, so that a cut, a quota or a bad answer costs one of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, Protocol, TypeVar

import msgspec

from app.connectors.base import Checkpoint, Cursor, Note, Observed, Refused, Said
from app.connectors.errors import BlockedError, MalformedError, NotFoundError, SourceError

SUSPICIOUS: Final = 3
"""Where so many or more are asked for and none is there, it is the address that is wrong."""


class Target(Protocol):
    """A film or a person."""

    @property
    def id(self) -> str:
        """The canonical id."""


class At(msgspec.Struct, frozen=True):
    """Everything before this is out: after a cut, the target in work is gone on with at this place."""

    place: Cursor


class Keep(msgspec.Struct, frozen=True):
    """What the next round is to know of the target in work, such as the newest review that was read."""

    memory: Cursor


class Walk(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cursor: a round goes through the targets by id, and a cut round is gone on with by whatever run comes next.

    So a source whose daily quota ends a round too early gets to its last targets all the same.
    """

    after: str = ""
    """The last target that the round is done with."""
    at: str = ""
    place: Cursor = {}
    """The target in work, and how far in it."""
    memory: dict[str, Cursor] = {}

    def of(self, target: str) -> tuple[Cursor, Cursor]:
        """How far in a target the round is, and what is kept of it."""
        return self.place if self.at == target else {}, self.memory.get(target, {})

    def past(self, target: str, memory: Cursor, last: bool) -> Walk:
        """Behind a target, or behind the round."""
        return Walk(after="" if last else target, memory={**self.memory, target: memory} if memory else self.memory)


T = TypeVar("T", bound=Target)
Read = Callable[[T, Cursor, Cursor], AsyncGenerator[Observed | Refused | Note | At | Keep]]
"""Reads one target from a place on, given what an earlier round kept of it."""


async def each_target(
    targets: Sequence[T], cursor: Cursor, read: Read[T], called: Callable[[T], str] = lambda target: target.id
) -> AsyncGenerator[Said]:
    """What `read` says of each target, with a checkpoint after each and at each place in one. Raises SourceError.

    A target that is not there is noted and passed over, an unusable answer becomes a dead letter: neither ends the
    run, and neither moves what is kept of that target. Where no target got an answer with sense, the last says so.
    One that robots.txt names is passed over too. Any other wall ends the run, and the next one goes on behind it: it
    may stand before that target only, and those behind it would never be asked for.
    `called`: what people read of a target, where that is more than one film or person.
    """
    walk = msgspec.convert(cursor, Walk) if cursor else Walk()
    ordered = sorted(targets, key=lambda target: target.id)
    todo = [target for target in ordered if target.id > walk.after]
    if not todo:
        walk, todo = Walk(memory=walk.memory), ordered
    if not todo:
        yield Note("there is nothing to ask for: no film or person of this kind is known yet")
        return
    missing = good = 0
    useless: SourceError | None = None
    for done, target in enumerate(todo, len(ordered) - len(todo) + 1):
        place, memory = walk.of(target.id)
        noted = answered = False
        try:
            async with aclosing(read(target, place, memory)) as said:
                async for each in said:
                    noted, answered = noted or isinstance(each, Note), answered or isinstance(each, Observed | Keep)
                    if isinstance(each, At):
                        walk = msgspec.structs.replace(walk, at=target.id, place=each.place)
                        yield _checkpoint(walk, done - 1, len(ordered))
                    elif isinstance(each, Keep):
                        memory = each.memory
                    else:
                        yield each
            # Who only tells why it asked for nothing says nothing of the source.
            good += answered or not noted
        except NotFoundError as error:
            missing, good = missing + 1, good + 1
            if missing == len(todo) >= SUSPICIOUS:
                raise
            yield Note(_of(called(target), error))
        except (BlockedError, MalformedError) as error:
            memory, good = walk.memory.get(target.id, {}), good + answered
            useless, said_of_it = _useless(called(target), error)
            yield said_of_it
        walk = walk.past(target.id, memory, last=target is todo[-1])
        yield _checkpoint(walk, done, len(ordered))
        # Behind the checkpoint: behind the last one, the next run asks for all of them again.
        _end_at(useless, in_vain=target is todo[-1] and not good)


def _of(name: str, error: SourceError) -> str:
    """An error of one target; many name the address already that is also the target's name."""
    text = str(error)
    return text if text.startswith(name) else f"{name}: {text}"


def _useless(name: str, error: BlockedError | MalformedError) -> tuple[SourceError, Note | Refused]:
    """The error of one target, and what is said of it."""
    if isinstance(error, BlockedError):
        return error, Note(_of(name, error))
    told = MalformedError(_of(name, error), error.raw, told=True)
    return told, Refused(0, str(told), error.raw)


def _end_at(error: SourceError | None, in_vain: bool) -> None:
    """Raises the error that more than one address may have, and any where nothing came of the whole round."""
    if error is not None and (in_vain or (isinstance(error, BlockedError) and not error.only_here)):
        raise error


def _checkpoint(walk: Walk, done: int, total: int) -> Checkpoint:
    return Checkpoint(msgspec.to_builtins(walk), done, total)
