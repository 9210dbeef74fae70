"""Obligations against certificates, as a part of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flows.reporting.drawing import FAINT, INK, PLAIN, SURE, as_svg, bare, plain_name
from flows.reporting.obligations import Promise
from flows.reporting.wording import as_share, limits, listed
from hitl.policy import Policy
from hitl.reports import Block, Grid, Heading, Picture, Words

MOST_ROWS = 40


def obligations_blocks(
    promises: Sequence[Promise], *, policy: Policy, labels: int, days: int
) -> Iterator[Block]:
    """What is promised, what labels say, what is certified, and what it takes where it is not."""
    yield Heading("Obligations against certificates")
    if not promises:
        yield Words(
            f"Policy {policy.name} promises nothing yet. Write an obligation to a category of the "
            "policy, such as obligation = { precision = 0.95, recall = 0.9 }; then hitl certify "
            "tries to keep it."
        )
        return
    kept = [one for one in promises if one.certificate]
    short = [_name(one) for one in promises if _is_short(one)]
    words = (
        f"{len(kept)} of {len(promises)} obligations are certified. Estimates are of decisions of "
        f"the last {days} days, from {labels:,} audit labels: at the certified threshold where one "
        "stands, else at the policy's."
    )
    if short:
        words += f" Shown to fall short of the promise: {listed(short)}."
    yield Words(words)
    yield _picture(promises[:MOST_ROWS])
    yield Grid(
        ("obligation", "promised", "estimate", "interval to promise by", "n (effective)",
         "measured from", "certified"),
        [_row(one) for one in promises],
    )  # fmt: skip
    lacking: dict[str, list[str]] = {}
    for one in promises:
        if one.missing:
            lacking.setdefault(one.missing, []).append(_name(one))
    if lacking:
        yield Grid(
            ("not certified", "what it takes"),
            [(listed(names), words) for words, names in lacking.items()],
        )


def _row(one: Promise) -> tuple[str, ...]:
    certificate = one.certificate
    effective = one.sure.n_effective
    return (
        _name(one),
        f"{one.at_least:.0%} at {one.confidence:.0%}",
        as_share(one.likely),
        limits(one.sure.low, one.sure.high),
        f"{one.sure.n:,} ({'-' if effective is None else f'{effective:,.0f}'})",
        f"{one.threshold:.4g}{'' if certificate else ' (policy)'}",
        f"until {certificate.expires_at:%Y-%m-%d}" if certificate else "no",
    )


def _name(one: Promise) -> str:
    where = f", {one.subject.slice_value}" if one.subject.slice_name else ""
    return f"{one.subject.category} {one.metric}{where}"


def _is_short(one: Promise) -> bool:
    return one.sure.high is not None and one.sure.high < one.at_least


def _picture(promises: Sequence[Promise]) -> Picture:
    """A line an obligation: promise, estimate, and at the right what became of it."""
    rows = len(promises)
    figure = Figure(figsize=(8.0, 1.25 + 0.36 * rows), layout="constrained")
    axes = figure.add_subplot()
    bare(axes)
    for at, one in enumerate(promises):
        _draw(axes, at, one)
    lows = [one.likely.low for one in promises if one.likely.low is not None]
    left = max(0.0, min([*lows, *(one.at_least for one in promises)]) - 0.1)
    axes.set_xlim(left, 1.005)
    axes.xaxis.set_major_formatter(lambda at, _: f"{at:.0%}")
    axes.set_yticks(range(rows), [plain_name(_name(one), most=38) for one in promises], fontsize=9)
    axes.set_ylim(rows - 0.4, -0.7)
    axes.tick_params(axis="x", labelsize=9)
    marks: list[tuple[str, str, dict[str, Any]]] = [
        ("|", "promised", {"color": INK, "mew": 2.0, "ms": 13}),
        ("D", "certified to be at least", {"color": INK, "ms": 6}),
        ("o", "estimate; thin: interval to promise by", {"color": PLAIN, "ms": 6}),
        ("s", "falls short", {"color": SURE, "ms": 6}),
    ]
    for marker, label, style in marks:
        axes.plot([], [], marker=marker, linestyle="none", label=label, **style)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8,
                  handletextpad=0.3, columnspacing=1.2)  # fmt: skip
    told = "; ".join(
        f"{_name(one)}: promised {one.at_least:.0%}, estimate {as_share(one.likely)}, "
        f"n {one.likely.n}, {_became(one)}"
        for one in promises
    )
    return Picture("obligations", as_svg(figure), f"Obligations against certificates. {told}.")


def _draw(axes: Axes, at: int, one: Promise) -> None:
    likely, sure = one.likely, one.sure
    colour = SURE if _is_short(one) else PLAIN
    ends = (sure.low, sure.high, likely.low, likely.high)
    known = [one for one in ends if one is not None]
    if likely.value is None or len(known) < len(ends):
        axes.text(one.at_least - 0.015, at, likely.code or "-", ha="right", va="center",
                  fontsize=8, color=FAINT)  # fmt: skip
    else:
        axes.plot(known[:2], [at, at], color=colour, lw=1.0, solid_capstyle="butt")
        axes.plot(known[2:], [at, at], color=colour, lw=3.5,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot(likely.value, at, "s" if _is_short(one) else "o", color=colour, ms=7,
                  mec="white", zorder=3)  # fmt: skip
    axes.plot([one.at_least] * 2, [at - 0.32, at + 0.32], color=INK, lw=2.0, zorder=4)
    if one.certificate:
        axes.plot(one.at_least, at, "D", color=INK, ms=6, mec="white", zorder=5)
    axes.annotate(_became(one), (1.02, at), xycoords=("axes fraction", "data"), va="center",
                  fontsize=8.5, color=INK if one.certificate else FAINT,
                  annotation_clip=False)  # fmt: skip


def _became(one: Promise) -> str:
    if one.certificate is None:
        return one.in_short
    return f"certified until {one.certificate.expires_at:%Y-%m-%d}"
