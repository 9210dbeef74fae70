"""How `hitl measure` shows its figures: grouped by metric, a line for each category or slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flows.cli.output import say, show_table
from flows.measure import BY_VIEWS, CORRECTED, RESPONSE, MeasureReport
from hitl.evaluation import METRICS
from hitl.evaluation.measurements import Measurement
from hitl.evaluation.window import Response

NAMES = {
    "prevalence": "violates",
    BY_VIEWS: "violates, by views",
    CORRECTED: "violates, less reviewers' errors",
    "fpr": "false positives",
    "fnr": "false negatives",
}
_FIRST = ("prevalence", BY_VIEWS, CORRECTED)
ORDER = {name: k for k, name in enumerate(dict.fromkeys((*_FIRST, *METRICS)))}


def show_measured(report: MeasureReport, *, kind: str, by: str) -> None:
    """The report for a person: of all decisions, or by the values of one slice."""
    window = f"{report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}"
    say(
        f"audit: {report.answered:,} of {report.asked:,} answered, {report.waiting:,} wait, "
        f"{report.lost:,} were closed without an answer"
    )
    if not report.by_model:
        say(f"no model decided on an audited item from {window}; label audits, or widen the window")
    for model_version, found in report.by_model.items():
        shown = [
            one
            for one in found
            if (one.kind, one.slice_name) == (kind, by) and one.metric != RESPONSE
        ]
        where = (by.replace("_", " "),) if by else ()
        show_table(
            f"{model_version}, decisions of {window}, {kind} intervals",
            ("metric", "category", *where, "value", "from", "to", "labels", "effective", ""),
            list(lines(shown, by=bool(by))),
            caption=_caption(shown, kind=kind) if shown else f"nothing is known by {by}",
        )
        _show_responses(report.responses.get(model_version, ()))


def _caption(shown: Sequence[Measurement], *, kind: str) -> str | None:
    if kind != "descriptive" or not any(one.unstable for one in shown):
        return None
    return "unstable: the labels carry no narrow interval, so the certified one stands there"


def lines(found: Sequence[Measurement], *, by: bool) -> Iterator[tuple[str | int | None, ...]]:
    """Metric by metric; its name stands beside its first line only."""
    before = ""
    for one in sorted(found, key=lambda one: ORDER[one.metric]):
        yield (
            "" if one.metric == before else NAMES.get(one.metric, one.metric),
            one.category,
            *((one.slice_value,) if by else ()),
            one.code or _percent(one.value),
            _percent(one.low),
            _percent(one.high),
            one.n,
            None if one.n_effective is None else round(one.n_effective),
            "unstable" if one.unstable else "",
        )
        before = one.metric


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{share:.2%}" if share < 0.0995 else f"{share:.1%}"


def _show_responses(cells: Sequence[Response]) -> None:
    """Only where somebody did not answer: then who did not may matter."""
    if all(one.answered == one.asked for one in cells):
        return
    rest = ("all", "others")  # of a band that is not divided, and of one that is
    show_table(
        "who answers",
        ("score", "language", "surface", "asked", "answered", "rate", "counts for"),
        [
            (
                f"{one.low:.1f} to {one.high:.1f}",
                one.language or rest[[other.low for other in cells].count(one.low) > 1],
                one.surface or rest[[other.low for other in cells].count(one.low) > 1],
                one.asked,
                one.answered,
                _percent(one.rate),
                f"x {1.0 / one.factor:.2f}",
            )
            for one in cells
        ],
    )
