"""Several linear heads become one: shares are weighed on rows that the heads never saw."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hitl.training.calibration import Calibration, Float64, calibrate
from hitl.training.heads import Head
from hitl.training.measure import log_loss
from hitl.training.recipe import TrainingRecipe

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mixed:
    """The heads as one, and how it scores the rows its fold twins never saw."""

    weights: Float32  # (D, C)
    intercepts: Float32  # (C,)
    unseen_logits: Float64  # (N, C), NaN where nothing unseen is to be had
    calibration: Calibration
    ratio_share: float
    prior_shares: tuple[float, ...]  # by category
    prior_scale: Float32  # (C,), of the prior's weights


class _Labels(NamedTuple):
    """What the shares are weighed on: targets and weights (N, C), weight 0 = unknown."""

    targets: Float64
    weights: Float64
    pooled_below: int

    def calibrated(self, logits: Float64) -> tuple[Calibration, Float64]:
        """The calibration of these logits, and each category's log loss under it."""
        found = calibrate(logits, self.targets, self.weights, pooled_below=self.pooled_below)
        p = found.probabilities(logits)
        known = np.isfinite(logits) & (self.weights > 0)
        losses = [
            log_loss(p[on, j], self.targets[on, j], self.weights[on, j]) * self.weights[on, j].sum()
            for j, on in enumerate(known.T)
        ]
        return found, np.array(losses)

    def tell_alone(self, logits: Float64) -> NDArray[np.bool_]:
        """(C,): categories with enough unseen rows of both kinds to be judged on their own."""
        on = np.isfinite(logits) & (self.weights > 0)
        positive = (on & (self.targets > 0.5)).sum(axis=0)
        enough: NDArray[np.bool_] = (
            np.minimum(positive, on.sum(axis=0) - positive) >= self.pooled_below
        )
        return enough


@dataclass(frozen=True, slots=True)
class _Part:
    """A linear head as the mix sees it. `spread` (C,): the standard deviation of its logits."""

    weights: Float32
    intercepts: Float32
    unseen: Float64
    spread: Float64

    @classmethod
    def of(cls, head: Head, rows: sparse.csr_matrix) -> _Part:
        return cls(
            head.weights,
            head.intercepts,
            head.unseen_logits,
            _spread(head.unseen_logits, rows @ head.weights),
        )

    def with_share(self, other: _Part, share: float) -> _Part:
        """`share` of another head over the same features."""
        k = _scales(share, self.spread, other.spread)
        unseen = k[0] * self.unseen + k[1] * other.unseen
        mine, theirs = k.astype(np.float32)
        return _Part(
            mine * self.weights + theirs * other.weights,
            mine * self.intercepts + theirs * other.intercepts,
            unseen,
            _spread(unseen, unseen),
        )


@dataclass(frozen=True, slots=True)
class _Said:
    """What the prior says of the rows. `spread` (C,): the standard deviation of its logits."""

    logits: Float64
    spread: Float64

    def beside(self, part: _Part, share: Float64) -> tuple[Float64, Float64]:
        """The scales of both, and their logits together, with `share` (C,) of the prior."""
        k = _scales(share, part.spread, self.spread)
        return k, k[0] * part.unseen + np.where(k[1] > 0, k[1] * self.logits, 0.0)


def mix(
    heads: tuple[Head, Head],
    rows: sparse.csr_matrix,
    targets: Float64,
    weights: Float64,
    recipe: TrainingRecipe,
    said: Float64 | None = None,
) -> Mixed:
    """The shares of the ratio head, and of the prior's, with the least log loss on unseen rows.

    The ratio head has one share for all categories, the prior's one in each: an earlier model may
    know one rule well and another not at all.

    Args:
        said: (N, C), the prior's logits of the rows, NaN in categories that it does not know. It
            saw no label, so every row is unseen to it.
    """
    labels = _Labels(targets, weights, recipe.pooled_below)
    before = None if said is None else _Said(said, _spread(said, said))
    plain, ratio = (_Part.of(head, rows) for head in heads)
    tried = []
    for ratio_share in recipe.ratio_shares:
        part = plain.with_share(ratio, ratio_share)
        share, k = _no_prior(targets.shape[1])
        unseen = part.unseen
        if before is not None:
            share = _prior_share(part, before, labels, recipe)
            k, unseen = before.beside(part, share)
        calibration, losses = labels.calibrated(unseen)
        mine, theirs = k.astype(np.float32)
        mixed = Mixed(
            mine * part.weights,
            mine * part.intercepts,
            unseen,
            calibration,
            ratio_share,
            tuple(share.tolist()),
            theirs,
        )
        tried.append((losses.sum(), mixed))
    return min(tried, key=itemgetter(0))[1]


def _no_prior(categories: int) -> tuple[Float64, Float64]:
    return np.zeros(categories), np.stack([np.ones(categories), np.zeros(categories)])


def _prior_share(part: _Part, before: _Said, labels: _Labels, recipe: TrainingRecipe) -> Float64:
    """(C,): the prior's share of least log loss in each category that it knows.

    Categories with too few labels to tell alone are judged together. Where the labels are of one
    kind, so that the heads say the same of everything, the prior speaks alone.
    """
    knows = ~np.isnan(before.logits).any(axis=0)
    unseen = np.isfinite(part.unseen).any(axis=0)
    constant = knows & ~unseen & ~part.weights.any(axis=0)
    weighable = knows & unseen
    tried = np.array(recipe.prior_shares)
    losses = np.stack(
        [labels.calibrated(before.beside(part, share * weighable)[1])[1] for share in tried]
    )
    best = tried[losses.argmin(axis=0)]
    together = weighable & ~labels.tell_alone(part.unseen)
    if together.any():
        best[together] = tried[losses[:, together].sum(axis=1).argmin()]
    share: Float64 = np.where(weighable, best, 0.0) + constant
    return share


def _scales(share: float | Float64, spread: Float64, other: Float64) -> Float64:
    """(2, C): by what one's logits and the other's are multiplied for `share` of the other.
    Standardised ones are averaged; scaled back, the mean is again a log-odds."""
    k = np.stack([(1.0 - share) / spread, share / other])
    scales: Float64 = k / k.sum(axis=0)
    return scales


def _spread(unseen: Float64, otherwise: Float64) -> Float64:
    """The standard deviation of each category's logits; 1 for a constant one."""
    held = np.isfinite(unseen).any(axis=0)
    own = np.where(np.isfinite(otherwise), otherwise, 0.0).std(axis=0)
    spread = np.where(held, np.nanstd(np.where(held, unseen, 0.0), axis=0), own)
    return np.where(spread > 1e-6, spread, 1.0)
