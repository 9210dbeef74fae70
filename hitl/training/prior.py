"""What an earlier model decided on content that nobody labelled, learned as one more head.

A few hundred labels cannot know what a production model learned from many thousands; its logged
decisions do. They teach a linear model of their own, which `fit` weighs against what the labels
say, category by category, on labels that it never saw: one that is no good gets the weight 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitl.training.errors import NothingToLearn
from hitl.training.features import Vocabulary, learn_vocabulary
from hitl.training.recipe import TrainingRecipe
from hitl.training.solver import COLUMNS_AT_ONCE, Design, FloatArray, solve


@dataclass(frozen=True, slots=True)
class Prior:
    """The earlier model as a linear one over its own vocabulary. C is the recipe's categories.

    `knows` (C,) is False for a category that it never decided on, whose column is zeros. It was
    learned from `items` items.
    """

    vocabulary: Vocabulary
    items: int
    weights: FloatArray  # (D, C)
    intercepts: FloatArray  # (C,)
    knows: NDArray[np.bool_]
    sha256: str

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Shape (N, C), log-odds of what the earlier model would say; NaN where it says nothing."""
        rows = self.vocabulary.rows(texts)
        found: NDArray[np.float64] = (rows @ self.weights + self.intercepts).astype(np.float64)
        return np.where(self.knows, found, np.nan)


def learn_prior(
    texts: Sequence[str], probabilities: NDArray[np.float64], recipe: TrainingRecipe
) -> Prior:
    """Learn to say what the earlier model said: logistic regression on its probabilities.

    Args:
        texts: N of them; the same ones in another order give other bytes.
        probabilities: (N, C) by the recipe's categories; NaN where it did not say.

    Raises:
        NothingToLearn: there are no texts.

    Source: Hinton, Vinyals and Dean (2015), "Distilling the Knowledge in a Neural Network", with
    soft targets for one linear model.
    """
    if not len(texts):
        raise NothingToLearn(examples=0, categories=len(recipe.categories))
    vocabulary, rows = learn_vocabulary(texts, recipe.features)
    known = ~np.isnan(probabilities)
    targets = np.where(known, probabilities, 0.0).astype(np.float32)
    said = known.sum(axis=0)
    mean = targets.sum(axis=0) / np.maximum(said, 1)
    knows = (said > 0) & (mean > 0) & (mean < 1)
    weights = np.zeros((len(vocabulary), len(recipe.categories)), dtype=np.float32)
    intercepts = np.zeros(len(recipe.categories), dtype=np.float32)
    design = Design.of(rows)
    columns = np.flatnonzero(knows)
    for start in range(0, len(columns), COLUMNS_AT_ONCE):
        block = columns[start : start + COLUMNS_AT_ONCE]
        solution = solve(
            design,
            targets=targets[:, block],
            weights=known[:, block].astype(np.float32),
            c=recipe.prior_c,
            tolerance=np.full(len(block), recipe.prior_tolerance, dtype=np.float32),
            max_steps=recipe.max_steps,
        )
        weights[:, block], intercepts[block] = solution.weights, solution.intercepts
    sha256 = _fingerprint(texts, probabilities)
    return Prior(vocabulary, len(texts), weights, intercepts, knows, sha256)


def _fingerprint(texts: Sequence[str], probabilities: NDArray[np.float64]) -> str:
    sha256 = hashlib.sha256()
    for text, row in zip(texts, probabilities.tolist(), strict=True):
        body = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        sha256.update(json.dumps([body, [None if p != p else p for p in row]]).encode())
    return sha256.hexdigest()
