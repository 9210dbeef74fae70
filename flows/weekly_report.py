"""`hitl report weekly`: a week of the loop on one page, beside the week before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from matplotlib.figure import Figure
from sqlalchemy import Connection, Engine

from flows.measure import measure
from flows.measuring.window import ANY, judged_since
from flows.reporting.drawing import FAINT, INK, PLAIN, SURE, as_svg, bare
from flows.reporting.label_gains import (
    Effort,
    Gain,
    Step,
    effort_of,
    gains_of,
    newest_items,
    steps_of,
)
from flows.reporting.label_gains_page import gains_blocks, trainings_blocks
from flows.reporting.obligations import Promise, promises_of, standing_of
from flows.reporting.obligations_page import obligations_blocks
from flows.reporting.pages import SEED
from flows.reporting.wording import as_share
from hitl import registry
from hitl.db import begin
from hitl.evaluation.measurements import Measurement
from hitl.policy import Policy
from hitl.recipe import CertifyRecipe
from hitl.records import ModelVersion
from hitl.reports import (
    Block,
    Event,
    Grid,
    Heading,
    Page,
    Picture,
    Words,
    Work,
    answer_times,
    events_of,
    trainings,
    work_of,
)

WEEK = timedelta(days=7)
_TITLES = {"prevalence": "violates", "precision": "precision", "recall": "recall"}

Figures = Mapping[tuple[str, str], Measurement]


@dataclass(frozen=True, slots=True)
class WeeklyReport:
    """The page, and what is behind it: this week and the one before; the champion's obligations,
    what its last labels bought, and what each training changed."""

    page: Page
    model_version: ModelVersion | None
    work: Work
    work_before: Work
    events: tuple[Event, ...]
    promises: tuple[Promise, ...] = ()
    gains: tuple[Gain, ...] = ()
    effort: Effort | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class _Champion:
    """What is told of the champion beside its week's figures."""

    attempts: Mapping[registry.Subject, Sequence[registry.Certificate]]
    labels: int
    promises: tuple[Promise, ...]
    gains: tuple[Gain, ...]
    effort: Effort


def weekly_report(
    engine: Engine,
    *,
    policy: Policy,
    end: datetime,
    recipe: CertifyRecipe | None = None,
    is_over: bool = True,
) -> WeeklyReport:
    """The seven days before `end`. Measures both weeks, as `hitl measure` would.

    Where it is not over yet the page says so.

    Certificates are those that stood at `end`; obligations and gains are of the audit labels of
    the `window_days` before it.
    """
    rules = recipe or CertifyRecipe()
    start, before = end - WEEK, end - 2 * WEEK
    with begin(engine) as tx:
        work = work_of(tx, policy, start=start, end=end)
        work_before = work_of(tx, policy, start=before, end=start)
        events = events_of(tx, policy, start=start, end=end)
        champion = registry.champion(tx, policy.name)
        version = champion.model_version if champion else None
        trained = trainings(tx, policy, until=end)
        told = _of_champion(tx, policy, version, rules, end) if version else None
    figures = _figures(engine, policy, version, start, end)
    figures_before = _figures(engine, policy, version, before, start)
    steps = steps_of(trained)
    page = Page(
        f"Week to {end:%Y-%m-%d}" + ("" if is_over else ", not over yet"),
        f"Policy {policy.policy_id}, {start:%Y-%m-%d} to {end:%Y-%m-%d} UTC; champion "
        f"{version or 'none yet'}",
        [
            Heading("What went through the loop"),
            _work(work, work_before),
            *_quality(policy, version, figures, figures_before),
            *_alone(policy, standing_of(told.attempts if told else {}, at=end)),
            *_earned(policy, told, rules.window_days),
            *trainings_blocks(trained, steps),
            Heading("What happened"),
            Grid(
                ("when (UTC)", "what"),
                [(f"{one.at:%Y-%m-%d %H:%M}", one.words) for one in events],
                empty="no promotion, rollback or certificate",
            ),
            *_how_to_read(),
        ],
    )
    return WeeklyReport(
        page, version, work, work_before, tuple(events),
        told.promises if told else (), told.gains if told else (),
        told.effort if told else None, steps,
    )  # fmt: skip


def _of_champion(
    tx: Connection, policy: Policy, version: ModelVersion, rules: CertifyRecipe, end: datetime
) -> _Champion:
    judged = judged_since(
        tx,
        policy=policy,
        model_version=version,
        start=end - timedelta(days=rules.window_days),
        end=end,
    )
    attempts = registry.attempts(tx, policy=policy, model_version=version)
    promises = promises_of(judged, attempts, policy=policy, by=rules.by, at=end)
    return _Champion(
        attempts,
        len(judged),
        promises,
        gains_of(judged, promises, policy=policy, seed=SEED),
        effort_of(answer_times(tx, policy, newest_items(judged))),
    )


def _earned(policy: Policy, told: _Champion | None, days: int) -> Iterator[Block]:
    """Obligations, and what labels bought: of a champion, or the way to one."""
    if told is None:
        yield Heading("Obligations against certificates")
        yield Words(
            "No model was promoted yet, so nothing could earn a certificate: label, then run "
            "hitl freeze, hitl train and hitl promote."
        )
        return
    yield from obligations_blocks(told.promises, policy=policy, labels=told.labels, days=days)
    yield from gains_blocks(told.gains, told.effort, labels=told.labels)


def _how_to_read() -> Iterator[Block]:
    yield Heading("How to read this")
    yield Words(
        "No figure stands without its interval and the labels behind it (n); an effective n is the "
        "size of an even draw that would say as much. Unstable: the labels carry no narrow "
        "interval, so the one to promise by stands there too. A certificate is a promise with a "
        "date; an estimate is none. What each number means, and when not to believe it, is told in "
        "plain words in the docs (numbers.md)."
    )


