"""Pictures for MLflow and the demo's report."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from models.face_scores import UNKNOWN, Confusion
from models.prequential import Curve

MOST_PEOPLE: Final = 40
"""In a picture that can still be read; those with most faces are shown."""
_NUMBERS_UP_TO: Final = 15


def draw_curve(curve: Curve, path: Path, title: str) -> Path | None:
    """A PNG of errors over the life of a model, one line a name; None while there is nothing to draw."""
    if not curve.points:
        return None
    # The object interface keeps no global figure, so that it may be used from any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    labels = [at for at, _ in curve.points]
    for index, name in enumerate(curve.names):
        values = [means[index] for _, means in curve.points]
        axes.plot(labels, values, label=name.replace("_", " "), linewidth=2.2 if index == 0 else 1.0)
    axes.set(title=f"{title}: prequential error", xlabel="labels learnt", ylabel=curve.unit)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")
    return path


def draw_confusion(confusion: Confusion, path: Path, title: str) -> Path | None:
    """A PNG of who was taken for whom, a row a person, as shares of the row; None while nobody is known."""
    if not confusion.people:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counts = np.array(confusion.counts)
    shown = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:MOST_PEOPLE])
    names = [confusion.people[row] for row in shown]
    counts = counts[np.ix_(shown, np.append(shown, len(confusion.people)))]
    size = 3.0 + 0.32 * len(names)
    figure = Figure(figsize=(size + 1.5, size), dpi=120, layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0), label="share of the person's faces")
    axes.set_xticks(range(len(names) + 1), [*names, UNKNOWN], rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(title=f"{title}: who was taken for whom", xlabel="taken for", ylabel="is")
    if len(names) <= _NUMBERS_UP_TO:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png")
    return path
