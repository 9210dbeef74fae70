"""Audited decisions as values: what `read_judged` gives, without a database."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from hitl.evaluation.store import Judged
from tests.builders import NOON


def make_judged(
    probabilities: np.ndarray, truth: np.ndarray, *, chance: float = 0.1, language: str = "en"
) -> Judged:
    """N items answered one a minute; arrays of shape (N, C)."""
    n = len(truth)
    return Judged(
        item_ids=np.array([f"i{k}" for k in range(n)], dtype=object),
        truth=np.asarray(truth, dtype=np.float64),
        probabilities=np.asarray(probabilities, dtype=np.float64),
        inclusion_probability=np.full(n, chance),
        variance_weight=np.full(n, (1.0 - chance) / chance**2),
        least_chance=np.full(n, chance),
        evenness=np.ones(n),
        least_flagged=np.full(np.shape(probabilities), chance),
        evenness_flagged=np.ones(np.shape(probabilities)),
        language=np.full(n, language, dtype=object),
        surface=np.full(n, "posts", dtype=object),
        stands_for=np.ones(n),
        answered_at=np.array([NOON + timedelta(minutes=k) for k in range(n)], dtype=object),
        largest_weight=1.0 / chance,
        market=np.full(n, "unknown", dtype=object),
        views=np.full(n, np.nan),
        largest_flagged=np.full(np.shape(probabilities)[1], 1.0 / chance),
        flagged_from=np.full(np.shape(probabilities)[1], 0.5),
    )


def clear_cut(n: int) -> Judged:
    """Two categories: a third violates the first and gets .9, the rest .1; of the second a few."""
    first = np.arange(n) % 3 == 0
    second = np.arange(n) < 3
    return make_judged(
        np.stack([np.where(first, 0.9, 0.1), np.where(second, 0.9, 0.1)], axis=1),
        np.stack([first, second], axis=1).astype(float),
    )
