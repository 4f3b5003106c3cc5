"""Charts as inline SVG, drawn on the server: they need no script, and their colours come from the style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

Point = tuple[float, float]

SPARK_WIDTH: Final = 120
SPARK_HEIGHT: Final = 28
WIDTH: Final = 720
HEIGHT: Final = 260
MARGIN: Final = 36
MAX_DOTS: Final = 600
MAX_VERTICES: Final = 800


def sparkline(values: Sequence[float], label: str) -> Markup:
    """The course of a number, with its last value as text for those who do not see it."""
    top = max([*values, 1e-9])
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    points = [(n * step, SPARK_HEIGHT - 2 - (SPARK_HEIGHT - 4) * value / top) for n, value in enumerate(values)]
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>'
    ).format(SPARK_WIDTH, SPARK_HEIGHT, label, _polyline(points, "line"))


def timeline(series: Sequence[tuple[str, str, Sequence[Point]]], label: str, low: float, high: float) -> Markup:
    """Several (name, class, points) over one axis; class `dots` is drawn as dots, any other as a line.

    `low` and `high` bound the values; the first and last x of all points bound the axis.
    """
    xs = [x for _, _, points in series for x, _ in points]
    if not xs:
        return Markup("")
    left, right = min(xs), max(xs)
    span = max(right - left, 1e-9)

    def place(point: Point) -> Point:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (point[0] - left) / span
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (min(max(point[1], low), high) - low) / (high - low)
        return x, y

    drawn = Markup("").join(
        _dots([place(p) for p in thinned(points, MAX_DOTS)], kind)
        if kind.startswith("dots")
        else _polyline([place(p) for p in thinned(points, MAX_VERTICES)], kind)
        for _, kind, points in series
    )
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>').format(
        WIDTH, HEIGHT, label, _grid(low, high), drawn, _ends(left, right)
    )


def bars(rows: Sequence[tuple[str, float, str]], label: str) -> Markup:
    """(name, value, class) as horizontal bars from zero, with their values beside them."""
    top = max([value for _, value, _ in rows] + [1e-9])
    height = 24
    drawn = Markup("").join(
        Markup(
            '<text class="name" x="150" y="{y}">{name}</text>'
            '<rect class="bar {kind}" x="160" y="{top}" width="{width:.1f}" height="16" rx="2"/>'
            '<text class="value" x="{after:.1f}" y="{y}">{value:.3f}</text>'
        ).format(
            y=n * height + 17, name=name, kind=kind, top=n * height + 5, value=value,
            width=420 * value / top, after=166 + 420 * value / top,
        )
        for n, (name, value, kind) in enumerate(rows)
    )  # fmt: skip
    return Markup('<svg class="bars" viewBox="0 0 640 {}" role="img" aria-label="{}">{}</svg>').format(
        max(len(rows), 1) * height + 4, label, drawn
    )


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Every so-many-th point, and always the last."""
    if len(points) <= most:
        return list(points)
    step = -(-len(points) // most)
    return [*points[:-1:step], points[-1]]


def _polyline(points: Sequence[Point], kind: str) -> Markup:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="{}" points="{}"/>').format(kind, path)


def _dots(points: Sequence[Point], kind: str) -> Markup:
    return Markup("").join(
        Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"/>').format(kind, x, y) for x, y in points
    )


def _grid(low: float, high: float) -> Markup:
    lines = []
    for n in range(5):
        value = low + (high - low) * n / 4
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * n / 4
        lines.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text class="tick" x="{}" y="{t:.1f}">{v:g}</text>'
            ).format(MARGIN, WIDTH - MARGIN, MARGIN - 5, y=y, t=y + 4, v=value)
        )
    return Markup("").join(lines)


def _ends(left: float, right: float) -> Markup:
    y = HEIGHT - 8
    return Markup(
        '<text class="tick first" x="{}" y="{}">{:g}</text><text class="tick" x="{}" y="{}">{:g}</text>'
    ).format(MARGIN, y, left, WIDTH - MARGIN, y, right)
