"""Which scores a model may decide alone, which go to a person, and what is missing for more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from hitl.evaluation.arrays import BoolArray, FloatArray, answers, floats, level, same_length
from hitl.evaluation.errors import BadArrays, BadLevel
from hitl.evaluation.thresholds import (
    Threshold,
    certify_precision,
    certify_recall,
    smallest_sample,
)

_MOST_LABELS = 1_000_000
_SHORTEST_RUN = 5  # fewer highest scores say nothing of how pure they are


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why an obligation has no threshold, and what would settle it.

    `more` labels of this kind: `even` draws from everything; `violating`, those of them that turn
    out to violate; `flagged`, even draws from what scores high. None: no number of them would, as
    long as labels say what they say now.
    """

    metric: Literal["precision", "recall"]
    kind: Literal["violating", "even", "flagged"]
    more: int | None
    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Band:
    """Below `allow_below` content is allowed, from `block_from` on it is blocked, each without a
    person; between them it goes to review, both ends as the policy writes them.

    `review_load` is the share of evenly drawn items that goes to review. A side without a
    certificate is at -inf or inf, and `missing` says why. `confidence` is that of each side alone.
    """

    allow_below: float
    block_from: float
    recall: Threshold | None
    precision: Threshold | None
    missing: tuple[Shortfall, ...]
    review_load: float
    confidence: float

    def __str__(self) -> str:
        return (
            f"allow below {self.allow_below:.4g}, block from {self.block_from:.4g}, "
            f"review {self.review_load:.1%}"
        )


def confidence_of_attempt(confidence: float, attempt: int) -> float:
    """What the k-th attempt has to be sure of, so that all attempts together err no more than one.

    It may err by 6 / (pi k)^2 of what one may; these sum to 1 over all k.

    Raises:
        BadLevel: the confidence is not in (0, 1), or the attempt not 1 or more.
    """
    level("confidence", confidence)
    if attempt < 1:
        raise BadLevel("attempt", attempt, "1 or more")
    return 1.0 - (1.0 - confidence) * 6.0 / (math.pi * attempt) ** 2


def thin(
    inclusion_probability: ArrayLike, uniform: ArrayLike, *, least: ArrayLike | None = None
) -> BoolArray:
    """Of items drawn with uneven chances, those of an even draw: shape (N,).

    Each is kept with chance c / its own, so that exact binomial tests hold for what is left. What
    has no chance (NaN) is not kept. With `least`, what the design gave to some items only is told
    from what it gave to all: items whose `least` is below c are left out whole, and c is chosen so
    that most are kept. Then the even draw is of the items that had a chance of c or more, such as
    those that waited for long enough; which they are has nothing to do with any answer.

    Args:
        inclusion_probability: shape (N,), above 0 or NaN: one over what each counts for.
        uniform: shape (N,), in [0, 1): a number of the item's own, independent of what was said
            of it, and the same each time (a keyed hash).
        least: shape (N,), the least chance by the design of any item that is as old as each.
            Default: the smallest of all that is there, for all.

    Raises:
        BadArrays: shapes differ, or impossible numbers.
    """
    chance, given = (
        floats("inclusion_probability", inclusion_probability),
        floats("uniform", uniform),
    )
    same_length(len(chance), uniform=given)
    known = ~np.isnan(chance)
    if not (chance[known] > 0.0).all():
        raise BadArrays("inclusion_probability", "holds a number that is not above 0")
    if not ((given >= 0.0) & (given < 1.0)).all():
        raise BadArrays("uniform", "holds a number outside [0, 1)")
    if not known.any():
        return known
    if least is None:
        floor: FloatArray = np.full(len(chance), chance[known].min())
    else:
        floor = floats("least", least)
        same_length(len(chance), least=floor)
        if not (floor[known] > 0.0).all():
            raise BadArrays("least", "holds a number that is not above 0")
    own: FloatArray = np.where(known, chance, np.inf)
    floor = np.asarray(np.where(known, np.minimum(floor, own), 0.0), dtype=np.float64)
    order = np.flatnonzero(known)[np.argsort(floor[known], kind="stable")]
    levels, first = np.unique(floor[order], return_index=True)
    from_here_on = np.cumsum(1.0 / own[order][::-1])[::-1]
    level_chosen = levels[int(np.argmax(levels * from_here_on[first]))]
    kept: BoolArray = (floor >= level_chosen) & (given < level_chosen / own)
    return kept


