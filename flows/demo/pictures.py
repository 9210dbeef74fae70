"""The demo's two pictures: what each label bought, and the champion before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from flows.demo.replay import CurvesBesideRandom
from flows.demo.scene import Scene
from hitl.evaluation import MACRO, Measure
from sampling import Curve

# Blue and grey differ in lightness as well as in hue: also for readers who see no colours.
_AFTER, _BEFORE, _MARK = "#1f5fbf", "#9aa3ad", "#b45309"
_INK, _FAINT, _GRID = "#1d2530", "#66707c", "#e4e7eb"


@dataclass(frozen=True)
class Line:
    """A learning curve: mean score and its interval after each budget of labels."""

    name: str
    budgets: ArrayLike
    mean: ArrayLike
    low: ArrayLike
    high: ArrayLike


@dataclass(frozen=True)
class Bar:
    """One figure with its interval. A value that is None was not measurable."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class BeforeAfter:
    """A figure of one category for the model before and the one after."""

    category: str
    before: Bar
    after: Bar


def learning_curve(curves: CurvesBesideRandom, path: Path) -> Path:
    """The picture of a replay, with its finding as the heading."""
    labels, seeds = int(curves.random.budgets[-1]), len(curves.replay.seeds)
    gain, low, high = (
        float(one[-1]) for one in (curves.gain.mean, curves.gain.low, curves.gain.high)
    )
    heading = f"Chosen beside random after {labels:,} labels: {gain:+.2f}"
    if seeds > 1:
        heading += f" [{low:+.2f}, {high:+.2f}]"
    # A saving is only claimed where the difference itself is beyond doubt.
    if low > 0 and curves.labels_saved > 0:
        needed = round((1.0 - curves.labels_saved) * labels, -1)
        heading = f"About {needed:,.0f} chosen labels reach what {labels:,} random ones do"
    return draw_learning_curve(
        path,
        active=_line("chosen", curves.active),
        random=_line("random", curves.random),
        heading=heading,
        note=f"{_origin(curves.is_synthetic)} Replayed in memory with error-free answers; "
        + (f"mean of {seeds} seeds, bands: 95 % intervals." if seeds > 1 else "one seed."),
        production=None if np.isnan(curves.production) else curves.production,
    )


def _line(name: str, curve: Curve) -> Line:
    return Line(name, curve.budgets, curve.mean, curve.low, curve.high)


def before_after(
    before: Sequence[Measure], after: Sequence[Measure], scene: Scene, path: Path
) -> Path:
    """The picture of the production model's figures beside the champion's."""
    scores = [_bar(one, "average_precision", MACRO).value for one in (before, after)]
    heading = "The champion beside the production model"
    if scores[0] is not None and scores[1] is not None:
        heading = f"Mean average precision went from {scores[0]:.2f} to {scores[1]:.2f}"
    rows = {
        metric: [
            BeforeAfter(one.title, _bar(before, metric, one.id), _bar(after, metric, one.id))
            for one in scene.policy.category
        ]
        for metric in ("precision", "recall")
    }
    return draw_before_after(
        path,
        precision=rows["precision"],
        recall=rows["recall"],
        heading=heading,
        note=f"{_origin(scene.is_synthetic)} {len(scene.test):,} held-out items that no model was "
        "trained on, at the policy's thresholds; lines: 95 % intervals.",
    )


def _bar(figures: Sequence[Measure], metric: str, category: str) -> Bar:
    for one in figures:
        if (one.metric, one.category, one.slice_name) == (metric, category, ""):
            return Bar(one.value, one.low, one.high)
    return Bar(None)


def _origin(is_synthetic: bool) -> str:
    return "Synthetic stream." if is_synthetic else "Real decision log."


def draw_learning_curve(
    path: Path,
    *,
    active: Line,
    random: Line,
    heading: str,
    note: str,
    score: str = "macro average precision on held-out items",
    production: float | None = None,
) -> Path:
    """Both curves with their bands, named at their ends, as a PNG.

    Args:
        heading: the finding, in one line.
        note: where it comes from (synthetic or real, seeds, interval), in small print.
        production: the score of the model before any label, as a dashed line.
    """
    figure, axes = _sheet(width=8.4, height=5.0)
    for line, colour, on_top in ((random, _BEFORE, 2), (active, _AFTER, 3)):
        budgets, mean, low, high = (
            np.asarray(one, dtype=np.float64)
            for one in (line.budgets, line.mean, line.low, line.high)
        )
        axes.fill_between(budgets, low, high, color=colour, alpha=0.18, lw=0, zorder=on_top)
        axes.plot(
            budgets, mean, color=colour, lw=2.4, marker="o", ms=5.5, mec="white", mew=1.0,
            zorder=on_top + 2, solid_capstyle="round",
        )  # fmt: skip
    _name_ends(axes, active, random)
    everything = [np.asarray(one.low) for one in (active, random)]
    everything += [np.asarray(one.high) for one in (active, random)]
    if production is not None:
        axes.axhline(production, color=_MARK, lw=1.4, ls=(0, (5, 4)), zorder=1)
        axes.annotate(
            f"production model {production:.2f}",
            (1.0, production), xycoords=("axes fraction", "data"),
            xytext=(-4, 5), textcoords="offset points", ha="right", color=_MARK, fontsize=10,
        )  # fmt: skip
        everything.append(np.asarray([production]))
    shown = np.concatenate([np.ravel(one) for one in everything]).astype(np.float64)
    shown = shown[np.isfinite(shown)]
    axes.set_ylim(max(0.0, shown.min() - 0.05), min(1.0, shown.max() + 0.05))
    axes.set_xticks(np.asarray(active.budgets, dtype=np.float64))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlabel("labels bought for training", color=_INK, labelpad=8)
    return _finish(figure, axes, path, heading=heading, above=score, note=note)