def _figures(
    engine: Engine, policy: Policy, version: ModelVersion | None, start: datetime, end: datetime
) -> Figures:
    if version is None:
        return {}
    found = measure(engine, policy=policy, start=start, end=end).by_model.get(version, ())
    return {
        (one.category, one.metric): one
        for one in found
        if one.slice_name == "" and one.kind == "descriptive"
    }


def _work(now: Work, before: Work) -> Grid:
    def share(part: int, whole: int) -> str:
        return f"{part:,} ({part / whole:.1%})" if whole else f"{part:,}"

    def minutes(one: Work) -> str:
        return "-" if one.median_minutes is None else f"{one.median_minutes:,.0f}"

    rows = [
        ("decisions", *(f"{one.decisions:,}" for one in (now, before))),
        ("allowed without a person", *(share(one.allowed, one.decisions) for one in (now, before))),
        ("blocked without a person", *(share(one.blocked, one.decisions) for one in (now, before))),
        ("questions asked", *(f"{one.opened:,}" for one in (now, before))),
        ("answered", *(f"{one.answered:,}" for one in (now, before))),
        ("of these, audits", *(f"{one.audits:,}" for one in (now, before))),
        ("after their deadline", *(share(one.late, one.answered) for one in (now, before))),
        ("median minutes from asking to answer", *(minutes(one) for one in (now, before))),
        ("reviewers", *(f"{one.reviewers:,}" for one in (now, before))),
    ]
    return Grid(("", "this week", "the week before"), rows)


def _quality(
    policy: Policy, version: ModelVersion | None, now: Figures, before: Figures
) -> Iterator[Block]:
    yield Heading("What its decisions were worth")
    if version is None:
        yield Words("No model was promoted yet: nothing decides that could be measured.")
        return
    yield Words(
        "Of all decisions of the champion in the week, estimated from audit labels; 95 % "
        "intervals. A code in place of a value means that there are too few labels to say a number."
    )
    names = [*policy.category_ids, ANY]
    told = [name for name in names if any((name, metric) in now for metric in _TITLES)]
    if any(now[name, metric].value is not None for name in told for metric in _shown(now, name)):
        yield _picture(policy, now, told)
    yield Grid(
        ("category", "metric", "this week", "labels", "the week before", "promised"),
        [
            (
                name, _TITLES[metric], as_share(now.get((name, metric))),
                f"{now[name, metric].n:,}", as_share(before.get((name, metric))),
                _promised(policy, name, metric),
            )
            for name in told
            for metric in _shown(now, name)
        ],
        empty="no audit label on a decision of this week",
    )  # fmt: skip


def _shown(figures: Figures, category: str) -> list[str]:
    return [metric for metric in _TITLES if (category, metric) in figures]


def _promise(policy: Policy, category: str, metric: str) -> float | None:
    for one in policy.category:
        if one.id == category and one.obligation and metric in ("precision", "recall"):
            found: float | None = getattr(one.obligation, metric)
            return found
    return None


def _promised(policy: Policy, category: str, metric: str) -> str:
    found = _promise(policy, category, metric)
    return "-" if found is None else f"at least {found:.0%}"


def _alone(
    policy: Policy,
    standing: Mapping[registry.Subject, Mapping[str, registry.Certificate]],
) -> Iterator[Block]:
    yield Heading("What may be decided without a person")
    rows = [
        (
            subject.category,
            subject.slice_value or "everywhere",
            f"{metric} of {one.finding.at_least:g}",
            f"{'from' if metric == 'precision' else 'below'} {one.finding.threshold:.4g}",
            f"{one.expires_at:%Y-%m-%d}",
        )
        for subject, by_metric in standing.items()
        for metric, one in by_metric.items()
    ]
    has_obligation = any(one.obligation for one in policy.category)
    empty = (
        "nothing: no certificate stands, so everything goes to review; hitl certify tries for some"
        if has_obligation
        else "nothing: the policy has no obligation that could be certified"
    )
    yield Grid(("category", "where", "promise", "scores", "until"), rows, empty=empty)


def _picture(policy: Policy, now: Figures, names: Sequence[str]) -> Picture:
    """Precision and recall with their intervals, and what was promised."""
    metrics = ("precision", "recall")
    figure = Figure(figsize=(8.0, 1.0 + 0.5 * len(names)), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2, sharey=True), metrics, strict=True):
        bare(axes)
        for at, name in enumerate(names):
            one = now.get((name, metric))
            promise = _promise(policy, name, metric)
            if promise is not None:
                axes.plot([promise, promise], [at - 0.3, at + 0.3], color=INK, linewidth=1.5)
            if one is None or one.value is None or one.low is None or one.high is None:
                axes.text(0.5, at, one.code if one and one.code else "-", ha="center",
                          va="center", fontsize=8, color=FAINT)  # fmt: skip
                continue
            misses = promise is not None and one.high < promise
            colour = SURE if misses else PLAIN
            axes.plot([one.low, one.high], [at, at], color=colour, linewidth=2)
            axes.plot(one.value, at, "o", color=colour, markersize=6)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100 %"])
        axes.set_title(metric, fontsize=10)
        axes.set_yticks(range(len(names)))
        axes.set_yticklabels(names, fontsize=9)
    figure.axes[0].set_ylim(len(names) - 0.5, -0.5)
    return Picture(
        "quality",
        as_svg(figure),
        "Precision and recall of each category with intervals; a bar marks what was promised.",
    )
