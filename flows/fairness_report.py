"""`hitl report fairness`: is anybody's content judged worse than the rest, and how sure is that?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from matplotlib.figure import Figure
from sqlalchemy import Engine

from flows.measuring.window import (
    Window,
    largest_flagged,
    questions,
    read_window,
    slicings,
)
from flows.reporting.drawing import INK, SURE, UNSURE, as_svg, bare, plain_name
from flows.rescore import champion_of
from hitl import evaluation
from hitl.db import begin
from hitl.evaluation import Gap, Part
from hitl.evaluation.store import read_audit
from hitl.policy import Policy
from hitl.recipe import MeasureRecipe
from hitl.records import ModelVersion
from hitl.reports import Block, Grid, Heading, Page, Picture, Words

_NAMES = {"recall": "found of what violates", "fpr": "flagged of what does not"}


@dataclass(frozen=True, slots=True)
class FairnessReport:
    """The page, and the gaps behind it: (category, gap)."""

    page: Page
    model_version: ModelVersion
    labels: int
    gaps: tuple[tuple[str, Gap], ...]


def fairness_report(
    engine: Engine,
    *,
    policy: Policy,
    start: datetime,
    end: datetime,
    rules: MeasureRecipe | None = None,
) -> FairnessReport:
    """Gaps of every language, market, surface and identity term to the rest, for the champion's
    decisions in a window.

    Raises:
        NoChampion: nothing was promoted yet.
    """
    with begin(engine) as tx:
        champion = champion_of(tx, policy)
        window = read_window(
            tx,
            policy=policy,
            audit=read_audit(tx, policy=policy),
            model_version=champion.model_version,
            start=start,
            end=end,
            identity_terms=(rules or MeasureRecipe()).identity_terms,
            with_counts=False,
        )
    judged, parts = window.judged, list(_parts(window))
    asked = list(questions(judged, policy))
    most = largest_flagged(judged, asked, policy)
    found = [
        (category, gap)
        for k, (category, truth, flagged) in enumerate(asked)
        for gap in evaluation.gaps_of(
            truth,
            flagged,
            judged.inclusion_probability,
            parts,
            variance_weight=judged.variance_weight,
            largest_weight=judged.largest_weight,
            largest_flagged=None if most is None else float(most[k]),
        )
    ]
    page = Page(
        f"Fairness of {champion.model_version}",
        f"Policy {policy.policy_id}, decisions from {start:%Y-%m-%d} to {end:%Y-%m-%d}, "
        f"{len(judged):,} audit labels",
        list(_blocks(found)),
    )
    return FairnessReport(page, champion.model_version, len(judged), tuple(found))


def _parts(window: Window) -> Iterator[Part]:
    """Every value of every slice but all; what is not known of an item is no group of people."""
    for slicing in slicings(window):
        for group, value in enumerate(slicing.values):
            if slicing.name and value != "unknown":
                rows = slicing.rows.copy()
                rows[rows] = slicing.group == group
                yield Part(slicing.name, value, rows)


def _blocks(found: Sequence[tuple[str, Gap]]) -> Iterator[Block]:
    told = [one for one in found if one[1].verdict != "insufficient_evidence"]
    sure = [one for one in told if one[1].verdict == "gap"]
    if sure:
        yield Words(
            f"{len(sure)} of {len(told)} gaps that could be told are larger than chance explains. "
            "Of these about one in twenty is expected to be chance all the same."
        )
    elif told:
        yield Words(
            f"None of the {len(told)} gaps that could be told is larger than chance explains. That "
            "is not the same as none: each interval says how large one may still be."
        )
    else:
        yield Words(
            "Nothing could be told yet: every comparison needs ten violating items (for what is "
            "found) or ten innocent ones (for what is flagged) in the slice and outside of it."
        )
    if told:
        yield _picture(told)
    yield Heading("Gaps")
    yield Grid(
        ("what", "category", "where", "there", "elsewhere", "gap", "interval", "verdict"),
        [_row(*one) for one in told],
        empty="no gap has enough labels",
    )
    unknown = [one for one in found if one[1].verdict == "insufficient_evidence"]
    yield Heading("Too few labels to tell")
    yield Grid(
        ("what", "category", "where", "items there", "items elsewhere"),
        [
            (
                _NAMES[gap.metric], category, _where(gap),
                f"{gap.here.n:,}", f"{gap.elsewhere.n:,}",
            )
            for category, gap in unknown
        ],
        empty="every comparison had enough",
    )  # fmt: skip
    yield Heading("How to read this")
    yield Words(
        "A gap is the value in the slice less that of all the rest, in percentage points, as "
        "estimated for all decisions from audit labels by their chances to be drawn. Intervals are "
        "Newcombe's at 95 %, each for itself, by effective labels where chances differ; where "
        "labels carry no narrow interval of a side, the one to promise by is joined. The "
        "verdict takes all comparisons of a category into account (Benjamini and Hochberg). "
        "Content may speak of several identity terms; each is compared with all that does not "
        "speak of it. A gap says that a model errs more often there, not why: fewer labels, other "
        "words, or reviewers who do not speak the language. Where one slice is judged worse, all "
        "others look better beside it: begin with the largest gap."
    )


def _where(gap: Gap) -> str:
    return f"{gap.slice_name.replace('_', ' ')} {gap.slice_value}"


def _row(category: str, gap: Gap) -> tuple[str, ...]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    def points(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:+.1f}"

    verdict = "gap" if gap.verdict == "gap" else "no gap shown"
    return (
        _NAMES[gap.metric], category, _where(gap),
        f"{share(gap.here.value)} of {gap.here.n:,}",
        f"{share(gap.elsewhere.value)} of {gap.elsewhere.n:,}",
        points(gap.difference), f"{points(gap.low)} to {points(gap.high)}", verdict,
    )  # fmt: skip


def _picture(told: Sequence[tuple[str, Gap]]) -> Picture:
    """Every gap with its interval, the surest on top."""
    shown = sorted(told, key=lambda one: one[1].adjusted_p or 0.0)[:30]
    figure = Figure(figsize=(8.0, 1.2 + 0.3 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    bare(axes)
    for at, (_, gap) in enumerate(shown):
        if gap.difference is None or gap.low is None or gap.high is None:
            continue
        colour = SURE if gap.verdict == "gap" else UNSURE
        axes.plot([100 * gap.low, 100 * gap.high], [at, at], color=colour, linewidth=2)
        axes.plot(100 * gap.difference, at, "o", color=colour, markersize=6)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(shown)))
    axes.set_yticklabels(
        [f"{_NAMES[gap.metric]}: {c}, {plain_name(gap.slice_value)}" for c, gap in shown],
        fontsize=9,
    )
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("percentage points more than elsewhere")
    sure = {f"{c} {g.slice_value}": None for c, g in shown if g.verdict == "gap"}
    return Picture(
        "gaps",
        as_svg(figure),
        f"Gaps with their intervals. Larger than chance explains: {', '.join(sure) or 'none'}.",
    )
