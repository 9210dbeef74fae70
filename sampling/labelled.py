"""What is labelled already, as the samplers see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sampling.arrays import BoolArray, FloatArray, Rows, read_only, unit
from sampling.errors import BadPool


@dataclass(frozen=True, slots=True)
class Labelled:
    """What is labelled already: new picks keep their distance, and positives lead to others.

    Args:
        embeddings: shape (M, D), of the same space as the pool's.
        labels: shape (M, C): 1 it is, 0 it is not, NaN nobody said. Exclusive categories are
            one 1 a row.

    Raises:
        BadPool: the shapes do not fit each other, or a label is none of these.
    """

    embeddings: ArrayLike
    labels: ArrayLike

    def __post_init__(self) -> None:
        points = np.ascontiguousarray(self.embeddings, dtype=np.float32)
        answers = np.asarray(self.labels, dtype=np.float64)
        if points.ndim != 2 or answers.ndim != 2 or len(points) != len(answers):
            raise BadPool(
                f"labelled: embeddings have shape {points.shape} and labels {answers.shape}; "
                "give one row an item to both"
            )
        if not np.isfinite(points).all():
            raise BadPool("labelled: an embedding holds a number that is not finite")
        if not ((answers == 0.0) | (answers == 1.0) | np.isnan(answers)).all():
            raise BadPool("labelled: a label is none of 0, 1 and NaN (nobody said)")
        object.__setattr__(self, "embeddings", read_only(points))
        object.__setattr__(self, "labels", read_only(answers))

    @property
    def unit_embeddings(self) -> NDArray[np.float32]:
        """Shape (M, D), each row of length 1 or 0."""
        return unit(np.asarray(self.embeddings))

    @property
    def positive(self) -> BoolArray:
        """Shape (M,): some category holds."""
        return np.asarray(np.nansum(np.asarray(self.labels), axis=1) > 0.0)


def fitting(
    labelled: Labelled | None, embeddings: FloatArray | Rows | None, probabilities: FloatArray
) -> Labelled | None:
    """None where nothing is labelled.

    Raises:
        BadPool: it is of another space, or of other categories, than the pool.
    """
    if labelled is None or not len(np.asarray(labelled.labels)):
        return None
    dimensions = np.asarray(labelled.embeddings).shape[1]
    categories = np.asarray(labelled.labels).shape[1]
    if embeddings is not None and embeddings.shape[1] != dimensions:
        raise BadPool(
            f"labelled: embeddings have {dimensions} dimensions, the pool's {embeddings.shape[1]}"
        )
    if categories != probabilities.shape[1]:
        raise BadPool(
            f"labelled: labels have {categories} categories, the pool {probabilities.shape[1]}"
        )
    return labelled
