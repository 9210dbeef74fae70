"""Each category of a model in two small pictures, and the thresholds' places in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flows.reporting.model_evidence import Evidence, Labelled, Source
from flows.reporting.model_plots import curve_picture, reliability_picture
from flows.reporting.wording import limits
from hitl import evaluation, registry
from hitl.evaluation import Bin, OperatingPoint
from hitl.policy import Policy
from hitl.reports import Block, Gallery, Grid, Heading, Picture, Words


@dataclass(frozen=True, slots=True)
class Pictured:
    """What a category's pictures show. Without a `source` there was nothing to judge it by; with
    a `code` too little for a picture."""

    category: str
    source: Source | None
    n: int
    n_positive: int
    code: str | None
    bins: tuple[Bin, ...]
    points: tuple[OperatingPoint, ...]
    pictures: tuple[Picture, ...]


def pictured(
    evidence: Evidence,
    standing: Mapping[registry.Subject, Mapping[str, registry.Certificate]],
    *,
    policy: Policy,
    seed: int,
) -> tuple[Pictured, ...]:
    """Every category of the policy, in its order."""
    return tuple(
        _of_category(category.id, at, by, _thresholds(category.id, category.threshold, standing),
                     seed)
        for at, (category, by) in enumerate(
            zip(policy.category, evidence.by_category.values(), strict=True)
        )
    )  # fmt: skip


def _thresholds(
    category: str,
    of_policy: float,
    standing: Mapping[registry.Subject, Mapping[str, registry.Certificate]],
) -> dict[str, float]:
    """The policy's, and those certified for all items: a slice has a curve of its own."""
    found = {"policy": of_policy}
    by_metric = standing.get(registry.Subject(category), {})
    for name, metric in (("block from", "precision"), ("allow below", "recall")):
        one = by_metric.get(metric)
        if one is not None and one.finding.threshold is not None:
            found[name] = one.finding.threshold
    return found


def _of_category(
    category: str, at: int, by: Labelled | None, thresholds: Mapping[str, float], seed: int
) -> Pictured:
    if by is None:
        return Pictured(category, None, 0, 0, "no_labels", (), (), ())
    said, told = by.column(at)
    curve = evaluation.precision_recall(
        said, told, thresholds=thresholds, weights=by.weights, groups=by.groups, seed=seed
    )
    if curve.code is not None:
        return Pictured(category, by.source, curve.n, curve.n_positive, curve.code, (), (), ())
    bins = evaluation.reliability(said, told, weights=by.weights, groups=by.groups)
    return Pictured(
        category, by.source, curve.n, curve.n_positive, None, bins, curve.points,
        (
            reliability_picture(category, bins, source=by.source),
            curve_picture(category, curve, source=by.source),
        ),
    )  # fmt: skip


def pictures_blocks(drawn: Sequence[Pictured], evidence: Evidence, *, by: str) -> Iterator[Block]:
    """Two pictures a category, what they lack, and where the thresholds lie."""
    yield Heading("Are its probabilities honest, and what do thresholds buy?")
    shown = [one for one in drawn if one.pictures]
    if shown:
        yield Words(
            "Said and true: items sorted by what the model said, in bins of as many labels each; a "
            "point on the dashed line is as said, with the 95 % interval of what is true. Found "
            "and right: every threshold is a place on the curve. At each recall the band holds the "
            "precision in 95 of 100 such draws of labels; at the right end, where it hangs on a "
            "few items, there is none. The title says where the labels are from: audits of live "
            "decisions, each counted by its chance, or the test side that the gate saw."
        )
        yield Gallery([picture for one in shown for picture in one.pictures])
    if by:
        yield Words(f"Certified thresholds are by {by} and are not drawn: see below.")
    if evidence.test_side_lost is not None:
        yield Words(f"The test side could not be asked: {evidence.test_side_lost}")
    lacking = [one for one in drawn if not one.pictures]
    if lacking:
        yield Grid(
            ("no picture yet of", "why", "labels", "violating", "what it takes"),
            [
                (one.category, one.code or "-", f"{one.n:,}", f"{one.n_positive:,}",
                 "ten unrelated items that violate and ten that do not, from audits")
                for one in lacking
            ],
        )  # fmt: skip
    if shown:
        yield Words(
            "Bands and intervals here are for content like this, had other items been drawn. Those "
            "of the estimates below are for the very items that it decided, part of which were "
            "looked at, and may be narrower for it."
        )
        yield Grid(
            ("threshold", "from score", "precision", "flagged", "recall", "violating",
             "labels from"),
            [_point_row(one, point) for one in shown for point in one.points],
        )  # fmt: skip


def _point_row(one: Pictured, point: OperatingPoint) -> tuple[str, ...]:
    precision = "nothing_flagged"
    if point.precision is not None and point.precision_limits is not None:
        precision = f"{point.precision:.1%} ({limits(*point.precision_limits)})"
    return (
        f"{one.category}, {point.name}",
        f"{point.threshold:.4g}",
        precision,
        f"{point.flagged:,}",
        f"{point.recall:.1%} ({limits(*point.recall_limits)})",
        f"{one.n_positive:,}",
        one.source or "-",
    )
