"""A replay's findings as JSON and as a table. No text of an item and no name of a class in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flows.replay_strategies import Replayed
from flows.replaying.features import SECONDS_FORMULA
from flows.replaying.study import near_test
from sampling import Plan
from sampling.comparison import Effort, Figure, PlanFigures
from sampling.reach import Reach
from sampling.verdicts import overall, ratio, verdict

INTERVALS = (
    "95 %, over paired seeds: Student's t for means and differences; for labels and minutes to "
    "the target, and their ratio to the baseline's, seeds drawn again 2,000 times"
)

TABLE = ("plan", "area", "gain", "95 %", "final", "labels", "ratio", "minutes", "positives")


def as_json(found: Replayed) -> dict[str, Any]:
    """Everything, for programs. The same file, options and seed give the same bytes.

    Numbers have six decimals. null is what could not be: no interval from one seed, a target that
    is not reached, what was not counted.
    """
    comparison = found.comparison
    return {
        "replayed": about(found),
        "against": comparison.against,
        "target": _number(comparison.target),
        "verdict": overall(comparison),
        "leaders": list(comparison.leaders),
        "plans": [_plan(found, one) for one in comparison.plans],
    }


def about(found: Replayed) -> dict[str, Any]:
    """What was replayed, and how."""
    study, wanted = found.study, found.wanted
    return {
        "items": found.items,
        "set_aside": found.set_aside,
        "copies_of_test_left_out": copies_of_test(found),
        "offered": len(found.sides.offered),
        "measured_on": len(found.sides.measured),
        "held_out": "its split column" if study.is_test is not None else "a third, by each seed",
        "task": task_of(found),
        "labels": [] if study.classes else _prevalence(found),
        "score": score_of(found),
        "features": features_of(found),
        "head": study.head.value,
        "audit_labels": "only measure" if study.untrained else "train",
        "seeds": list(found.replay.seeds),
        "start": study.start,
        "start_of_each": study.start_of_each,
        "batch": study.batch,
        "rounds": study.rounds,
        "seconds": seconds_of(found),
        "confidence": found.comparison.confidence,
        "intervals": INTERVALS,
        "against": wanted.against,
    }


def copies_of_test(found: Replayed) -> int:
    """How many items of the train side are near copies of one that measures, and left out."""
    study = found.study
    return 0 if study.is_train is None else int((study.is_train & near_test(study)).sum())


def task_of(found: Replayed) -> str:
    """What is learned."""
    study = found.study
    if study.classes:
        return f"{study.classes} classes"
    return "one label" if len(study.categories) == 1 else f"{len(study.categories)} labels"


def score_of(found: Replayed) -> str:
    """What the curves show."""
    if found.study.classes:
        return "accuracy"
    one = len(found.study.categories) == 1
    return "average precision" if one else "macro average precision"


def features_of(found: Replayed) -> str:
    """What the heads see."""
    if found.wanted.columns.embedding is not None:
        return f"embeddings of {found.dimensions} dimensions"
    return f"TF-IDF of words and characters, {found.dimensions} dimensions"


def seconds_of(found: Replayed) -> str | None:
    """Where a reviewer's time comes from."""
    if found.study.seconds is None:
        return None
    if found.wanted.columns.seconds is not None:
        return "the file's column"
    return f"assumed: {SECONDS_FORMULA}"


def plan_in_words(plan: Plan) -> str:
    """Its shares."""
    return ", ".join(f"{share.fraction:.0%} {share.strategy}" for share in plan.shares)


def title(found: Replayed) -> str:
    """What was replayed, in one line."""
    study, seeds = found.study, len(found.replay.seeds)
    return (
        f"{task_of(found)} of {found.items:,} items: {study.start} to start, {study.rounds} rounds "
        f"of {study.batch}; {seeds} paired seeds choose from {len(found.sides.offered):,}, "
        f"measured on {len(found.sides.measured):,}"
    )


def notes(found: Replayed) -> str:
    """How to read the table's columns, and what was assumed."""
    study = found.study
    against, goal = found.comparison.against, found.comparison.target
    lines = [
        f"area: {score_of(found)} averaged along the curve; gain: paired, to {against}",
        f"labels, minutes: to reach {goal:.3f}; ratio: of the labels, to those of {against}",
    ]
    if study.seconds is not None:
        lines.append(f"minutes of review: {seconds_of(found)}")
    if study.positives is not None:
        lines.append("positives: found among all labels, those to begin with included")
    lines += [
        f"{one}: {plan_in_words(plan)}"
        for one, plan in study.plans.items()
        if plan.shares[0].strategy != one
    ]
    if study.untrained:
        lines.append("labels of a recipe's random share are paid for, and do not train")
    if copies := copies_of_test(found):
        lines.append(f"{copies:,} items to learn from are left out as near copies of test items")
    if found.set_aside:
        lines.append(f"{found.set_aside:,} rows without text, or that cannot be read, are left out")
    return "\n".join(lines)


