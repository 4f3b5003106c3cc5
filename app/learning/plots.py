"""Pictures for MLflow and the demo's report."""

from __future__ import annotations

from pathlib import Path

from models.prequential import Curve


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
