"""Predict first, then learn: how often faces are given the right name, and whose are mistaken for whose."""

from __future__ import annotations

from typing import Final

import msgspec

from models.prequential import Curve, Totals

NAMES: Final = ("champion", "centroid", "logistic", "majority")
WINDOW: Final = 200
"""Faces on which the classifiers are compared."""
UNKNOWN: Final = "unknown"
_OF: Final = {name: place for place, name in enumerate(NAMES)}


class Confusion(msgspec.Struct, frozen=True):
    """How often each person's face (row) was taken for whom (column); the last column is "unknown"."""

    people: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class FaceScores(msgspec.Struct, array_like=True):
    """Answers against truths. Of a person who has never been seen, "unknown" is the right answer."""

    labels: int = 0
    right: list[int] = msgspec.field(default_factory=lambda: [0] * len(NAMES))
    met: int = 0
    """Faces of people who had been seen before."""
    right_met: list[int] = msgspec.field(default_factory=lambda: [0] * len(NAMES))
    window: list[int] = []
    """The latest outcomes, a bit a name of NAMES."""
    right_lately: list[int] = msgspec.field(default_factory=lambda: [0] * len(NAMES))
    """Right answers within the window."""
    taken_for: dict[str, dict[str, int]] = {}
    totals: Totals = msgspec.field(default_factory=lambda: Totals(every=16))

    def add(self, said: tuple[str | None, ...], truth: str, met: bool) -> None:
        """Score one answer a name of NAMES (None is "unknown") for a face of `truth`."""
        # Who has never been seen cannot be named: an open set is judged by whether it is admitted.
        right = [answer == (truth if met else None) for answer in said]
        self.labels += 1
        self.met += met
        for place, hit in enumerate(right):
            self.right[place] += hit
            self.right_met[place] += hit and met
            self.right_lately[place] += hit
        self.window.append(sum(hit << place for place, hit in enumerate(right)))
        if len(self.window) > WINDOW:
            oldest = self.window.pop(0)
            self.right_lately = [hits - (oldest >> place & 1) for place, hits in enumerate(self.right_lately)]
        row = self.taken_for.setdefault(truth, {})
        answer = said[0] or UNKNOWN
        row[answer] = row.get(answer, 0) + 1
        if self.labels % self.totals.every == 0:
            self.totals.note(self.labels, tuple(float(self.labels - hits) for hits in self.right))

    def champion(self) -> str:
        """Which classifier was right more often of late; the centroid, which is the simpler, where neither was."""
        logistic, centroid = self._lately("logistic"), self._lately("centroid")
        return "logistic" if logistic > centroid else "centroid"

    def errors_lately(self) -> tuple[int, int]:
        """Wrong answers in the window, of the champion and of always naming the commonest person."""
        return len(self.window) - self._lately("champion"), len(self.window) - self._lately("majority")

    def _lately(self, name: str) -> int:
        return self.right_lately[_OF[name]]

    def accuracy(self) -> dict[str, float | None]:
        """Share of right answers by name."""
        return {name: _share(self.right[place], self.labels) for place, name in enumerate(NAMES)}

    def accuracy_met(self) -> dict[str, float | None]:
        """The same, of people who had been seen before."""
        return {name: _share(self.right_met[place], self.met) for place, name in enumerate(NAMES)}

    def means(self) -> dict[str, float | None]:
        """Every figure by name; None before the first label."""
        whole, met = self.accuracy(), self.accuracy_met()
        found = {"accuracy": whole.pop("champion"), "accuracy_met": met["champion"]}
        found |= {f"accuracy_{name}": share for name, share in whole.items()}
        return found | {f"window_{name}": _share(self._lately(name), len(self.window)) for name in NAMES}

    def curve(self) -> Curve:
        """Share of wrong answers over time."""
        return Curve("share of wrong names", NAMES, self.totals.means())

    def confusion(self) -> Confusion:
        """The champion's answers, people in order of first sight."""
        people = tuple(self.taken_for)
        columns = (*people, UNKNOWN)
        return Confusion(people, tuple(tuple(self.taken_for[own].get(other, 0) for other in columns) for own in people))


def _share(hits: int, labels: int) -> float | None:
    return hits / labels if labels else None
