"""The learning curves as a picture, against labels or against a reviewer's minutes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from flows.replay_strategies import Replayed
from flows.replaying.report import score_of, seconds_of
from sampling.curves import Curve
from sampling.verdicts import overall, overall_by_minutes

# Okabe and Ito's colours without the yellow, which is lost on white. Shape and dashes say the same
# once more, for readers who see no colours.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("solid", (0, (5, 2)), (0, (1, 1.5)))
_BASELINE, _INK, _FAINT, _GRID = "#6b7480", "#1d2530", "#66707c", "#e4e7eb"
_MOST_BANDS = 5

FloatArray = NDArray[np.floating[Any]]


class _End(NamedTuple):
    """Where a curve ends, and how it looks."""

    name: str
    x: float
    height: float
    colour: str
    marker: str


def draw(found: Replayed, path: Path, *, by_minutes: bool) -> Path:
    """Every plan's mean curve, named at its end, as a PNG.

    A band is the paired interval of the difference to the baseline, laid on the baseline's curve:
    where it does not touch that curve, the two differ. Of many plans only the leaders have one.
    """
    figure = Figure(figsize=(9.6, 5.6), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.085, right=0.74, top=0.80, bottom=0.17)
    _prepare(axes)
    comparison = found.comparison
    plans = found.replay.plans
    banded = plans if len(plans) <= _MOST_BANDS else comparison.leaders[:_MOST_BANDS]
    shown: list[FloatArray] = []
    ends: list[_End] = []
    others = [name for name in plans if name != comparison.against]
    for name in plans:
        curve, gap, base = _lines(found, name, by_minutes=by_minutes)
        x = np.asarray(curve.budgets, dtype=np.float64) / (60.0 if by_minutes else 1.0)
        number = others.index(name) if name in others else None
        colour = _BASELINE if number is None else _COLOURS[number % len(_COLOURS)]
        marker = "." if number is None else _MARKERS[number % len(_MARKERS)]
        if number is not None and name in banded and np.isfinite(gap.low).all():
            low, high = base + gap.low, base + gap.high
            axes.fill_between(x, low, high, color=colour, alpha=0.13, lw=0, zorder=1)
            shown += [np.asarray(low), np.asarray(high)]
        axes.plot(
            x, curve.mean, color=colour, lw=2.0, zorder=3 if number is None else 4,
            marker=marker, ms=5.5, mec="white", mew=0.7, solid_capstyle="round",
            ls=(0, (2, 1.5)) if number is None else _DASHES[number // len(_COLOURS) % 3],
        )  # fmt: skip
        shown.append(np.asarray(curve.mean))
        ends.append(_End(name, float(x[-1]), float(curve.mean[-1]), colour, marker))
    values = np.concatenate(shown)
    edge = 0.06 * max(values.max() - values.min(), 0.02)
    axes.set_ylim(max(0.0, values.min() - edge), min(1.0, values.max() + edge))
    _name_ends(axes, ends)
    axes.set_xlabel(
        "reviewer minutes spent" if by_minutes else "labels bought", color=_INK, labelpad=8
    )
    _words(figure, found, by_minutes=by_minutes, has_bands=bool(axes.collections))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the date and the version, so that the same figures give the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
    return path


def _lines(found: Replayed, plan: str, *, by_minutes: bool) -> tuple[Curve, Curve, FloatArray]:
    """A plan's curve, its paired difference to the baseline, and that difference's ground."""
    replay, comparison = found.replay, found.comparison
    confidence, against = comparison.confidence, comparison.against
    if not by_minutes:
        base = replay.curve(against).mean
        gap = replay.difference(plan, against=against, confidence=confidence)
        return replay.curve(plan), gap, base
    # Rounds of two plans take different times, so both are read off at one plan's times.
    at = replay.time(plan).mean
    gap = replay.at_seconds(plan, at, against=against, confidence=confidence)
    return replay.at_seconds(plan, at), gap, replay.at_seconds(against, at).mean


def _prepare(axes: Axes) -> None:
    axes.grid(axis="y", color=_GRID, lw=1.0, zorder=0)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#b8bfc7")
    axes.tick_params(length=0, colors=_FAINT, labelsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))


def _name_ends(axes: Axes, ends: list[_End]) -> None:
    """Names beside the axes at the height of each curve's end, apart where they would meet."""
    low, high = axes.get_ylim()
    room = (high - low) * min(0.058, 0.98 / len(ends))
    places: list[float] = []
    ordered = sorted(ends, key=lambda end: end.height)
    for end in ordered:
        places.append(max(end.height, places[-1] + room if places else low))
    # What was pushed over the top comes down again, and pushes what is below it.
    ceiling = high
    for number in reversed(range(len(places))):
        places[number] = min(places[number], ceiling)
        ceiling = places[number] - room
    left, right = axes.get_xlim()
    aside = right + 0.035 * (right - left)
    size = 10.5 if len(ends) <= 12 else 8.5
    for end, place in zip(ordered, places, strict=True):
        axes.plot(
            [end.x, right, aside], [end.height, end.height, place], color=end.colour, lw=0.7,
            alpha=0.6, clip_on=False, zorder=2, scalex=False, scaley=False,
        )  # fmt: skip
        axes.plot(
            [aside], [place], color=end.colour, marker=end.marker, ms=5.5, mec="white", mew=0.7,
            clip_on=False, zorder=5, scalex=False, scaley=False,
        )  # fmt: skip
        # In ink: the light ones of the colours are hard to read as letters.
        axes.annotate(
            f"{textwrap.shorten(end.name, 26, placeholder='…')} {end.height:.3f}", (1.05, place),
            xycoords=("axes fraction", "data"), va="center", color=_INK, fontsize=size,
            annotation_clip=False,
        )  # fmt: skip


def _words(figure: Figure, found: Replayed, *, by_minutes: bool, has_bands: bool) -> None:
    heading = (overall_by_minutes if by_minutes else overall)(found.comparison)
    lines = textwrap.wrap(heading, 92)[:3]
    figure.text(
        0.03, 0.965, "\n".join(lines), fontsize=13 if len(lines) == 1 else 11.5,
        fontweight="bold", color=_INK, va="top", linespacing=1.25,
    )  # fmt: skip
    figure.text(
        0.03, 0.825, f"{score_of(found)} on held-out items", fontsize=10.5, color=_FAINT,
    )  # fmt: skip
    note = f"Means of {len(found.replay.seeds)} seeds"
    if has_bands:
        note += (
            f". A band is the 95 % interval of the paired difference to "
            f"{found.comparison.against}: "
            "where it leaves that curve, the two differ"
        )
    if by_minutes:
        note += f".\nMinutes of review: {seconds_of(found)}"
    figure.text(0.03, 0.025, note, fontsize=8.5, color=_FAINT, linespacing=1.3)
