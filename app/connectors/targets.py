"""Goes through the films or people of a run one by one, so that a cut, a quota or a bad answer costs one of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from app.connectors.base import Checkpoint, Cursor, Note, Observed, Refused, Said
from app.connectors.errors import BlockedError, IncompleteError, MalformedError, NotFoundError, SourceError

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


T = TypeVar("T", bound=Target)


class Walk(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cursor: a round goes through the targets by id, and a cut round is gone on with by whatever run comes next.

    So a source whose daily quota ends a round too early gets to its last targets all the same.
    """

    after: str = ""
    """The last target that the round is done with, but for those in `again`."""
    at: str = ""
    place: Cursor = {}
    """The target in work, and how far in it."""
    memory: dict[str, Cursor] = {}
    trouble: dict[str, Cursor] = {}
    """Targets that gave no whole answer, with all tries, when they were last asked for, and how far in them."""
    again: tuple[str, ...] = ()
    """Those of them that the round asks for once more when it is through."""

    def left_of(self, ordered: Sequence[T]) -> list[T]:
        """What the round has still to ask for."""
        return [
            *(target for target in ordered if target.id > self.after),
            *(target for target in ordered if target.id <= self.after and target.id in self.again),
        ]

    def of(self, target: str) -> tuple[Cursor, Cursor]:
        """How far in a target the round is, and what is kept of it."""
        left = self.trouble.get(target, {}) if target in self.again else {}
        return self.place if self.at == target else left, self.memory.get(target, {})

    def stuck(self, target: str) -> bool:
        """Whether the target gave no whole answer at this very place before."""
        return self.trouble.get(target) == self.of(target)[0]

    def in_trouble(self, target: str) -> Walk:
        """The same place, with the word that the target gave no whole answer."""
        return msgspec.structs.replace(self, trouble={**self.trouble, target: self.of(target)[0]})

    def past(self, target: str, memory: Cursor, answers: bool = True, again: bool = False) -> Walk:
        """Behind a target."""
        others = tuple(each for each in self.again if each != target)
        return Walk(
            after=max(target, self.after),
            memory={**self.memory, target: memory} if memory else self.memory,
            trouble={name: at for name, at in self.trouble.items() if name != target or not answers},
            again=(*others, target) if again else others,
        )

    def over(self) -> Walk:
        """Behind the round, unless some are to be asked once more."""
        return self if self.again else Walk(memory=self.memory, trouble=self.trouble)


Read = Callable[[T, Cursor, Cursor], AsyncGenerator[Observed | Refused | Note | At | Keep]]
"""Reads one target from a place on, given what an earlier round kept of it."""


async def each_target(
    targets: Sequence[T], cursor: Cursor, read: Read[T], called: Callable[[T], str] = lambda target: target.id
) -> AsyncGenerator[Said]:
    """What `read` says of each target, with a checkpoint after each and at each place in one. Raises SourceError.

    A target that is not there is noted and passed over, an unusable answer becomes a dead letter: neither ends the
    run, and neither moves what is kept of that target. Where no target got an answer with sense, the last says so.
    One that robots.txt names is passed over too. Any other wall ends the run, and the next one goes on behind it: it
    may stand before that target only, and those behind it would never be asked for. What gives no whole answer in all
    its tries ends the run where nothing else answers either; else it is asked for once more behind the others, by the
    next try of the run. What breaks again at the same place is noted and passed over, until it answers in some round.
    `called`: what people read of a target, where that is more than one film or person.
    """
    ordered = sorted(targets, key=lambda target: target.id)
    tour = _Round(cursor, ordered)
    if not tour.todo:
        yield Note("there is nothing to ask for: no film or person of this kind is known yet")
        return
    for target in tour.todo:
        place, memory = tour.walk.of(target.id)
        noted = answered = False
        try:
            async with aclosing(read(target, place, memory)) as said:
                async for each in said:
                    noted, answered = noted or isinstance(each, Note), answered or isinstance(each, Observed | Keep)
                    if isinstance(each, At):
                        tour.walk = msgspec.structs.replace(tour.walk, at=target.id, place=each.place)
                        yield tour.checkpoint()
                    elif isinstance(each, Keep):
                        memory = each.memory
                    else:
                        yield each
            # Who only tells why it asked for nothing says nothing of the source.
            tour.past(target.id, memory, good=answered or not noted)
        except NotFoundError as error:
            tour.missing += 1
            if tour.missing == len(tour.todo) >= SUSPICIOUS:
                raise
            yield Note(_of(called(target), error))
            tour.past(target.id, memory, good=True)
        except SourceError as error:
            said_of_it = tour.failed(target.id, called(target), error, answered)
            if said_of_it is None:
                yield tour.checkpoint()
                raise
            yield said_of_it
        yield tour.checkpoint()
        # Behind the checkpoint: behind the last one, the next run asks for all of them again.
        tour.end()


