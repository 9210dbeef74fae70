"""Every strategy by its name, as plans and recipes write it."""

from __future__ import annotations

from collections.abc import Callable

from sampling import (
    badge,
    cold_start,
    disagreement,
    diversity,
    draws,
    k_center,
    modal_bridge,
    neighbours,
    scores,
)
from sampling.distinct import distinct
from sampling.draws import Draw
from sampling.errors import UnknownStrategy
from sampling.scores import Strategy

WRAPPERS: dict[str, Callable[[Strategy], Strategy]] = {"distinct": distinct}
"""What a plan may put before a strategy's name and a colon: `distinct:margin`."""


def strategy_named(name: str) -> Strategy:
    """The strategy of that name, inside the wrappers written before it.

    Raises:
        UnknownStrategy: there is none, or no such wrapper.
    """
    *outside, inside = name.split(":")
    if inside not in STRATEGIES or any(one not in WRAPPERS for one in outside):
        raise UnknownStrategy(name, sorted(STRATEGIES), sorted(WRAPPERS))
    found = STRATEGIES[inside]
    for one in reversed(outside):
        found = WRAPPERS[one](found)
    return found


DEFAULT_STRATEGY = "uncertain_diverse"

DRAWS: dict[str, Draw] = {
    "random": draws.simple_random_draw,
    "random_distinct": draws.distinct_draw,
    "weighted_random": draws.weighted_draw,
    "stratified_random": draws.stratified_draw,
    "neyman_random": draws.neyman_draw,
}
"""Strategies that choose by chance and can say by how much. Picks of all others train only."""

ALONE = ("random_distinct",)
"""Draws that know the probability of their own picks only, so no other draw can stand beside."""

STRATEGIES: dict[str, Strategy] = {
    **{name: draws.as_strategy(draw) for name, draw in DRAWS.items()},
    "least_confidence": scores.least_confidence,
    "margin": scores.margin,
    "entropy": scores.entropy,
    "mean_margin": scores.mean_margin,
    "mean_entropy": scores.mean_entropy,
    "uncertain": scores.uncertain,
    "uncertain_per_second": scores.uncertain_per_second,
    "near_threshold": scores.near_threshold,
    "top_positive": scores.top_positive,
    "top_positive_by_turns": scores.top_positive_by_turns,
    "near_positives": neighbours.near_positives,
    "bald": disagreement.bald,
    "vote_entropy": disagreement.vote_entropy,
    "modality_disagreement": disagreement.modality_disagreement,
    "model_disagreement": disagreement.model_disagreement,
    "uncertain_diverse": diversity.uncertain_diverse,
    "uncertain_diverse_per_second": diversity.uncertain_diverse_per_second,
    "uncertain_k_means": diversity.uncertain_k_means,
    "uncertain_k_center": diversity.uncertain_k_center,
    "k_center": k_center.k_center,
    "badge": badge.badge,
    "k_means": cold_start.whole_k_means,
    "typical": cold_start.typical,
    "modal_uncertainty": modal_bridge.uncertainty,
    "modal_margin": modal_bridge.margin,
    "modal_entropy": modal_bridge.entropy,
    "modal_min_confidence": modal_bridge.min_confidence,
    "modal_avg_confidence": modal_bridge.avg_confidence,
    "modal_max_score": modal_bridge.max_score,
    "modal_avg_score": modal_bridge.avg_score,
    "modal_ranked_batch": modal_bridge.ranked_batch,
    "modal_information_density": modal_bridge.information_density,
    "modal_vote_entropy": modal_bridge.vote_entropy,
    "modal_consensus_entropy": modal_bridge.consensus_entropy,
    "modal_max_disagreement": modal_bridge.max_disagreement,
}


def in_a_sentence(name: str) -> str:
    """What a strategy of `STRATEGIES` chooses: the first sentence of its docstring."""
    words = " ".join((STRATEGIES[name].__doc__ or "").split())
    return words.split(". ", 1)[0].rstrip(".")
