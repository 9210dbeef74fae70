"""The two small pictures of each category: are probabilities honest, and what do thresholds buy?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.reporting.drawing import FAINT, INK, PALE, PLAIN, SURE, UNSURE, as_svg, plain_name
from hitl.evaluation import Bin, OperatingPoint, PrecisionRecall
from hitl.reports import Picture

_SIZE = (4.4, 4.3)
_TICKS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
# Shape and colour: either alone is enough to tell them apart.
_MARKS = {
    "policy": ("o", INK, "the policy's threshold"),
    "block from": ("^", SURE, "certified: blocked from"),
    "allow below": ("s", PLAIN, "certified: allowed below"),
}


def reliability_picture(category: str, bins: Sequence[Bin], *, source: str) -> Picture:
    """What the model said beside what was true, a point a bin, with its interval and its n.

    Both axes are stretched at the low end (square roots), where most content lies.
    """
    figure, axes = _panel(
        f"{plain_name(category)}: said and true",
        f"{source}, {sum(one.n for one in bins):,} labels, "
        f"{sum(one.n_positive for one in bins):,} violating",
    )
    for set_scale in (axes.set_xscale, axes.set_yscale):
        set_scale("function", functions=(lambda at: np.sqrt(np.maximum(at, 0.0)), np.square))
    line = np.linspace(0.0, 1.0, 50)
    axes.plot(line, line, color=UNSURE, lw=1.2, ls=(0, (4, 3)), zorder=1)
    for one in bins:
        is_off = not one.low <= one.said <= one.high
        colour = SURE if is_off else PLAIN
        axes.plot([one.said] * 2, [one.low, one.high], color=colour, lw=1.5, zorder=2)
        axes.plot(one.said, one.share, "s" if is_off else "o", color=colour, ms=6, mec="white",
                  zorder=3, clip_on=False)  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(_TICKS, [f"{100 * one:g}" for one in _TICKS])
    axes.set_xlim(-0.0003, 1.02)
    axes.set_ylim(-0.0003, 1.02)
    axes.set_xlabel(f"the model said, %\n{_counts(bins)}", fontsize=9, linespacing=1.5)
    axes.set_ylabel("true, %", fontsize=9)
    axes.plot([], [], color=UNSURE, lw=1.2, ls=(0, (4, 3)), label="as said")
    axes.plot([], [], "o", color=PLAIN, ms=6, label="may be as said")
    axes.plot([], [], "s", color=SURE, ms=6, label="is not as said")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    told = "; ".join(
        f"said {one.said:.1%}, true {one.share:.1%} ({one.low:.1%} to {one.high:.1%}, n {one.n})"
        for one in bins
    )
    return Picture(
        f"reliability-{category}", as_svg(figure), f"Reliability of {category}, {source}. {told}."
    )


def curve_picture(category: str, curve: PrecisionRecall, *, source: str) -> Picture:
    """Precision over recall with its band, and the thresholds' places on it."""
    figure, axes = _panel(
        f"{plain_name(category)}: found and right",
        f"{source}, {curve.n:,} labels, {curve.n_positive:,} violating",
    )
    at = 100.0 * curve.recall
    has_band = ~np.isnan(curve.low)
    axes.fill_between(at[has_band], 100.0 * curve.low[has_band], 100.0 * curve.high[has_band],
                      color=PALE, lw=0, label="95 % band")  # fmt: skip
    axes.plot(at, 100.0 * curve.precision, color=PLAIN, lw=1.8)
    for one in curve.points:
        _mark(axes, one)
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 104)
    axes.set_xlabel("recall: of what violates, % that is flagged", fontsize=9)
    axes.set_ylabel("precision: of what is flagged, % that violates", fontsize=9)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8,
                  handletextpad=0.4, columnspacing=1.2)  # fmt: skip
    told = "; ".join(point_words(one) for one in curve.points)
    picked = [int(np.argmin(np.abs(curve.recall - level))) for level in (0.2, 0.5, 0.8)]
    points = "; ".join(
        f"at recall {curve.recall[k]:.0%} precision {curve.precision[k]:.1%}"
        + (f" ({curve.low[k]:.1%} to {curve.high[k]:.1%})" if has_band[k] else "")
        for k in picked
    )
    return Picture(
        f"curve-{category}",
        as_svg(figure),
        f"Precision over recall of {category}, {source}, n {curve.n}. {points}. {told}.",
    )


def point_words(one: OperatingPoint) -> str:
    """Where a threshold lies, with its intervals."""
    precision = "nothing is flagged"
    if one.precision is not None and one.precision_limits is not None:
        precision = (
            f"precision {one.precision:.1%} ({one.precision_limits.low:.1%} to "
            f"{one.precision_limits.high:.1%})"
        )
    return (
        f"{one.name} {one.threshold:.4g}: {precision}, recall {one.recall:.1%} "
        f"({one.recall_limits.low:.1%} to {one.recall_limits.high:.1%}), {one.flagged} flagged"
    )


def _mark(axes: Axes, one: OperatingPoint) -> None:
    marker, colour, label = _MARKS[one.name]
    if one.precision is None or one.precision_limits is None:
        return
    recall, precision = 100.0 * one.recall, 100.0 * one.precision
    low, high = (100.0 * limit for limit in one.precision_limits)
    axes.plot([recall, recall], [low, high], color=colour, lw=1.0, zorder=3)
    low, high = (100.0 * limit for limit in one.recall_limits)
    axes.plot([low, high], [precision, precision], color=colour, lw=1.0, zorder=3)
    axes.plot(recall, precision, marker, color=colour, ms=7.5, mec="white", zorder=4, ls="none",
              label=f"{label} {one.threshold:.3g}")  # fmt: skip


def _panel(title: str, about: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8.5)
    axes.set_title(title, fontsize=11, loc="left", color=INK, pad=20)
    axes.annotate(about, (0.0, 1.0), xytext=(0, 6), textcoords="offset points", fontsize=8.5,
                  xycoords="axes fraction", color=FAINT)  # fmt: skip
    return figure, axes


def _counts(bins: Sequence[Bin]) -> str:
    """Labels of each bin, from the left; where all have equally many, once."""
    sizes = [one.n for one in bins]
    if len(set(sizes)) == 1:
        return f"{len(sizes)} bins of {sizes[0]} labels"
    return f"labels a bin: {' '.join(f'{one}' for one in sizes)}"
