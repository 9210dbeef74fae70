"""Every strategy by its name, as plans and recipes write it."""

from __future__ import annotations

from typing import Protocol

from numpy.random import Generator

from sampling import diversity, modal_bridge, probability, scores
from sampling.pool import IntArray, Pool
from sampling.probability import Draw


class Strategy(Protocol):
    """(pool, *, limit, rng) -> rows, best first.

    Returns min(limit, N) distinct rows of the pool, leaves the pool as it was, gives the same
    items for the same seed whatever the order of the rows, and breaks ties by item id (or, where
    it says so, at random by `rng`). tests/sampling/test_strategy_promises.py holds every entry
    of STRATEGIES to that.
    """

    def __call__(self, pool: Pool, *, limit: int, rng: Generator) -> IntArray: ...


DEFAULT_STRATEGY = "uncertain_diverse"

DRAWS: dict[str, Draw] = {
    "random": probability.simple_random_draw,
    "weighted_random": probability.weighted_draw,
}
"""Strategies that choose by chance and can say by how much."""

STRATEGIES: dict[str, Strategy] = {
    "random": probability.random,
    "weighted_random": probability.weighted_random,
    "least_confidence": scores.least_confidence,
    "margin": scores.margin,
    "entropy": scores.entropy,
    "mean_margin": scores.mean_margin,
    "mean_entropy": scores.mean_entropy,
    "uncertain": scores.uncertain,
    "top_positive": scores.top_positive,
    "uncertain_diverse": diversity.uncertain_diverse,
    "uncertain_k_center": diversity.uncertain_k_center,
    "k_center": diversity.k_center,
    "modal_uncertainty": modal_bridge.uncertainty,
    "modal_margin": modal_bridge.margin,
    "modal_entropy": modal_bridge.entropy,
    "modal_min_confidence": modal_bridge.min_confidence,
    "modal_avg_confidence": modal_bridge.avg_confidence,
    "modal_max_score": modal_bridge.max_score,
    "modal_avg_score": modal_bridge.avg_score,
}
