"""Has what comes in changed? Scores, shares of categories, and places in the embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from hitl.evaluation.arrays import BoolArray, FloatArray, floats, level
from hitl.evaluation.errors import BadArrays, BadLevel

PSI_WORTH_A_LOOK = 0.1
"""Below this a shift is too small to matter, however sure it is."""

_AT_ONCE = 500  # permutations whose memberships are held as numbers


@dataclass(frozen=True, slots=True)
class Stability:
    """A population stability index, and what chance alone would exceed once in twenty."""

    psi: float
    limit: float

    @property
    def has_moved(self) -> bool:
        """Surely, and by enough to matter."""
        return self.psi > max(self.limit, PSI_WORTH_A_LOOK)


def stability(reference: ArrayLike, now: ArrayLike, *, alpha: float = 0.05) -> Stability:
    """How far the shares of bins have moved: sum of (p - q) log(p / q).

    The usual rule of .1 fires on a hundred items without any drift two times in five. Without
    drift, PSI is about (1/n + 1/m) times a chi-squared with one degree less than there are bins,
    which says how much is luck.

    Args:
        reference: shape (B,), counts a bin then.
        now: shape (B,), counts a bin now. An empty bin counts as half an item.

    Raises:
        BadArrays: shapes differ, or there is nothing in one of them.

    Source: Yurdakul (2018) for its distribution.
    """
    level("alpha", alpha)
    then, late = _counts("reference", reference), _counts("now", now)
    if then.shape != late.shape or len(then) < 2:
        raise BadArrays("now", f"has {len(late)} bins, the reference {len(then)}; two at least")
    p, q = (_shares(one) for one in (then, late))
    limit = (1.0 / then.sum() + 1.0 / late.sum()) * float(chi2.ppf(1.0 - alpha, len(then) - 1))
    return Stability(float(((p - q) * np.log(p / q)).sum()), limit)


def shifted_shares(confusion: ArrayLike, predicted: ArrayLike) -> FloatArray:
    """How much more or less frequent each class is now, shape (K,): 1 for no change.

    True where only the frequencies moved and each class still looks as it did (label shift).

    Args:
        confusion: shape (K, K), joint shares of the reference: [predicted][true].
        predicted: shape (K,), shares of the predicted classes now.

    Raises:
        BadArrays: shapes differ, or the predictions do not tell the classes apart.

    Source: Lipton, Wang and Smola (2018), black-box shift estimation.
    """
    joint = floats("confusion", confusion, dimensions=2)
    shares = floats("predicted", predicted)
    if joint.shape != (len(shares), len(shares)):
        raise BadArrays("confusion", f"has shape {joint.shape} for {len(shares)} classes")
    if np.linalg.matrix_rank(joint, tol=1e-6) < len(shares):
        raise BadArrays("confusion", "does not tell the classes apart; label more of the rarer one")
    return np.asarray(np.linalg.solve(joint, shares), dtype=np.float64)


class TwoSets(NamedTuple):
    """How far two sets of embeddings lie apart, and how often chance alone puts them so far."""

    distance: float
    p_value: float


def two_sets(
    reference: ArrayLike, now: ArrayLike, *, seed: int, permutations: int = 500
) -> TwoSets:
    """Do two sets of embeddings come from one place? Maximum mean discrepancy, by permutation.

    Exact for exchangeable items: without drift, p is at most alpha with chance alpha. Cost is the
    square of the rows: pass at most a few thousand, drawn at random.

    Args:
        reference: shape (N, D).
        now: shape (M, D).

    Raises:
        BadArrays: another number of columns, fewer than two rows, or NaN.

    Source: Gretton et al. (2012), unbiased statistic with a Gaussian kernel of the median distance.
    """
    if permutations < 1:
        raise BadLevel("permutations", permutations, "1 or more")
    then, late = (floats(name, one, dimensions=2) for name, one in
                  (("reference", reference), ("now", now)))  # fmt: skip
    if then.shape[1] != late.shape[1] or min(len(then), len(late)) < 2:
        raise BadArrays("now", f"has shape {late.shape}, the reference {then.shape}")
    both = np.concatenate([then, late])
    if not np.isfinite(both).all():
        raise BadArrays("now", "or the reference holds a number that is not finite")
    kernel = _kernel(both)
    rng = np.random.default_rng(seed)
    # Which rows belong to the first set: as they came, and shuffled.
    first = np.zeros((permutations + 1, len(both)), dtype=np.bool_)
    first[0, : len(then)] = True
    for row in first[1:]:
        row[rng.permutation(len(both))[: len(then)]] = True
    distances = np.concatenate(
        [
            _discrepancies(kernel, first[at : at + _AT_ONCE], len(then), len(late))
            for at in range(0, len(first), _AT_ONCE)
        ]
    )
    beaten = int(np.count_nonzero(distances[1:] >= distances[0] - 1e-12))
    return TwoSets(float(distances[0]), (1 + beaten) / (1 + permutations))


def _kernel(rows: FloatArray) -> FloatArray:
    squares = (rows**2).sum(axis=1)
    apart = np.maximum(squares[:, None] + squares - 2.0 * rows @ rows.T, 0.0)
    above = apart[np.triu_indices(len(rows), 1)]
    middle = float(np.median(above)) or 1.0
    kernel: FloatArray = np.exp(-apart / middle)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _discrepancies(kernel: FloatArray, rows: BoolArray, n: int, m: int) -> FloatArray:
    """The statistic of each row of memberships, in three products."""
    first = rows.astype(np.float64)
    toward = first @ kernel
    within_first = (toward * first).sum(axis=1)
    across = (toward * (1.0 - first)).sum(axis=1)
    within_second = kernel.sum() - within_first - 2.0 * across
    found: FloatArray = (
        within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - 2.0 * across / (n * m)
    )
    return found


def _counts(name: str, values: ArrayLike) -> FloatArray:
    found = floats(name, values)
    if not (np.isfinite(found).all() and (found >= 0.0).all() and found.sum() > 0.0):
        raise BadArrays(name, "needs counts of 0 or more, not all of them 0")
    return found


def _shares(counts: FloatArray) -> FloatArray:
    filled: FloatArray = np.maximum(counts, 0.5)
    filled /= filled.sum()
    return filled
