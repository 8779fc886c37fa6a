"""Charts as SVG, by hand: a picture that a repository can keep, with nothing to install."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .figures import Figure, Goal, Spread, number

WIDTH = 920
INK, FAINT, BACKGROUND, GRID = "#16323f", "#5d7480", "#f7f9fa", "#d5dfe4"
COLOURS = {"modelwire": "#2f6f8f", "ceiling": "#8fb8ca", "broadcast": "#b9a26a", "stock": "#c4694f"}
MET, MISSED = "#3f8f5f", "#c4694f"
LEGEND = {
    "modelwire": "Modelwire",
    "ceiling": "ready text through ASGI",
    "broadcast": "websockets broadcast()",
    "stock": "stock Strawberry",
}


def fanout_chart(figures: Sequence[Figure], subtitle: str) -> str:
    """Bars: what a delivery costs each variant, for each number of subscribers."""
    groups = [figure for figure in figures if "delivery" in figure.unit and "modelwire" in figure.runs]
    bar, gap, left, top = 22, 34, 190, 128
    most = max((figure.spread(variant).most for figure in groups for variant in figure.runs), default=1.0)
    scale = (WIDTH - left - 110) / most
    parts, y = [], top
    for figure in groups:
        parts.append(_text(24, y - 8, figure.name, size=14, weight=600))
        for variant in figure.runs:
            spread = figure.spread(variant)
            parts.append(_text(left - 10, y + bar - 6, LEGEND.get(variant, variant), anchor="end", size=13))
            parts.append(_bar(left, y, spread, scale, bar - 4, COLOURS.get(variant, FAINT)))
            parts.append(_text(left + spread.most * scale + 8, y + bar - 7, number(spread.median), size=13))
            y += bar
        y += gap
    caption = "µs of the server's CPU per delivery: median, with the least and the most of all rounds. Less is better."
    return _svg(y, "Fan-out: what one delivery costs the server", subtitle, caption, parts)


def goals_chart(figures: Sequence[Figure], subtitle: str) -> str:
    """Dots on a line: how far each goal is met, as a factor; 1 is the goal."""
    rows = [(figure, *judged) for figure in figures for judged in figure.judged()]
    left, right, top, height = 520, WIDTH - 30, 140, 22
    bottom = top + len(rows) * height

    def place(factor: float) -> float:
        limited = min(max(factor, 0.1), 100.0)
        return left + (math.log10(limited) + 1) / 3 * (right - left)

    parts = []
    for factor in (0.1, 1, 10, 100):
        x = place(factor)
        colour, width = (INK, 1.5) if factor == 1 else (GRID, 1)
        parts.append(f'<path d="M{x:.1f} {top - 14}V{bottom - 6}" stroke="{colour}" stroke-width="{width}"/>')
        parts.append(_text(x, top - 20, "the goal" if factor == 1 else f"{factor:g} times", anchor="middle", size=12))
    for row, (figure, goal, spread, met) in enumerate(rows):
        y = top + row * height + height / 2 - 4
        label = f"{figure.name}: {goal.text(figure.unit)}"
        parts.append(_text(left - 14, y + 4, _short(label, 78), anchor="end", size=12))
        low, middle, high = sorted(_factor(goal, value) for value in (spread.least, spread.median, spread.most))
        colour = MET if met else MISSED
        parts.append(f'<path d="M{place(low):.1f} {y}H{place(high):.1f}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{place(middle):.1f}" cy="{y}" r="5" fill="{colour}"/>')
    caption = (
        "How many times better than its goal each figure is: median and range of the runs. Right of the line: met."
    )
    return _svg(bottom + 10, "The goals, and what was measured", subtitle, caption, parts)


def _factor(goal: Goal, value: float) -> float:
    """How many times better than the goal."""
    if value <= 0:
        return 100.0 if goal.at_most is not None else 0.1
    return value / goal.limit if goal.at_least is not None else goal.limit / value


def _bar(x: float, y: float, spread: Spread, scale: float, height: float, colour: str) -> str:
    middle = y + height / 2
    return (
        f'<rect x="{x}" y="{y}" width="{max(spread.median * scale, 1):.1f}" height="{height}" rx="2" fill="{colour}"/>'
        f'<path d="M{x + spread.least * scale:.1f} {middle}H{x + spread.most * scale:.1f}" stroke="{INK}"/>'
    )


def _text(
    x: float, y: float, text: str, *, size: int, anchor: str = "start", weight: int = 400, colour: str = INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _svg(height: float, title: str, subtitle: str, caption: str, parts: Sequence[str]) -> str:
    view = f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" font-family="ui-sans-serif, system-ui, sans-serif"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(caption)} {escape(subtitle)}</desc>",
        f'<rect width="{WIDTH}" height="{height:.0f}" rx="10" fill="{BACKGROUND}"/>',
        _text(24, 36, title, size=20, weight=600),
        _text(24, 60, caption, size=13, colour=FAINT),
        _text(24, 80, subtitle, size=11, colour=FAINT),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