def certify_band(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    precision: float | None,
    recall: float | None,
    confidence: float,
    starts: int = 1,
    flagged: tuple[ArrayLike, ArrayLike] | None = None,
) -> Band:
    """The band that sends the fewest items to review while both obligations hold.

    With both obligations each may err by half, so that together they hold with `confidence`.
    Where the thresholds cross, everything between them may be decided either way; it is blocked
    only from `block_from` on, and what lies below is allowed.

    Args:
        scores: shape (N,), of items drawn evenly at random from all that the model scores.
        truth: shape (N,): 1 violating, 0 not, NaN unknown (left out).
        precision: of what is blocked, at least this share must violate; None: nothing is blocked
            without a person.
        recall: of what violates, at least this share must be reviewed or blocked; None: nothing is
            allowed without a person.
        starts: see `certify_precision`.
        flagged: scores and truth, shape (M,) each, of items drawn evenly from all that score as
            high as the lowest of some threshold; precision is then tested on these, and nothing
            below that threshold is blocked. For where what scores high is drawn more often.

    Raises:
        BadArrays, BadLevel: impossible numbers.
    """
    found, violating = floats("scores", scores), answers("truth", truth)
    same_length(len(found), truth=violating)
    level("confidence", confidence)
    known = ~np.isnan(violating)
    found, violating = found[known], violating[known]
    high, high_violating = found, violating
    if flagged is not None:
        high, high_violating = floats("flagged", flagged[0]), answers("flagged", flagged[1])
        same_length(len(high), flagged=high_violating)
        known = ~np.isnan(high_violating)
        high, high_violating = high[known], high_violating[known]
    both = precision is not None and recall is not None
    each = 1.0 - (1.0 - confidence) / 2.0 if both else confidence
    block = allow = None
    missing: list[Shortfall] = []
    if precision is not None:
        block = certify_precision(
            high, high_violating, at_least=precision, confidence=each, starts=starts
        )
        if block is None:
            kind: Literal["even", "flagged"] = "even" if flagged is None else "flagged"
            missing.append(_without_precision(high, high_violating, precision, each, kind))
    if recall is not None:
        allow = certify_recall(found[violating == 1.0], at_least=recall, confidence=each)
        if not math.isfinite(allow.value):
            missing.append(_without_recall(int(violating.sum()), recall, each))
            allow = None
    block_from = block.value if block else math.inf
    # Whatever is blocked counts as found: there is nothing to allow above it.
    allow_below = min(allow.value, block_from) if allow else -math.inf
    reviewed = (found >= allow_below) & (found < block_from)
    load = float(reviewed.mean()) if len(found) else 1.0
    return Band(allow_below, block_from, allow, block, tuple(missing), load, each)


def labels_to_certify(errors: int, n: int, *, at_least: float, confidence: float) -> int | None:
    """How many labels in all would certify if errors stay as frequent; None: none would."""
    if errors >= (1.0 - at_least) * n:
        return None
    low, high = n, n
    while not _passes(errors / n, high, at_least, confidence):
        if high >= _MOST_LABELS:
            return None
        low, high = high, high * 2
    while low + 1 < high:
        middle = (low + high) // 2
        if _passes(errors / n, middle, at_least, confidence):
            high = middle
        else:
            low = middle
    return high


def _passes(rate: float, n: int, at_least: float, confidence: float) -> bool:
    return bool(binom.cdf(math.ceil(rate * n), n, 1.0 - at_least) <= 1.0 - confidence)


def _without_precision(
    scores: FloatArray,
    violating: FloatArray,
    at_least: float,
    confidence: float,
    kind: Literal["even", "flagged"],
) -> Shortfall:
    draws_of = "even draws" if kind == "even" else "even draws of what is flagged"
    least = smallest_sample(at_least, confidence)
    n = len(scores)
    if n < least:
        words = (
            f"precision of {at_least:g} needs {least} labels among the highest scores, and there "
            f"are {n} {'in all' if kind == 'even' else 'of what is flagged'}: {least - n} more"
        )
        return Shortfall("precision", kind, least - n, words)
    # Of every run of highest scores: how many even draws would fill it well enough?
    errors = np.cumsum(1.0 - violating[np.argsort(-scores, kind="stable")]).astype(int)
    runs = np.unique(np.geomspace(_SHORTEST_RUN, n, 60).astype(int))
    draws = [
        (needed * n / k, k)
        for k in runs.tolist()
        if (
            needed := labels_to_certify(
                int(errors[k - 1]), k, at_least=at_least, confidence=confidence
            )
        )
    ]
    if not draws:
        top = min(n, least)
        words = (
            f"{errors[top - 1]} of the {top} highest scores do not violate, and no fewer of them "
            f"are pure enough for a precision of {at_least:g}: the model does not put what "
            "violates on top, and must learn more before more audit labels would help"
        )
        return Shortfall("precision", kind, None, words)
    wanted, run = min(draws)
    more = max(math.ceil(wanted) - n, 1)
    words = (
        f"of {n} labels the {run} highest scores are pure enough for a precision of {at_least:g}, "
        f"too few to be sure; about {n + more} {draws_of} are needed: {more} more"
    )
    return Shortfall("precision", kind, more, words)


def _without_recall(positives: int, at_least: float, confidence: float) -> Shortfall:
    least = smallest_sample(at_least, confidence)
    words = (
        f"recall of {at_least:g} needs {least} violating items from even draws, and there are "
        f"{positives}: {least - positives} more"
    )
    return Shortfall("recall", "violating", least - positives, words)
