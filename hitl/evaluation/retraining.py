"""Is it time to train anew? From labels, alarms and earlier models to a decision with reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from hitl.evaluation.arrays import FloatArray

MODELS_NEEDED = 4
"""For a curve of three numbers: one measured model more."""
NEWEST_MODELS = 5
_BENDS = np.linspace(0.05, 2.0, 40)
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Measured:
    """An earlier model: training labels, its error (1 - average precision) and the standard error
    of that."""

    labels: int
    error: float
    spread: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What more labels should bring: by how much the error falls, with an 80 % band.

    `code` in place of numbers: too few models were measured to draw a curve.
    """

    models: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainRules:
    """The recipe's numbers. `least_labels` is `training.retrain_after_labels`."""

    least_labels: int = 200
    first_labels: int = 100
    share_of_training: float = 0.1
    least_gain: float = 0.005
    most_age: timedelta = timedelta(days=30)
    cool_down: timedelta = timedelta(hours=24)
    windows_in_a_row: int = 2


@dataclass(frozen=True, slots=True)
class Standing:
    """How things are. `trained_at` None: there is no model yet.

    `new_labels` came since the newest model's snapshot; `training_labels` are in it.
    `withdrawn` certificates and `drifts`, (subject, windows that it lasts), are of alarms that
    stand and that nobody has taken note of. `measured`: earlier models, oldest first.
    `last_fired_at`: when training was decided last.
    """

    now: datetime
    new_labels: int
    trained_at: datetime | None = None
    training_labels: int = 0
    is_of_this_policy: bool = True
    withdrawn: Sequence[str] = ()
    drifts: Sequence[tuple[str, int]] = ()
    measured: Sequence[Measured] = ()
    last_fired_at: datetime | None = None


class RetrainRule(StrEnum):
    """What may speak for training, and what holds it up."""

    FIRST_MODEL = "first_model"
    LABELS = "labels"
    CERTIFICATE = "certificate_withdrawn"
    DRIFT = "drift"
    POLICY = "policy_changed"
    AGE = "age"
    COOL_DOWN = "cool_down"
    NOTHING_NEW = "nothing_new"


@dataclass(frozen=True, slots=True)
class Why:
    """One rule: whether it fired, by which number against which bar, and the words that say so."""

    rule: RetrainRule
    fired: bool
    words: str
    value: float | None = None
    bar: float | None = None
    low: float | None = None
    high: float | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class RetrainDecision:
    """Whether to train, and every rule that was looked at."""

    retrain: bool
    reasons: tuple[Why, ...] = field(default=())

    @property
    def fired(self) -> tuple[RetrainRule, ...]:
        return tuple(one.rule for one in self.reasons if one.fired)


def decide_retraining(standing: Standing, rules: RetrainRules, *, seed: int) -> RetrainDecision:
    """Train if any of the reasons speaks for it, unless it was just done or nothing would differ.

    Labels alone are a reason once they are enough and, where earlier models give a learning curve,
    once that promises more than `least_gain`. An alarm, another policy or age are each a reason by
    themselves, as long as there is a label that the newest model has not seen.
    """
    if standing.trained_at is None:
        enough = standing.new_labels >= rules.first_labels
        words = f"no model yet; {standing.new_labels} labels, and {rules.first_labels} are needed"
        first = Why(RetrainRule.FIRST_MODEL, enough, words, standing.new_labels, rules.first_labels)
        return RetrainDecision(enough, (first,))
    age = standing.now - standing.trained_at
    reasons = [
        *_by_labels(standing, rules, seed=seed),
        Why(
            RetrainRule.CERTIFICATE,
            bool(standing.withdrawn),
            f"certificates withdrawn: {', '.join(standing.withdrawn) or 'none'}",
            len(standing.withdrawn),
            1,
        ),
        _by_drift(standing, rules),
        Why(
            RetrainRule.POLICY,
            not standing.is_of_this_policy,
            "the newest model was trained under "
            + ("this policy" if standing.is_of_this_policy else "another version of the policy"),
        ),
        Why(
            RetrainRule.AGE,
            age > rules.most_age,
            f"the newest model is {_days(age):.1f} days old, {_days(rules.most_age):g} is the most",
            _days(age),
            _days(rules.most_age),
        ),
    ]
    speaks = any(one.fired for one in reasons)
    held = list(_held_up(standing, rules))
    return RetrainDecision(speaks and not any(one.fired for one in held), (*reasons, *held))


