"""Where predictors differ: passes of one model, members of a committee, modalities, models.

What all of them are unsure of alike teaches none of them anything new; where each is sure of
something else, one answer settles it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from sampling.pool import FloatArray, IntArray, Pool, best_first
from sampling.scores import binary_entropy, entropy_worth

_ROWS_PER_BLOCK = 16_384

Worth = Callable[[FloatArray, bool], FloatArray]


def bald(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest mutual information of answer and model first (`Pool.passes`).

    Source: Houlsby et al. (2011); Gal, Islam and Ghahramani (2017). The entropy of the mean
    prediction less the mean entropy of the predictions; for independent categories their sum, as
    their answers are independent given the model.
    """
    return _most(pool, pool.opinions("passes"), mutual_information, limit=limit)


def vote_entropy(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Highest entropy of the votes first (`Pool.passes`): each pass votes for what it decides.

    Source: Dagan and Engelson (1995). A pass votes for its leading category; with independent
    ones for or against each at one half, and the category with most disagreement counts.
    """
    return _most(pool, pool.opinions("passes"), _entropy_of_votes, limit=limit)


def modality_disagreement(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Where what is said disagrees most with what is shown (`Pool.modalities`): see `widest_gap`.

    Items with fewer than two modalities come last.
    """
    return _most(pool, pool.opinions("modalities"), widest_gap, limit=limit)


def model_disagreement(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """Where two models differ most (`Pool.models`), such as champion and challenger: see
    `widest_gap`. Items that fewer than two have judged come last."""
    return _most(pool, pool.opinions("models"), widest_gap, limit=limit)


def mutual_information(opinions: FloatArray, exclusive: bool) -> FloatArray:
    """Shape (N,), 0 or more, in units of the largest entropy of one category.

    Args:
        opinions: shape (T, N, C), without NaN.
    """
    opinions = opinions.astype(np.float64)  # small differences of entropies
    mean = opinions.mean(axis=0)
    if exclusive:
        apart = np.mean([entropy_worth(one) for one in opinions], axis=0)
        found: FloatArray = entropy_worth(mean) - apart
    else:
        apart = np.mean([binary_entropy(one).sum(axis=1) for one in opinions], axis=0)
        found = binary_entropy(mean).sum(axis=1) - apart
    found[(opinions == opinions[0]).all(axis=(0, 2))] = 0.0  # whatever their mean is rounded to
    return np.maximum(found, 0.0)


def widest_gap(opinions: FloatArray, exclusive: bool) -> FloatArray:
    """Shape (N,), in [0, 1]: over categories, the most by which two that have a say differ; -1
    where fewer than two have.

    Args:
        opinions: shape (T, N, C), a row of NaN where one has none.
    """
    silent = np.isnan(opinions)
    highest = np.where(silent, -np.inf, opinions).max(axis=0)
    lowest = np.where(silent, np.inf, opinions).min(axis=0)
    heard = (~silent[:, :, 0]).sum(axis=0)
    found: FloatArray = np.where(heard >= 2, (highest - lowest).max(axis=1), -1.0)
    return found


def _entropy_of_votes(opinions: FloatArray, exclusive: bool) -> FloatArray:
    if exclusive:
        categories = np.arange(opinions.shape[2])
        shares = (opinions.argmax(axis=2)[:, :, None] == categories).mean(axis=0)
        return entropy_worth(np.sort(shares, axis=1))  # in one order, so that equals round alike
    votes = (opinions >= 0.5).sum(axis=0)
    fewer = np.minimum(votes, len(opinions) - votes) / len(opinions)
    found: FloatArray = binary_entropy(fewer).max(axis=1)
    return found


def _most(pool: Pool, opinions: FloatArray, worth: Worth, *, limit: int) -> IntArray:
    found = np.zeros(len(pool))
    for start in range(0, len(pool), _ROWS_PER_BLOCK):
        part = slice(start, start + _ROWS_PER_BLOCK)
        # Rows side by side in memory: a sum must not round by how a caller laid them out.
        found[part] = worth(np.ascontiguousarray(opinions[:, part]), pool.exclusive)
    return best_first(found, limit=limit, tie=pool.ids)
