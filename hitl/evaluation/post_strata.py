"""Labels weighed up to what is known of everything: how much the model flags, and does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from hitl.evaluation.arrays import BoolArray, FloatArray, floats
from hitl.evaluation.errors import BadArrays, BadLevel

if TYPE_CHECKING:
    from hitl.evaluation.sums import Sums

LEAST_IN_STRATUM = 10
"""Fewer labels than this are not weighed up to a known count: their spread would not be known."""
LEAST_ANSWERED = 0.9
"""Nor are labels of a category that reviewers leave open more often than this, such as on one of
several surfaces: the counts are of everything, and the labels then speak of what can be told."""


def usable_counts(items: ArrayLike, labels: ArrayLike, *, asked: ArrayLike) -> FloatArray:
    """The counts that labels may be weighed up to, for `estimate_tables`; NaN where they may not.

    Args:
        items: shape (S, C, 2), how many of everything are not flagged and flagged.
        labels: shape (S, C, 2), how many of these have an answer.
        asked: shape (S,), how many were asked for one.
    """
    known, told = floats("items", items, dimensions=3), floats("labels", labels, dimensions=3)
    often = told.sum(axis=2) >= LEAST_ANSWERED * floats("asked", asked)[:, None]
    # Nothing of a kind on either side is known to be nothing.
    enough = np.where(known > 0.0, told >= LEAST_IN_STRATUM, told == 0.0).all(axis=2)
    return np.where((often & enough)[..., None], known, np.nan)


@dataclass(frozen=True, slots=True)
class PostStratified:
    """The sums, weighed up to known counts of flags where these are known.

    `is_known` and `is_empty` (S, C): a stratum has items, and none of them was labelled.
    """

    sums: Sums
    is_known: BoolArray
    is_empty: BoolArray

    @classmethod
    def of(cls, sums: Sums, counts: ArrayLike) -> PostStratified:
        """Of `counts` (S, C, 2), see `estimate_tables`."""
        known = floats("post_strata", counts, dimensions=3)
        if known.shape != (*sums.count.shape[:2], 2):
            raise BadArrays("post_strata", f"has shape {known.shape}, for {sums.count.shape[:2]}")
        if (known < 0.0).any():
            raise BadLevel("post_strata", float(np.nanmin(known)), "counts of 0 or more")
        is_known = np.logical_and.reduce(np.isfinite(known), axis=2)
        weight = (sums.random + sums.certain).sum(axis=2)  # (S, C, flag)
        is_empty = is_known & ((known > 0.0) & (weight == 0.0)).any(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.where(is_known[..., None] & (weight > 0.0), known / weight, 1.0)
        by, squared = factor[:, :, None, :], factor[:, :, None, :] ** 2
        scaled = replace(
            sums, random=sums.random * by, certain=sums.certain * by,
            variance=sums.variance * squared, squares=sums.squares * squared,
            heaviest=sums.heaviest * by, heaviest_random=sums.heaviest_random * by,
        )  # fmt: skip
        return cls(scaled, is_known, is_empty)

    def within(self, residual: FloatArray) -> FloatArray:
        """Residuals (S, C, 2, 2) less the mean of their stratum: what known counts leave open."""
        weight = self.sums.random + self.sums.certain
        total = weight.sum(axis=2, keepdims=True)
        mean = (weight * residual).sum(axis=2, keepdims=True) / np.where(total > 0.0, total, 1.0)
        left: FloatArray = residual - np.where(self.is_known[..., None, None], mean, 0.0)
        return left