class _Round(Generic[T]):
    """How a run gets through what is left of a round, or through a new one."""

    def __init__(self, cursor: Cursor, ordered: Sequence[T]) -> None:
        self.walk = msgspec.convert(cursor, Walk) if cursor else Walk()
        self.todo: Sequence[T] = self.walk.left_of(ordered)
        if not self.todo:
            self.walk, self.todo = Walk(memory=self.walk.memory, trouble=self.walk.trouble), ordered
        known = {target.id for target in ordered}
        self.walk = msgspec.structs.replace(self.walk, again=tuple(each for each in self.walk.again if each in known))
        self._total = len(ordered)
        self.missing = self._done = self._good = self._in_row = self._passed = 0
        self._useless: SourceError | None = None
        self._late: SourceError | None = None

    def checkpoint(self) -> Checkpoint:
        """Everything so far is out."""
        return Checkpoint(msgspec.to_builtins(self.walk), self._total - len(self.todo) + self._done, self._total)

    def past(self, target: str, memory: Cursor, good: bool) -> None:
        """The target is done with; `good`: the source answered."""
        self._good, self._in_row = self._good + good, 0
        self._behind(self.walk.past(target, memory))

    def failed(self, target: str, called: str, error: SourceError, answered: bool) -> Note | Refused | None:
        """Go on behind a target that failed, with what is said of it; None where the run has to end there.

        Raises the error where it is not of one target only. What is kept of the target does not move.
        """
        trouble = _is_trouble(error, self._total)
        if trouble and not self.walk.stuck(target):
            self._in_row += 1
            self.walk = self.walk.in_trouble(target)
            if not self._good or self._in_row == SUSPICIOUS:
                return None
            self._late = self._late or error
            self._behind(self.walk.past(target, {}, answers=False, again=True))
            return Note(f"{_of(called, error)}; asked for once more behind the others")
        self._good, self._passed = self._good + answered, self._passed + trouble
        self._behind(self.walk.past(target, {}, answers=not trouble))
        self._useless, said = _useless(called, error)
        return said

    def end(self) -> None:
        """Raises the error that more than one address may have, and at the end what is to be tried again.

        Where nothing came of a whole round, that is any error; its last part says nothing of the source.
        """
        last, rest = self._done == len(self.todo), len(self.todo) < self._total
        in_vain = last and not self._good and not (rest and self._passed)
        error = self._useless
        if error is not None and (in_vain or (isinstance(error, BlockedError) and not error.only_here)):
            raise error
        if last and self._late is not None:
            raise self._late

    def _behind(self, walk: Walk) -> None:
        self._done += 1
        self.walk = walk.over() if self._done == len(self.todo) else walk


def _is_trouble(error: SourceError, targets: int) -> bool:
    """Whether one of several targets gave no whole answer. Raises what is not of one target only."""
    if isinstance(error, BlockedError | MalformedError):
        return False
    if targets == 1 or not (error.only_here or isinstance(error, IncompleteError)):
        raise error
    return True


def _of(name: str, error: SourceError) -> str:
    """An error of one target; many name the address already that is also the target's name."""
    text = str(error)
    return text if text.startswith(name) else f"{name}: {text}"


def _useless(name: str, error: SourceError) -> tuple[SourceError, Note | Refused]:
    """The error of one target, and what is said of it."""
    if isinstance(error, MalformedError):
        told = MalformedError(_of(name, error), error.raw, told=True)
        return told, Refused(0, str(told), error.raw)
    after = "" if isinstance(error, BlockedError) else "; passed over, and asked for again by the next round"
    return error, Note(f"{_of(name, error)}{after}")