def expected_gain(measured: Sequence[Measured], *, more: int, seed: int) -> Expected:
    """By how much the error should fall with `more` labels than the newest model had.

    The curve err(n) = a n^-b + c, with a and c of 0 or more, through the newest models, each
    weighted by how well it was measured. The band is of curves through errors that were drawn anew.

    Source: inverse power laws of learning curves, as in Figueroa et al. (2012).
    """
    newest = list(measured)[-NEWEST_MODELS:]
    sizes = np.array([one.labels for one in newest], dtype=np.float64)
    if len(set(sizes.tolist())) < MODELS_NEEDED:
        return Expected(len(newest), code="too_few_models")
    errors = np.array([one.error for one in newest])
    spreads = np.maximum([one.spread for one in newest], 1e-4)
    at = np.array([sizes[-1], sizes[-1] + more])
    rng = np.random.default_rng(seed)
    redrawn = errors + spreads * rng.standard_normal((_DRAWS, len(errors)))
    [value, *falls] = _falls(sizes, np.vstack([errors, redrawn]), spreads, at).tolist()
    low, high = np.quantile(falls, (0.1, 0.9))
    return Expected(len(newest), value, float(low), float(high))


def _falls(
    sizes: FloatArray, errors: FloatArray, spreads: FloatArray, at: FloatArray
) -> FloatArray:
    """The fall between two sizes of the best curve through each row of `errors` (R, M), shape (R,).

    For each bend, least squares in a and c, both 0 or more: of two numbers the best lies where
    neither is bound, or where one of them is 0.
    """
    rows = np.arange(len(errors))
    best: FloatArray = np.full(len(errors), np.inf)
    fall: FloatArray = np.zeros(len(errors))
    weight = 1.0 / spreads**2
    flat = np.maximum((errors * weight).sum(axis=1) / weight.sum(), 0.0)
    for bend in _BENDS:
        shape = sizes**-bend
        centre = (weight * shape).sum() / weight.sum()
        slope = (errors * weight) @ (shape - centre) / (weight * (shape - centre) ** 2).sum()
        level = (errors * weight).sum(axis=1) / weight.sum() - slope * centre
        free = np.where((slope >= 0.0) & (level >= 0.0), slope, 0.0)
        through_zero = np.maximum((errors * weight) @ shape / (weight * shape**2).sum(), 0.0)
        steep = np.stack([free, np.zeros_like(free), through_zero])
        low = np.stack([np.where(free > 0.0, level, flat), flat, np.zeros_like(flat)])
        misfit = (weight * (errors - steep[..., None] * shape - low[..., None]) ** 2).sum(axis=-1)
        which = misfit.argmin(axis=0)
        is_better = misfit[which, rows] < best
        best = np.where(is_better, misfit[which, rows], best)
        dropped = steep[which, rows] * float(at[0] ** -bend - at[1] ** -bend)
        fall = np.where(is_better, dropped, fall)
    return fall


def _by_labels(standing: Standing, rules: RetrainRules, *, seed: int) -> list[Why]:
    bar = max(rules.least_labels, int(np.ceil(rules.share_of_training * standing.training_labels)))
    enough = standing.new_labels >= bar
    words = f"{standing.new_labels} labels since the newest model, {bar} are a reason"
    gain = expected_gain(standing.measured, more=standing.new_labels, seed=seed)
    if gain.value is None:
        words += f"; {gain.models} measured models are too few for a learning curve"
        return [Why(RetrainRule.LABELS, enough, words, standing.new_labels, bar, code=gain.code)]
    promised = gain.value >= rules.least_gain
    words += (
        f"; they should bring {gain.value:.4f} of average precision "
        f"({gain.low:.4f} to {gain.high:.4f}), {rules.least_gain:g} is the least"
    )
    return [
        Why(
            RetrainRule.LABELS,
            enough and promised,
            words,
            gain.value if enough else standing.new_labels,
            rules.least_gain if enough else bar,
            gain.low if enough else None,
            gain.high if enough else None,
        )
    ]


def _by_drift(standing: Standing, rules: RetrainRules) -> Why:
    bar = rules.windows_in_a_row
    told = [f"{subject} ({windows} of {bar} windows)" for subject, windows in standing.drifts]
    return Why(
        RetrainRule.DRIFT,
        any(windows >= bar for _, windows in standing.drifts),
        f"drift: {', '.join(told) or 'none'}",
        max((windows for _, windows in standing.drifts), default=0),
        bar,
    )


def _held_up(standing: Standing, rules: RetrainRules) -> list[Why]:
    none = standing.new_labels == 0 and standing.is_of_this_policy
    held = [Why(RetrainRule.NOTHING_NEW, none, f"{standing.new_labels} labels are new to it",
                standing.new_labels, 1)]  # fmt: skip
    moments = [one for one in (standing.trained_at, standing.last_fired_at) if one is not None]
    since = standing.now - max(moments)
    hours, bar = since.total_seconds() / 3600.0, rules.cool_down.total_seconds() / 3600.0
    words = f"{hours:.1f} hours since it was last trained or decided, {bar:g} are let pass"
    return [*held, Why(RetrainRule.COOL_DOWN, since < rules.cool_down, words, hours, bar)]


def _days(span: timedelta) -> float:
    return span.total_seconds() / 86_400.0