def _name_ends(axes: Axes, active: Line, random: Line) -> None:
    ends = {id(one): float(np.asarray(one.mean)[-1]) for one in (active, random)}
    # Names of curves that end close together would lie on each other.
    is_close = abs(ends[id(active)] - ends[id(random)]) < 0.04
    upper = active if ends[id(active)] >= ends[id(random)] else random
    for line, colour in ((random, _FAINT), (active, _AFTER)):
        nudge = (8 if line is upper else -8) if is_close else 0
        axes.annotate(
            f"{line.name} {ends[id(line)]:.2f}",
            (float(np.asarray(line.budgets)[-1]), ends[id(line)]),
            xytext=(12, nudge), textcoords="offset points", va="center",
            color=colour, fontsize=12, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def draw_before_after(
    path: Path,
    *,
    precision: Sequence[BeforeAfter],
    recall: Sequence[BeforeAfter],
    heading: str,
    note: str,
    names: tuple[str, str] = ("production model", "champion"),
) -> Path:
    """Precision and recall by category, before and after, with intervals, as a PNG."""
    figure, left = _sheet(width=10.4, height=5.0, columns=2)
    right = figure.axes[1]
    for axes, title, rows in ((left, "Precision", precision), (right, "Recall", recall)):
        _bars(axes, rows)
        axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=_INK, pad=10)
    right.tick_params(labelleft=False)
    figure.legend(
        handles=[left.containers[0], left.containers[1]], labels=list(names),
        loc="upper right", bbox_to_anchor=(0.975, 0.925), ncols=2, frameon=False,
        fontsize=11, labelcolor=_INK, handlelength=1.1, handleheight=1.1,
    )  # fmt: skip
    return _finish(figure, left, path, heading=heading, above="", note=note)


def _bars(axes: Axes, rows: Sequence[BeforeAfter]) -> None:
    at = np.arange(len(rows))
    for shift, colour, bars in (
        (-0.2, _BEFORE, [row.before for row in rows]),
        (0.2, _AFTER, [row.after for row in rows]),
    ):
        heights = [0.0 if bar.value is None else bar.value for bar in bars]
        axes.bar(at + shift, heights, width=0.36, color=colour, zorder=2)
        for place, bar in zip(at + shift, bars, strict=True):
            _value_of(axes, float(place), bar)
    axes.set_xticks(at, [row.category for row in rows])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylim(0.0, 1.12)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))


def _value_of(axes: Axes, place: float, bar: Bar) -> None:
    if bar.value is None:
        axes.annotate(
            "too few", (place, 0.0), xytext=(0, 5), textcoords="offset points",
            rotation=90, ha="center", va="bottom", color=_FAINT, fontsize=9,
        )  # fmt: skip
        return
    top = bar.value
    if bar.low is not None and bar.high is not None:
        # First in white and wider: dark lines alone are lost on the blue.
        for colour, width, order in (("white", 3.4, 3), (_INK, 1.4, 4)):
            axes.vlines(place, bar.low, bar.high, color=colour, lw=width, zorder=order)
            axes.hlines(
                [bar.low, bar.high],
                place - 0.05,
                place + 0.05,
                color=colour,
                lw=width,
                zorder=order,
            )
        top = max(top, bar.high)
    axes.annotate(
        f"{bar.value:.0%}", (place, top), xytext=(0, 4), textcoords="offset points",
        ha="center", va="bottom", color=_INK, fontsize=9.5,
    )  # fmt: skip


def _sheet(*, width: float, height: float, columns: int = 1) -> tuple[Figure, Axes]:
    # A figure of our own instead of pyplot: no global state, no window, safe in any thread.
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    made = figure.subplots(1, columns, squeeze=False)[0]
    for axes in made:
        axes.set_facecolor("white")
        axes.grid(axis="y", color=_GRID, lw=1.0, zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color("#b8bfc7")
        axes.tick_params(length=0, colors=_FAINT, labelsize=10.5)
    return figure, made[0]


def _finish(figure: Figure, axes: Axes, path: Path, *, heading: str, above: str, note: str) -> Path:
    is_wide = len(figure.axes) > 1
    figure.subplots_adjust(
        left=0.075 if is_wide else 0.085,
        right=0.975 if is_wide else 0.845,
        top=0.77 if is_wide else 0.80,
        bottom=0.165 if is_wide else 0.20,
        wspace=0.08,
    )
    edge = axes.get_position().x0 - (0.04 if is_wide else 0.045)
    size = 15 if len(heading) <= 68 else 12.5
    figure.text(edge, 0.93, heading, fontsize=size, fontweight="bold", color=_INK)
    figure.text(edge, 0.865, above, fontsize=11, color=_FAINT)
    figure.text(edge, 0.03, note, fontsize=9, color=_FAINT)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the date and the version, so that the same figures give the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
    return path
