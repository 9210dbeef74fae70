"""Several linear heads become one: shares are weighed on rows that the heads never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hitl.training.calibration import Calibration, Float64, calibrate
from hitl.training.heads import Head
from hitl.training.measure import log_loss
from hitl.training.prior import Prior
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

    def with_share(self, other: _Part, share: Float64) -> _Part:
        """`share` (C,) of the other. Standardised logits are averaged; scaled back, the mean is
        again a log-odds."""
        k = np.stack([1.0 - share, share]) / np.stack([self.spread, other.spread])
        k /= k.sum(axis=0)
        unseen = k[0] * self.unseen + np.where(k[1] > 0, k[1] * other.unseen, 0.0)
        mine, theirs = k.astype(np.float32)
        return _Part(
            mine * self.weights + theirs * other.weights,
            mine * self.intercepts + theirs * other.intercepts,
            unseen,
            _spread(unseen, unseen),
        )


def mix(
    heads: tuple[Head, Head],
    rows: sparse.csr_matrix,
    targets: Float64,
    weights: Float64,
    recipe: TrainingRecipe,
    prior: Prior | None = None,
) -> Mixed:
    """The shares of the ratio head, and of the prior's, with the least log loss on unseen rows.

    The ratio head has one share for all categories, the prior's one in each: an earlier model may
    know one rule well and another not at all.
    """
    labels = _Labels(targets, weights, recipe.pooled_below)
    plain, ratio = (_Part.of(head, rows) for head in heads)
    ratios = (np.full(targets.shape[1], share) for share in recipe.ratio_shares)
    mixes = [plain.with_share(ratio, share) for share in ratios]
    shares = [(0.0,) * targets.shape[1]] * len(mixes)
    if prior is not None:
        before = _prior_part(prior, rows)
        weighed = [_weigh_in(one, before, prior.knows, labels, recipe) for one in mixes]
        mixes, shares = [one[0] for one in weighed], [one[1] for one in weighed]
    found = [labels.calibrated(one.unseen) for one in mixes]
    best = int(np.argmin([losses.sum() for _, losses in found]))
    return Mixed(
        mixes[best].weights,
        mixes[best].intercepts,
        mixes[best].unseen,
        found[best][0],
        recipe.ratio_shares[best],
        shares[best],
    )


def _prior_part(prior: Prior, rows: sparse.csr_matrix) -> _Part:
    logits = prior.logits(rows)  # it saw no label, so every labelled row is unseen to it
    return _Part(prior.weights, prior.intercepts, logits, _spread(logits, logits))


def _weigh_in(
    mixed: _Part,
    before: _Part,
    knows: NDArray[np.bool_],
    labels: _Labels,
    recipe: TrainingRecipe,
) -> tuple[_Part, tuple[float, ...]]:
    """The mix with a share of the earlier model in each category that it knows.

    Categories with too few labels to tell alone are judged together. Where the labels are of one
    kind, so that the mix says the same of everything, the earlier model speaks alone.
    """
    unseen = np.isfinite(mixed.unseen).any(axis=0)
    constant = knows & ~unseen & ~mixed.weights.any(axis=0)
    weighable = knows & unseen
    tried = np.array(recipe.prior_shares)
    losses = np.stack(
        [
            labels.calibrated(mixed.with_share(before, share * weighable).unseen)[1]
            for share in tried
        ]
    )
    best = tried[losses.argmin(axis=0)]
    together = weighable & ~labels.tell_alone(mixed.unseen)
    if together.any():
        best[together] = tried[losses[:, together].sum(axis=1).argmin()]
    share = np.where(weighable, best, 0.0) + constant
    return mixed.with_share(before, share), tuple(share.tolist())


def _spread(unseen: Float64, otherwise: Float64) -> Float64:
    """The standard deviation of each category's logits; 1 for a constant one."""
    held = np.isfinite(unseen).any(axis=0)
    own = np.where(np.isfinite(otherwise), otherwise, 0.0).std(axis=0)
    spread = np.where(held, np.nanstd(np.where(held, unseen, 0.0), axis=0), own)
    return np.where(spread > 1e-6, spread, 1.0)
