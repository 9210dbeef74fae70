"""What a pool is made of, checked: each refusal names the item and says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from sampling.errors import BadPool, BadProbabilities
from sampling.ids import ItemIds

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_SUM_TOLERANCE = 1e-3  # float32 softmax over a few hundred categories stays well inside


class Rows(Protocol):
    """A matrix that gives some of its rows when asked."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.floating[Any]]: ...


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row scaled to length 1; zeros stay zeros."""
    from sampling import kernels  # loading numba takes half a second, and most commands need none

    scaled: NDArray[np.float32] = kernels.unit(rows)
    return scaled


def as_floats(values: ArrayLike) -> FloatArray:
    array = np.asarray(values)
    wanted = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    floats: FloatArray = array.astype(wanted, copy=False)
    return floats


def read_only(array: FloatArray) -> FloatArray:
    view = array.view()
    view.flags.writeable = False
    return view


def embeddings_of(values: ArrayLike | Rows, items: int) -> FloatArray | Rows:
    if hasattr(values, "toarray"):
        raise BadPool(
            "embeddings is sparse; bring it down to a few hundred dimensions (a truncated SVD), or "
            "give it dense"
        )
    # asanyarray: a memmap stays one. A DataFrame has a shape, but would give columns for numbers.
    is_plain = isinstance(values, np.ndarray) or not hasattr(values, "shape")
    is_plain = is_plain or hasattr(values, "to_numpy")
    rows: FloatArray | Rows = np.asanyarray(values) if is_plain else values  # type: ignore[assignment]
    if len(rows.shape) != 2 or rows.shape[0] != items:
        raise BadPool(
            f"embeddings has shape {rows.shape}, the pool {items} items; give one row an item"
        )
    return read_only(rows) if isinstance(rows, np.ndarray) else rows


def group_codes(groups: Sequence[str | None], items: int) -> IntArray:
    found, _names = _coded("groups", groups, items)
    alone = np.flatnonzero(found < 0)
    found[alone] = items + np.arange(len(alone))
    return found


def slice_codes(slices: Sequence[str | None] | None, items: int) -> IntArray:
    if slices is None:
        return np.zeros(items, dtype=np.intp)
    codes, names = _coded("slices", slices, items)
    by_name = sorted(range(len(names)), key=names.__getitem__)
    place = np.zeros(len(names) + 1, dtype=np.intp)  # the last is of no name, before all others
    place[by_name] = np.arange(len(names)) + int((codes < 0).any())
    return place[codes]


def _coded(kind: str, given: Sequence[str | None], items: int) -> tuple[IntArray, list[str]]:
    """Of each item the number of its name, -1 where it has none, and the names."""
    if len(given) != items:
        raise BadPool(f"{kind} has {len(given)} names, the pool {items} items; give one an item")
    named: Any = given
    if isinstance(named, np.ndarray) and named.dtype.kind in "UT":
        named = named.tolist()  # as it is, Arrow would end each at its first NUL
    try:
        if not isinstance(named, pa.Array | pa.ChunkedArray):
            named = pa.array(named, from_pandas=True)  # NaN and NA are no names either
        named = named.cast(pa.large_string())
    except (pa.ArrowException, UnicodeEncodeError) as cause:
        raise BadPool(
            f"{kind} are not names; give strings, and None where there is none"
        ) from cause
    if isinstance(named, pa.ChunkedArray):
        named = named.combine_chunks()
    coded = named.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
    return codes, coded.dictionary.to_pylist()


def check_probabilities(
    values: FloatArray, ids: ItemIds, *, exclusive: bool, whose: str | None = None
) -> None:
    if values.ndim != 2 or len(values) != len(ids) or values.shape[1] < 1:
        raise BadPool(
            f"probabilities has shape {values.shape}, the pool {len(ids)} items; "
            "give one row an item and one column a category"
        )
    if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):  # NaN fails both
        row, column = (int(x) for x in np.argwhere(~((values >= 0.0) & (values <= 1.0)))[0])
        problem = (
            "NaN; decide what an unknown category is worth and fill it in"
            if np.isnan(values[row, column])
            else f"{values[row, column]:g}; it must lie in [0, 1]"
        )
        raise BadProbabilities(
            _name(ids, row), column, f"{whose or 'the probability'} is {problem}"
        )
    if not exclusive:
        return
    if values.shape[1] < 2:
        raise BadPool("exclusive categories need at least two columns; add 'none of these'")
    _check_sums(values, ids, whose=whose or "the probabilities")


def _check_sums(values: FloatArray, ids: ItemIds, *, whose: str) -> None:
    sums = values.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > _SUM_TOLERANCE)
    if len(wrong):
        raise BadProbabilities(
            _name(ids, int(wrong[0])),
            None,
            f"{whose} add up to {sums[wrong[0]]:.4g}; exclusive categories must add up to 1 (for "
            "independent categories make the pool with exclusive=False)",
        )


def _name(ids: ItemIds, row: int) -> str:
    return ids.of(np.array([row]))[0]


def passes_of(
    passes: ArrayLike | None, ids: ItemIds, probabilities: FloatArray, *, exclusive: bool
) -> FloatArray | None:
    if passes is None:
        return None
    values = as_floats(passes)
    if values.ndim != 3 or values.shape[1:] != probabilities.shape or len(values) < 2:
        raise BadPool(
            f"passes has shape {values.shape}; give two or more of shape {probabilities.shape}"
        )
    for number, one in enumerate(values):
        check_probabilities(one, ids, exclusive=exclusive, whose=f"passes[{number}]")
    return read_only(values)


def opinions_of(
    kind: str, said: Mapping[str, ArrayLike] | None, ids: ItemIds, probabilities: FloatArray
) -> FloatArray | None:
    """Shape (T, N, C); a row is NaN throughout or not at all."""
    if said is None:
        return None
    if len(said) < 2:
        raise BadPool(f"{kind} names {len(said)}; two or more can disagree")
    stacked = []
    for name, given in said.items():
        values = as_floats(given)
        if values.shape != probabilities.shape:
            raise BadPool(
                f"{kind}[{name!r}] has shape {values.shape}, the probabilities "
                f"{probabilities.shape}; give the same"
            )
        silent = np.asarray(np.isnan(values).all(axis=1))
        spoken = np.where(silent[:, None], 0.0, values)
        check_probabilities(spoken, ids, exclusive=False, whose=f"{kind}[{name!r}]")
        stacked.append(values)
    return read_only(np.stack(stacked))


def thresholds_of(thresholds: ArrayLike | None, categories: int) -> FloatArray:
    values = np.full(categories, 0.5) if thresholds is None else as_floats(thresholds)
    if values.shape != (categories,) or not ((values >= 0.0) & (values <= 1.0)).all():
        raise BadPool(
            f"thresholds is {values}; give {categories} numbers in [0, 1], one a category"
        )
    return read_only(values)


def seconds_of(seconds: ArrayLike, ids: ItemIds) -> FloatArray:
    values = as_floats(seconds)
    if values.shape != (len(ids),):
        raise BadPool(f"seconds has shape {values.shape}, the pool {len(ids)} items; give one each")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0.0)))
    if len(wrong):
        row = int(wrong[0])
        raise BadPool(f"item {_name(ids, row)}: seconds is {values[row]}; give a number above 0")
    return read_only(values)
