"""Is it time to train anew? From counts, alarms and earlier models to a decision with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
from scipy.optimize import nnls

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


@dataclass(frozen=True, slots=True)
class Standing:
    """How things are. `trained_at` None: there is no model yet.

    `new_labels` came since the newest model's snapshot; `training_labels` are in it.
    `withdrawn` certificates and `drifting` subjects are of alarms that stand and that nobody has
    taken note of; a subject drifts that was above its bar in the recipe's number of windows.
    `last_fired_at`: when training was decided last.
    """

    now: datetime
    new_labels: int
    trained_at: datetime | None = None
    training_labels: int = 0
    is_of_this_policy: bool = True
    withdrawn: Sequence[str] = ()
    drifting: Sequence[str] = ()
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
        first = Why(
            RetrainRule.FIRST_MODEL, enough, words, standing.new_labels, rules.first_labels
        )
        return RetrainDecision(enough, (first,))
    age = standing.now - standing.trained_at
    reasons = [
        *_by_labels(standing, rules, seed=seed),
        _listed(RetrainRule.CERTIFICATE, standing.withdrawn, "certificates withdrawn"),
        _listed(RetrainRule.DRIFT, standing.drifting, "drift that lasts"),
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
    return RetrainDecision(
        speaks and not any(one.fired for one in held), (*reasons, *held)
    )


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
    falls = [_fall(sizes, one, spreads, at) for one in redrawn]
    low, high = np.quantile(falls, (0.1, 0.9))
    return Expected(len(newest), _fall(sizes, errors, spreads, at), float(low), float(high))


def _fall(sizes: FloatArray, errors: FloatArray, spreads: FloatArray, at: FloatArray) -> float:
    """The best curve's fall between two sizes; of all bends the one that fits best."""
    found = []
    for bend in _BENDS:
        shape = np.stack([sizes**-bend, np.ones_like(sizes)], axis=1) / spreads[:, None]
        (a, _), misfit = nnls(shape, errors / spreads)
        found.append((misfit, a * float(at[0] ** -bend - at[1] ** -bend)))
    return min(found)[1]


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


def _listed(rule: RetrainRule, subjects: Sequence[str], what: str) -> Why:
    words = f"{what}: {', '.join(subjects)}" if subjects else f"no {what}"
    return Why(rule, bool(subjects), words, len(subjects), 1)


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
