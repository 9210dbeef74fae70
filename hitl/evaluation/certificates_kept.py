"""Would the challenger be given the certificates that the champion holds? A forecast.

It is none itself: nothing is issued, no attempt of any model is spent, and no threshold that is
found here decides anything. Certificates belong to a model (docs/certificates.md), so that a
promotion ends all of the champion's; the challenger is tried for its own once it has decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from hitl.evaluation.arrays import FloatArray
from hitl.evaluation.bands import Band, certify_band, confidence_of_attempt
from hitl.evaluation.errors import BadLevel
from hitl.evaluation.paired_rates import PromisedRate
from hitl.evaluation.thresholds import smallest_sample
from hitl.evaluation.verdict import Outcome, Reason


@dataclass(frozen=True, slots=True)
class Promise:
    """What the policy promises of one category, in one slice or in all ("", ""), and what of it
    the champion has certificates for: by rate, its threshold.

    `champion_scores`, `challenger_scores` and `truth` (n,) are of even draws from the audit that
    neither model was trained on: the labels that certificates rest on.
    """

    category: str
    slice_name: str
    slice_value: str
    precision: float | None
    recall: float | None
    confidence: float
    standing: dict[PromisedRate, float]
    champion_scores: FloatArray
    challenger_scores: FloatArray
    truth: FloatArray


def certificates_kept(
    promises: Sequence[Promise], *, look: int, starts: int = 1
) -> Iterator[Reason]:
    """One reason for each certificate that stands.

    - passed: on these labels the challenger has a threshold too, and it decides something.
    - failed: shown to be lost. Of no run of highest scores that is long enough to be certified on
      these labels could the precision be what is promised, each run tested at the same error.
    - undecided: neither; mostly, too few labels. A person may approve.

    The certificate will be tried on these labels too, so that a challenger which the gate lets
    through for its luck on them would be certified by the same luck. Hence looks are paid for,
    from an account of the gate's own: the k-th challenger judged beside one champion may err by
    6 / (pi k)^2 of what the policy allows. Of all challengers that cannot keep the promise, the
    chance that the gate lets one through by itself is then no more than the policy allows.

    Args:
        look: which challenger beside this champion it is, 1 for the first.
        starts: as for `certify_band`.

    Raises:
        BadLevel: `look` is not 1 or more.
    """
    if look < 1:
        raise BadLevel("look", look, "1 or more")
    for promise in promises:
        band = certify_band(
            promise.challenger_scores,
            promise.truth,
            precision=promise.precision,
            recall=promise.recall,
            confidence=confidence_of_attempt(promise.confidence, look),
            starts=starts,
        )
        for metric in sorted(promise.standing):
            yield _reason(promise, metric, band, look)


def _reason(promise: Promise, metric: PromisedRate, band: Band, look: int) -> Reason:
    at_least = promise.precision if metric == "precision" else promise.recall
    found = band.precision if metric == "precision" else band.recall
    value = band.block_from if metric == "precision" else band.allow_below
    alone = _share_alone(metric, promise.challenger_scores, value) if found else 0.0
    now = _share_alone(metric, promise.champion_scores, promise.standing[metric])
    labels = len(promise.truth)
    where = f" where {promise.slice_name} is {promise.slice_value}" if promise.slice_name else ""
    name = f"{metric} certificate of {promise.category}{where}"
    verb = "block" if metric == "precision" else "allow"
    outcome = Outcome.UNDECIDED
    if found and alone > 0.0:
        outcome = Outcome.PASSED
        side = "from" if metric == "precision" else "below"
        words = (
            f"would keep the {name}: {verb} {side} {value:.3f}, {alone:.1%} of {labels} even "
            f"draws alone, the champion {now:.1%}"
        )
    elif found:
        words = f"might lose the {name}: nothing of {labels} even draws lies below its threshold"
    elif metric == "precision" and at_least and _is_out_of_reach(promise, at_least, band):
        outcome = Outcome.FAILED
        words = (
            f"would lose the {name}: no run of its highest scores, of those that could be "
            f"certified on {labels} even draws, has a precision of {at_least:g}; "
            f"the champion decides {now:.1%} alone"
        )
    else:
        missing = next((str(one) for one in band.missing if one.metric == metric), "no threshold")
        words = f"might lose the {name}, by which the champion decides {now:.1%} alone: {missing}"
    return Reason(
        rule="certificate", outcome=outcome, category=promise.category,
        value=float(value) if found else None, low=None, high=None, bound=at_least,
        p_value=found.tail if found else None, n=labels, n_positive=int(promise.truth.sum()),
        words=f"{words} (a forecast at confidence {band.confidence:.6g} for challenger {look} of "
        "this champion, not a certificate)",
        metric=metric, slice_name=promise.slice_name, slice_value=promise.slice_value,
    )  # fmt: skip


def _share_alone(metric: PromisedRate, scores: FloatArray, threshold: float) -> float:
    if not len(scores):
        return 0.0
    alone = scores >= threshold if metric == "precision" else scores < threshold
    return float(np.mean(alone))


def _is_out_of_reach(promise: Promise, at_least: float, band: Band) -> bool:
    """Is every run of highest scores that could be certified shown to be less pure?

    That none is, is shown where each one is rejected: no correction for their number is needed
    (an intersection-union test, Berger 1982). How long a run has to be follows from the first
    attempt that the challenger's own certificate will have, whatever look this is.
    """
    order = np.argsort(-promise.challenger_scores, kind="stable")
    errors = np.cumsum(1.0 - promise.truth[order])
    shortest = smallest_sample(at_least, confidence_of_attempt(promise.confidence, 1))
    runs = np.arange(shortest, len(order) + 1)
    if not len(runs):
        return False
    tails: FloatArray = np.asarray(binom.sf(errors[runs - 1] - 1, runs, 1.0 - at_least))
    return bool((tails <= 1.0 - band.confidence).all())