def verdicts(found: Replayed) -> list[str]:
    """All that there is to say, what matters most last."""
    comparison = found.comparison
    others = [one.name for one in comparison.plans if one.name != comparison.against]
    return [*(verdict(comparison, name) for name in others), overall(comparison)]


def rows(found: Replayed) -> list[tuple[Any, ...]]:
    """The table's rows, of TABLE's columns; the best area first."""
    ordered = sorted(found.comparison.plans, key=lambda one: -one.area.value)
    against = found.comparison.against
    return [
        (
            one.name,
            one.area.value,
            None if one.name == against else one.by_labels.gain.value,
            "" if one.name == against else _limits(one.by_labels.gain),
            one.final.value,
            _cost(one.by_labels, 1.0),
            "" if one.name == against else ratio(one.by_labels),
            None if one.by_seconds is None else _cost(one.by_seconds, 60.0),
            None if one.positives is None else round(one.positives.value),
        )
        for one in ordered
    ]


def _limits(figure: Figure) -> str:
    if not math.isfinite(figure.low):
        return "one seed"
    return f"{figure.low:+.3f} {figure.high:+.3f}"


def _cost(effort: Effort, unit: float) -> int | None:
    cost = effort.reach.cost / unit
    return round(cost) if math.isfinite(cost) else None


def _prevalence(found: Replayed) -> list[dict[str, Any]]:
    study = found.study
    return [
        {"name": name, "positive_share": _number(float(np.mean(study.labels[:, column] == 1.0)))}
        for column, name in enumerate(study.categories)
    ]


def _plan(found: Replayed, one: PlanFigures) -> dict[str, Any]:
    replay, name = found.replay, one.name
    place = replay.plans.index(name)
    comparison = found.comparison
    curve = replay.curve(name, confidence=comparison.confidence)
    gap = replay.difference(name, against=comparison.against, confidence=comparison.confidence)
    return {
        "name": name,
        "shares": [
            {"strategy": share.strategy, "fraction": _number(share.fraction)}
            for share in found.study.plans[name].shares
        ],
        "outcome": one.outcome.value,
        "verdict": verdict(comparison, name),
        "p_after_holm": _number(one.p),
        "area": _figure(one.area),
        "gain": _figure(one.by_labels.gain),
        "gain_share": _number(one.gain_share),
        "final": _figure(one.final),
        "final_gain": _figure(one.final_gain),
        "labels_to_target": _reach(one.by_labels.reach, 1.0),
        "minutes_to_target": None
        if one.by_seconds is None
        else _reach(one.by_seconds.reach, 1 / 60),
        "gain_by_minutes": None if one.by_seconds is None else _figure(one.by_seconds.gain),
        "minutes_spent": None if one.by_seconds is None else _figure(one.by_seconds.spent, 1 / 60),
        "positives": None if one.positives is None else _figure(one.positives),
        "positives_gain": None if one.positives_gain is None else _figure(one.positives_gain),
        "curve": {
            "labels": replay.budgets.tolist(),
            "score": _numbers(curve.mean),
            "low": _numbers(curve.low),
            "high": _numbers(curve.high),
            "gain": _numbers(gap.mean),
            "gain_low": _numbers(gap.low),
            "gain_high": _numbers(gap.high),
            "minutes": None
            if replay.seconds is None
            else _numbers(replay.seconds[place].mean(axis=0) / 60),
            "positives": None
            if replay.positives is None
            else _numbers(replay.positives[place].mean(axis=0)),
        },
        "by_seed": [_numbers(scores) for scores in replay.scores[place]],
    }


def _figure(figure: Figure, scale: float = 1.0) -> dict[str, float | None]:
    return {
        "value": _number(figure.value * scale),
        "low": _number(figure.low * scale),
        "high": _number(figure.high * scale),
    }


def _reach(reach: Reach, scale: float) -> dict[str, Any]:
    return {
        "value": _number(reach.cost * scale),
        "low": _number(reach.low * scale),
        "high": _number(reach.high * scale),
        "ratio": _number(reach.ratio),
        "ratio_low": _number(reach.ratio_low),
        "ratio_high": _number(reach.ratio_high),
        "ratio_is_bound": reach.is_bound,
        "seeds_reached": reach.seeds_reached,
    }


def _numbers(values: Any) -> list[float | None]:
    return [_number(float(one)) for one in values]


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
