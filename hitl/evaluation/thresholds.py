"""Scores from which on a model may decide alone, each with a guarantee for finitely many labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from hitl.evaluation.arrays import FloatArray, IntArray, answers, floats, level, same_length
from hitl.evaluation.errors import BadArrays, BadLevel

MOST_CANDIDATES = 40


@dataclass(frozen=True, slots=True)
class Threshold:
    """A certified score: everything at or above `value` counts as flagged.

    `n` labels carried the last test, `n_errors` of them against the claim: not violating above
    the threshold (precision), or violating below it (recall). `tail` is the chance of seeing so
    few errors if the claim were false. `value` is -inf where recall can only be promised by
    looking at everything.
    """

    metric: Literal["precision", "recall"]
    value: float
    at_least: float
    confidence: float
    n: int
    n_errors: int
    tail: float

    def __str__(self) -> str:
        return (
            f"{self.metric} of at least {self.at_least:g} from score {self.value:.4g} on, with "
            f"confidence {self.confidence:g} (n {self.n}, errors {self.n_errors})"
        )


def certify_precision(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    at_least: float,
    confidence: float,
    starts: int = 1,
) -> Threshold | None:
    """The lowest score above which precision is certified; None: nothing may be decided alone.

    The chance that the returned threshold's true precision is below `at_least` is at most
    1 - confidence, provided that labels were drawn evenly at random from what the model scores
    (within the band that is tested), are independent, and were not used to train the model or
    to certify before.

    Candidates come from the scores alone and are tested strictest first; the first failure ends
    the walk, so that no correction for their number is needed. That also makes it blind beyond a
    dip at the very top; then use `starts` = 4 (each start at a quarter of the error).

    Args:
        scores: shape (n,), finite.
        truth: shape (n,): 1 violating, 0 not, NaN unknown (left out).

    Raises:
        BadArrays: shapes differ, or a score is not finite.
        BadLevel: a level is not between 0 and 1, or there is no start.

    Source: Learn then Test with fixed-sequence testing, Angelopoulos et al. (2021,
    arXiv 2110.01052); exact binomial tail in place of Hoeffding-Bentkus.
    """
    level("at_least", at_least)
    level("confidence", confidence)
    if starts < 1:
        raise BadLevel("starts", starts, "1 or more")
    ranked, wrong = _ranked(scores, truth)
    counts = _candidate_counts(ranked, least=smallest_sample(at_least, confidence))
    if len(counts) == 0:
        return None
    errors = np.cumsum(wrong)[counts - 1]
    tails: FloatArray = np.asarray(binom.cdf(errors, counts, 1.0 - at_least))
    allowed = (1.0 - confidence) / starts
    certified = -1
    for start in {int(one) for one in np.linspace(0, len(counts), starts, endpoint=False)}:
        passing = tails[start:] <= allowed
        run = len(passing) if passing.all() else int(np.argmin(passing))
        if run:
            certified = max(certified, start + run - 1)
    if certified < 0:
        return None
    return Threshold(
        metric="precision",
        value=float(ranked[counts[certified] - 1]),
        at_least=at_least,
        confidence=confidence,
        n=int(counts[certified]),
        n_errors=int(errors[certified]),
        tail=float(tails[certified]),
    )


def certify_recall(
    scores_of_positives: ArrayLike, *, at_least: float, confidence: float
) -> Threshold:
    """The highest score at or above which at least that share of violating items lies.

    The chance that the true recall is below `at_least` is at most 1 - confidence, provided that
    the violating items were drawn evenly at random: those found by asking about the uncertain
    ones lie near the boundary, and must not be used. Too few positives give -inf: look at all.

    Raises:
        BadArrays: a score is not finite.

    Source: an order statistic as a distribution-free tolerance limit (Wilks 1941).
    """
    level("at_least", at_least)
    level("confidence", confidence)
    ranked = np.sort(_finite("scores_of_positives", scores_of_positives))
    rank = recall_rank(len(ranked), at_least=at_least, confidence=confidence)
    return Threshold(
        metric="recall",
        value=float(ranked[rank - 1]) if rank else -math.inf,
        at_least=at_least,
        confidence=confidence,
        n=len(ranked),
        n_errors=max(rank - 1, 0),
        tail=float(binom.cdf(rank - 1, len(ranked), 1.0 - at_least)) if rank else 0.0,
    )


def smallest_sample(at_least: float, confidence: float) -> int:
    """How many labels without one error prove it."""
    return max(1, math.ceil(math.log(1.0 - confidence) / math.log(at_least) - 1e-9))


def recall_rank(positives: int, *, at_least: float, confidence: float) -> int:
    """The largest k for which the k-th smallest score is a valid threshold; 0 for none."""
    ranks = np.arange(1, positives + 1)
    valid = binom.cdf(ranks - 1, positives, 1.0 - at_least) <= 1.0 - confidence + 1e-12
    return int(np.count_nonzero(valid))


def _candidate_counts(ranked: FloatArray, *, least: int) -> IntArray:
    """How many of the top are tested at each step: nested, chosen by scores alone."""
    if len(ranked) < least:
        return np.array([], dtype=np.int64)
    wanted = np.linspace(least, len(ranked), min(MOST_CANDIDATES, len(ranked) - least + 1))
    at = ranked[wanted.astype(np.int64) - 1]
    # Equal scores are flagged together, so they are tested together.
    counts: IntArray = np.unique(np.searchsorted(-ranked, -at, side="right"))
    return counts


def _ranked(scores: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Scores from high to low, and whether each is an error (1) above a threshold."""
    found = _finite("scores", scores)
    violating = answers("truth", truth)
    same_length(len(found), truth=violating)
    known = ~np.isnan(violating)
    order = np.argsort(-found[known], kind="stable")
    return found[known][order], 1.0 - violating[known][order]


def _finite(name: str, scores: ArrayLike) -> FloatArray:
    found = floats(name, scores)
    if not np.isfinite(found).all():
        raise BadArrays(name, "holds a score that is not finite; score those items again")
    return found
