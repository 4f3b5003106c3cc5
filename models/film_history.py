"""What the learner keeps of one film: sums, the last scores, and the predictions whose labels are still out."""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from models.experts import Evidence
from models.features import Features
from models.future_rating import HORIZON, Prediction

_PENDING: Final = struct.Struct("<8d")
_TREND: Final = 5


class FilmHistory(msgspec.Struct, array_like=True, gc=False):
    """One film's ratings as the learner remembers them: bounded, however many there are."""

    n: int = 0
    total: float = 0.0
    adjusted: float = 0.0
    recent: list[float] = []
    """The last ten scores, by ordinal."""
    pending: list[bytes] = []
    """One packed prediction for each of the last ten ordinals; the oldest is labelled next."""
    features: Features | None = None
    error_sum: float = 0.0
    labelled: int = 0
    lost: list[list[int]] = []
    """Ordinals that were counted and are not in the log any more, as [first, last]: their sources' terms are over."""

    @property
    def counted(self) -> int:
        """The highest ordinal so far: how many ratings were ever counted, also where their records are gone."""
        return self.n + sum(last - first + 1 for first, last in self.lost) if self.lost else self.n

    def lacks(self, ordinal: int) -> bool:
        """Whether a changed rating's earlier versions are not among what was counted here."""
        return ordinal > self.counted or any(first <= ordinal <= last for first, last in self.lost)

    def count(self, ordinal: int, score: float, adjusted: float) -> None:
        """One more rating, which is the film's n-th by its `ordinal`."""
        highest = self.counted
        if ordinal > highest + 1:
            self.lost.append([highest + 1, ordinal - 1])
        elif self.lost:
            self._found(ordinal)
        self.n += 1
        self.total += score
        self.adjusted += adjusted
        recent = self.recent
        recent.append(score)
        if len(recent) > HORIZON:
            del recent[0]

    def amend(self, ordinal: int, difference: float, score: float) -> bool:
        """The rating at `ordinal` is now `score`, higher by `difference`; False where it was never counted here.

        The last ten scores are the window of every label that is still out, so those change with it.
        """
        rank = ordinal - sum(min(last, ordinal) - first + 1 for first, last in self.lost if first <= ordinal)
        if not 1 <= rank <= self.n:
            return False
        self.total += difference
        self.adjusted += difference
        place = rank - 1 - (self.n - len(self.recent))
        if place >= 0:
            self.recent[place] = score
        return True

    def scored(self, miss: float) -> None:
        """A label of this film has come, and its prediction was `miss` off."""
        self.error_sum += miss
        self.labelled += 1

    def evidence(self, global_mean: float, prior: float) -> Evidence:
        """What a prediction is made from now."""
        last = self.recent[-_TREND:]
        recent = sum(last) / len(last) if last else prior
        return Evidence(self.n, self.total, self.adjusted, global_mean, prior, recent)

    def keep(self, evidence: Evidence, predicted: Prediction) -> None:
        """Remember a prediction made at the present ordinal until its label is there."""
        _, total, adjusted, global_mean, prior, recent = evidence
        self.pending.append(_PENDING.pack(*predicted, total, adjusted, global_mean, prior, recent))

    def due(self) -> tuple[Evidence, Prediction, float] | None:
        """Evidence, prediction and label of what the latest rating completes; None where none is old enough."""
        if len(self.pending) < HORIZON:
            return None
        predicted, linear, grown, *seen = _PENDING.unpack(self.pending.pop(0))
        return Evidence(self.n - HORIZON, *seen), (predicted, linear, grown), sum(self.recent) / HORIZON

    def latest(self) -> tuple[Evidence, Prediction] | None:
        """Evidence and prediction at the present ordinal; None before the first rating."""
        if not self.pending:
            return None
        predicted, linear, grown, *seen = _PENDING.unpack(self.pending[-1])
        return Evidence(self.n, *seen), (predicted, linear, grown)

    def _found(self, ordinal: int) -> None:
        """A later version of a rating whose first one is gone takes its ordinal up again."""
        self.lost = [
            part
            for first, last in self.lost
            for part in (([first, ordinal - 1], [ordinal + 1, last]) if first <= ordinal <= last else ([first, last],))
            if part[0] <= part[1]
        ]
