"""The two linear heads: plain TF-IDF, and TF-IDF scaled by how telling each n-gram is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hitl.training.recipe import TrainingRecipe
from hitl.training.solver import COLUMNS_AT_ONCE, Design, FloatArray, solve


@dataclass(frozen=True, slots=True)
class Head:
    """A head fitted on every example, and what its fold twins say of the examples they never saw.

    `unseen_logits` (N, C) is NaN where no twin could be fitted or the fold was not held out.
    """

    weights: FloatArray  # (D, C)
    intercepts: FloatArray  # (C,)
    unseen_logits: NDArray[np.float64]


def assign_folds(group_ids: Sequence[str], *, folds: int, seed: int) -> NDArray[np.int64]:
    """Shape (N,): each row's fold. Rows of one group share a fold; folds hold equally many groups.

    Groups are dealt out in the order of a hash, so a row's place in the input does not matter.
    """
    place = {
        group: hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=8).digest()
        for group in set(group_ids)
    }
    dealt = {g: i % folds for i, g in enumerate(sorted(place, key=lambda g: (place[g], g)))}
    return np.array([dealt[group] for group in group_ids], dtype=np.int64)


def fit_heads(
    rows: sparse.csr_matrix,
    targets: FloatArray,
    weights: FloatArray,
    folds: NDArray[np.int64],
    recipe: TrainingRecipe,
) -> tuple[Head, Head]:
    """The plain head and the ratio head. `targets` and `weights` are (N, C), weight 0 = unknown.

    A category without both a positive and a negative gets zero weights and its smoothed log-odds.
    """
    n, c = targets.shape
    # Two numbers a category are calibrated, so a few thousand unseen rows are plenty: of many
    # examples only the first few folds are held out.
    held_out = range(min(recipe.folds, -(-recipe.folds * recipe.unseen_rows // n)))
    seen = [np.ones(n, dtype=bool), *(folds != fold for fold in held_out)]
    wide_targets = np.tile(targets, len(seen))
    wide_weights = np.concatenate([weights * s[:, None] for s in seen], axis=1)
    positive = (wide_weights * wide_targets).sum(axis=0)
    negative = wide_weights.sum(axis=0) - positive
    solvable = np.flatnonzero((positive > 0) & (negative > 0))
    tolerance = np.full(c * len(seen), recipe.fold_tolerance, dtype=np.float32)
    tolerance[:c] = recipe.tolerance

    design, presence = Design.of(rows), _presence(rows)
    prior = np.log((positive[:c] + 0.5) / (negative[:c] + 0.5)).astype(np.float32)
    heads = tuple(
        Head(np.zeros((rows.shape[1], c), np.float32), prior.copy(), np.full((n, c), np.nan))
        for _ in ("plain", "ratio")
    )
    for start in range(0, len(solvable), COLUMNS_AT_ONCE):
        block = solvable[start : start + COLUMNS_AT_ONCE]
        y, s = wide_targets[:, block], wide_weights[:, block]
        scales = (None, log_count_ratios(presence, y, s))
        for head, penalty, scale in zip(
            heads, (recipe.plain_c, recipe.ratio_c), scales, strict=True
        ):
            solution = solve(
                design,
                targets=y,
                weights=s,
                c=penalty,
                scale=scale,
                tolerance=tolerance[block],
                max_steps=recipe.max_steps,
            )
            own = block < c
            head.weights[:, block[own]] = solution.weights[:, own]
            head.intercepts[block[own]] = solution.intercepts[own]
            for fold in held_out:
                mine = block // c == fold + 1
                at = np.flatnonzero(folds == fold)
                logits = rows[at] @ solution.weights[:, mine] + solution.intercepts[mine]
                head.unseen_logits[np.ix_(at, block[mine] % c)] = logits
    return heads[0], heads[1]


def _presence(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Shape (D, N): 1 where the row has the feature."""
    present = sparse.csr_matrix((np.ones_like(rows.data), rows.indices, rows.indptr), rows.shape)
    columns: sparse.csr_matrix = present.T.tocsr()
    return columns


def log_count_ratios(
    presence: sparse.csr_matrix, targets: FloatArray, weights: FloatArray
) -> FloatArray:
    """Shape (D, M): |log ratio| of each feature's share among positives and among negatives.

    `presence` is (D, N), 1 where a row has the feature.

    Source: Wang and Manning (2012), "Baselines and Bigrams", on presence, add-one smoothed. We
    scale by its absolute value, which leaves the sign to the regression.
    """
    positive = 1.0 + presence @ (weights * targets)
    negative = 1.0 + presence @ (weights * (1.0 - targets))
    ratio = np.log(positive / positive.sum(axis=0)) - np.log(negative / negative.sum(axis=0))
    strength: FloatArray = np.abs(ratio).astype(np.float32)
    return strength
