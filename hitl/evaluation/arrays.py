"""Arrays as they come in, made to fit: answers that may be unknown, and shapes that must agree."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitl.evaluation.errors import BadArrays, BadLevel

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]


def floats(name: str, values: ArrayLike, *, dimensions: int = 1) -> FloatArray:
    """The values as float64; what is None becomes NaN.

    Raises:
        BadArrays: they are not numbers, or have another number of dimensions.
    """
    try:
        found: FloatArray = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise BadArrays(name, "holds something that is not a number; pass numbers") from cause
    if found.ndim != dimensions:
        raise BadArrays(name, f"has shape {found.shape}; it needs {dimensions} dimension(s)")
    return found


def answers(name: str, values: ArrayLike, *, dimensions: int = 1) -> FloatArray:
    """Yes as 1, no as 0, unknown as NaN.

    Raises:
        BadArrays: something else is among them.
    """
    found = floats(name, values, dimensions=dimensions)
    if getattr(values, "dtype", None) == np.bool_:
        return found
    other = (found != 0.0) & (found != 1.0)
    if other.any() and not np.isnan(found[other]).all():
        raise BadArrays(name, "holds something other than 0, 1 and NaN; NaN means nobody answered")
    return found


def probability_array(name: str, values: ArrayLike, *, dimensions: int) -> FloatArray:
    """Numbers in [0, 1], or NaN where the model does not know the category.

    Raises:
        BadArrays: a number lies outside.
    """
    found = floats(name, values, dimensions=dimensions)
    if not np.all(np.isnan(found) | ((found >= 0.0) & (found <= 1.0))):
        raise BadArrays(name, "holds a number outside [0, 1]; pass probabilities")
    return found


def same_length(expected: int, **arrays: NDArray[Any]) -> None:
    """Every array has one row an item.

    Raises:
        BadArrays: names the first that does not.
    """
    for name, array in arrays.items():
        if len(array) != expected:
            raise BadArrays(name, f"has {len(array)} rows, the others have {expected}")


def level(name: str, value: float) -> float:
    """A share strictly between 0 and 1.

    Raises:
        BadLevel: it is not.
    """
    if not 0.0 < value < 1.0:
        raise BadLevel(name, value, "a number between 0 and 1, such as 0.95")
    return value
