"""The candidates as arrays: what every strategy reads, checked once, with an order of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from sampling.errors import BadEmbedding, BadPool, BadProbabilities
from sampling.ids import Ids, ItemIds

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

Tie: TypeAlias = ItemIds | NDArray[Any]
"""By id, or (N,) numbers of which the lower goes first."""

_SUM_TOLERANCE = 1e-3  # float32 softmax over a few hundred categories stays well inside
ROWS_PER_BLOCK = 4096
"""6 MB of float32 at D = 384: a block stays in the cache of one core."""


class Rows(Protocol):
    """A matrix that gives some of its rows when asked."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.floating[Any]]: ...


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
        object.__setattr__(self, "embeddings", _read_only(points))
        object.__setattr__(self, "labels", _read_only(answers))

    @property
    def unit_embeddings(self) -> NDArray[np.float32]:
        """Shape (M, D), each row of length 1 or 0."""
        return unit(np.asarray(self.embeddings))

    @property
    def positive(self) -> BoolArray:
        """Shape (M,): some category holds."""
        return np.asarray(np.nansum(np.asarray(self.labels), axis=1) > 0.0)


class Pool:
    """N candidates: their ids, what the model thinks of them, where they lie.

    Args:
        item_ids: N distinct strings; a list, a NumPy or an Arrow column. They, and not the order
            of the rows, break ties.
        probabilities: shape (N, C), C >= 1, each in [0, 1]. No NaN: what stands for a category
            that the model does not know is the caller's decision (0.5 asks for it, the base rate
            does not), so it is refused here, naming the item and the column.
        embeddings: shape (N, D) or None. Any scale: every use is by direction only. A row of
            zeros means that nothing is known of the item. They are read, and checked for NaN,
            only where a strategy looks at them, so a memory-mapped array is never read whole
            for the sake of a check. Anything with a `shape` that gives rows for an array of row
            numbers will do: one that computes embeddings when they are asked for, too.
        groups: N names or None; a None inside is an item on its own. Items of one group (near
            copies, one creator's posts) rarely teach twice: diverse strategies take one each
            before a second of any.
        exclusive: the categories exclude each other and each row adds up to 1 (C >= 2).
            False: any number of them can hold at once.
        labelled: what is labelled already; diverse strategies keep away from it.
        passes: shape (T, N, C), T >= 2: the predictions of a committee's members or of stochastic
            passes. Read by `bald` and `vote_entropy`.
        modalities: what the model says from one modality alone, by its name, each of shape (N, C);
            a row of NaN where an item has none of it. Read by `modality_disagreement`.
        models: the same for several models. Read by `model_disagreement`.
        thresholds: shape (C,): above which probability the policy acts. None: one half.
        seconds: shape (N,), above 0: how long a reviewer is expected to take over each item.
            None: all alike.
        slices: N names of what is measured apart, such as languages; a None inside is a slice of
            its own name. None: one slice.

    The arrays are not copied and never written to; the caller must not write to them either.

    Raises:
        BadPool: lengths differ, an id is not a string or is there twice, or a shape is wrong.
        BadProbabilities: names the first item and category column that is wrong, and whose
            opinion it is if not the model's own.
    """

    def __init__(
        self,
        item_ids: Ids,
        probabilities: ArrayLike,
        embeddings: ArrayLike | Rows | None = None,
        groups: Sequence[str | None] | None = None,
        exclusive: bool = False,
        *,
        labelled: Labelled | None = None,
        passes: ArrayLike | None = None,
        modalities: Mapping[str, ArrayLike] | None = None,
        models: Mapping[str, ArrayLike] | None = None,
        thresholds: ArrayLike | None = None,
        seconds: ArrayLike | None = None,
        slices: Sequence[str | None] | None = None,
    ) -> None:
        self._ids = ItemIds(item_ids)
        self._probabilities = _read_only(_as_floats(probabilities))
        self._exclusive = exclusive
        self._embeddings = None if embeddings is None else _embeddings(embeddings, len(self))
        # Which rows of `_embeddings` are ours; None: all, in order. Lets `take` copy none of them.
        self._embedding_rows: IntArray | None = None
        self._groups = None if groups is None else _group_codes(groups, len(self))
        _check_probabilities(self._probabilities, self._ids, exclusive=exclusive)
        self._labelled = _fitting(labelled, self._embeddings, self._probabilities)
        self._opinions = {
            "passes": _passes(passes, self._ids, self.probabilities, exclusive=exclusive),
            "modalities": _says("modalities", modalities, self._ids, self.probabilities),
            "models": _says("models", models, self._ids, self.probabilities),
        }
        self._thresholds = _thresholds(thresholds, self._probabilities.shape[1])
        self._seconds = None if seconds is None else _seconds(seconds, self._ids)
        self._slices = _slice_codes(slices, len(self))
        self._met_groups: IntArray = np.empty(0, dtype=np.intp)

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        dimensions = None if self._embeddings is None else self._embeddings.shape[1]
        return (
            f"Pool(items={len(self)}, categories={self._probabilities.shape[1]}, "
            f"dimensions={dimensions}, exclusive={self._exclusive})"
        )

    @property
    def ids(self) -> ItemIds:
        """The ids as a column: their order, their keyed draws, some of them as strings."""
        return self._ids

    @property
    def item_ids(self) -> tuple[str, ...]:
        return self._ids.strings

    @property
    def probabilities(self) -> FloatArray:
        """Shape (N, C), read-only."""
        return self._probabilities

    @property
    def exclusive(self) -> bool:
        return self._exclusive

    @property
    def has_embeddings(self) -> bool:
        return self._embeddings is not None

    @property
    def dimensions(self) -> int:
        """D; 0 without embeddings."""
        return 0 if self._embeddings is None else int(self._embeddings.shape[1])

    @property
    def groups(self) -> IntArray | None:
        """Shape (N,): equal numbers are one group. None where the pool knows no groups."""
        return self._groups

    @property
    def met_groups(self) -> IntArray:
        """Numbers of the groups that something was chosen of already (`after`)."""
        return self._met_groups

    @property
    def labelled(self) -> Labelled | None:
        return self._labelled

    @property
    def thresholds(self) -> FloatArray:
        """Shape (C,); one half where none was given."""
        return self._thresholds

    @property
    def seconds(self) -> FloatArray | None:
        """Shape (N,)."""
        return self._seconds

    @property
    def slices(self) -> IntArray:
        """Shape (N,): equal numbers are one slice, numbered from 0 by name."""
        return self._slices

    def opinions(self, kind: Literal["passes", "modalities", "models"]) -> FloatArray:
        """Shape (T, N, C), read-only. NaN where one has no say.

        Raises:
            BadPool: the pool was made without them.
        """
        found = self._opinions[kind]
        if found is None:
            raise BadPool(
                f"this pool has no {kind}; give Pool({kind}=...), or choose a strategy that needs "
                "none"
            )
        return found

    @property
    def by_id(self) -> IntArray:
        """Shape (N,): the rows in the order of their ids."""
        return self._ids.order

    def take(self, rows: IntArray) -> Pool:
        """These rows as a pool of their own; row i of it is `rows[i]` of this one."""
        rows = np.asarray(rows, dtype=np.intp)
        part = Pool.__new__(Pool)
        part._ids = self._ids.take(rows)
        part._probabilities = _read_only(self._probabilities[rows])
        part._exclusive = self._exclusive
        part._embeddings = self._embeddings
        part._embedding_rows = rows if self._embedding_rows is None else self._embedding_rows[rows]
        part._groups = None if self._groups is None else self._groups[rows]
        part._labelled = self._labelled
        part._opinions = {
            kind: None if found is None else _read_only(found[:, rows])
            for kind, found in self._opinions.items()
        }
        part._thresholds = self._thresholds
        part._seconds = None if self._seconds is None else self._seconds[rows]
        part._slices = self._slices[rows]
        part._met_groups = self._met_groups
        return part

    def after(self, rows: IntArray) -> Pool:
        """The same pool, these rows counting as labelled with an answer that nobody knows yet, and
        their groups as asked."""
        part = copy(self)
        if self._groups is not None:
            part._met_groups = np.union1d(self._met_groups, self._groups[rows])
        if not self.has_embeddings:
            return part
        known = np.full((len(rows), self._probabilities.shape[1]), np.nan)
        points = self.embeddings(rows)
        if self._labelled is not None:
            points = np.concatenate([np.asarray(self._labelled.embeddings), points])
            known = np.concatenate([np.asarray(self._labelled.labels), known])
        part._labelled = Labelled(points, known)
        return part

    def only(self, column: int) -> Pool:
        """The same items with one category; of exclusive ones, as one yes/no question."""
        if not 0 <= column < self._probabilities.shape[1]:
            raise BadPool(f"category column {column} of {self._probabilities.shape[1]}")
        part = copy(self)
        which = slice(column, column + 1)
        part._probabilities = self._probabilities[:, which]
        part._exclusive = False
        if self._labelled is not None:
            labels = np.asarray(self._labelled.labels)[:, which]
            part._labelled = Labelled(self._labelled.embeddings, labels)
        part._opinions = {
            kind: None if found is None else found[:, :, which]
            for kind, found in self._opinions.items()
        }
        part._thresholds = self._thresholds[which]
        return part

    def embeddings(self, rows: IntArray) -> NDArray[np.float32]:
        """Embeddings of these rows as they were given, shape (len(rows), D).

        Raises:
            BadPool: the pool has no embeddings.
            BadEmbedding: names the first item with a number that is not finite.
        """
        source = rows if self._embedding_rows is None else self._embedding_rows[rows]
        return self._checked(np.ascontiguousarray(self._rows[source], dtype=np.float32), rows)

    def unit_embeddings(self, rows: IntArray) -> NDArray[np.float32]:
        """As `embeddings`, each row scaled to length 1; a row of zeros stays zeros."""
        return unit(self.embeddings(rows))

    def embedding_blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """All embeddings as they were given, in the order of rows, a block at a time.

        Of an array of float32 each block is a view, so one in a file is read and never copied.
        """
        for start in range(0, len(self), ROWS_PER_BLOCK):
            part = slice(start, min(start + ROWS_PER_BLOCK, len(self)))
            if self._embedding_rows is None and isinstance(self._rows, np.ndarray):
                block = np.ascontiguousarray(self._rows[part], dtype=np.float32)
                yield part, self._checked(block, np.arange(part.start, part.stop))
            else:
                yield part, self.embeddings(np.arange(part.start, part.stop))

    @property
    def _rows(self) -> FloatArray | Rows:
        if self._embeddings is None:
            raise BadPool(
                "this pool has no embeddings; give Pool(embeddings=...) an (N, D) array, "
                "or choose a strategy that needs none"
            )
        return self._embeddings

    def _checked(self, block: NDArray[np.float32], rows: IntArray) -> NDArray[np.float32]:
        from sampling import kernels

        if block.size and not kernels.is_finite(block):
            row, column = np.argwhere(~np.isfinite(block))[0]
            raise BadEmbedding(self._ids.of(rows[row : row + 1])[0], int(column))
        return block


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row scaled to length 1; zeros stay zeros."""
    from sampling import kernels  # loading numba takes half a second, and most commands need none

    scaled: NDArray[np.float32] = kernels.unit(rows)
    return scaled


def best_first(worth: FloatArray, *, limit: int, tie: Tie) -> IntArray:
    """Rows of the `limit` highest worths, highest first; equals by id, or in the order of `tie`."""
    limit = min(limit, len(worth))
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    candidates: IntArray = np.arange(len(worth))
    if limit < len(worth):
        bar = np.partition(worth, len(worth) - limit)[len(worth) - limit]
        candidates = np.flatnonzero(worth >= bar)  # with every equal of the last one
        if len(candidates) > 2 * limit and isinstance(tie, ItemIds):
            # So many equals: only the first of them by id can be among the best.
            above = np.flatnonzero(worth > bar)
            equals = tie.lowest(np.flatnonzero(worth == bar), limit=limit - len(above))
            candidates = np.concatenate([above, equals])
    order = np.lexsort((places_of(tie, candidates), -worth[candidates]))[:limit]
    rows: IntArray = candidates[order]
    return rows


def places_of(tie: Tie, rows: IntArray) -> NDArray[Any]:
    """What puts these rows in order among themselves where their worth is equal."""
    return tie.ranks(rows) if isinstance(tie, ItemIds) else tie[rows]


def _as_floats(values: ArrayLike) -> FloatArray:
    array = np.asarray(values)
    wanted = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    floats: FloatArray = array.astype(wanted, copy=False)
    return floats


def _read_only(array: FloatArray) -> FloatArray:
    view = array.view()
    view.flags.writeable = False
    return view


def _embeddings(values: ArrayLike | Rows, items: int) -> FloatArray | Rows:
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
    return _read_only(rows) if isinstance(rows, np.ndarray) else rows


def _group_codes(groups: Sequence[str | None], items: int) -> IntArray:
    found, _names = _coded("groups", groups, items)
    alone = np.flatnonzero(found < 0)
    found[alone] = items + np.arange(len(alone))
    return found


def _slice_codes(slices: Sequence[str | None] | None, items: int) -> IntArray:
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


def _check_probabilities(
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


def _passes(
    passes: ArrayLike | None, ids: ItemIds, probabilities: FloatArray, *, exclusive: bool
) -> FloatArray | None:
    if passes is None:
        return None
    values = _as_floats(passes)
    if values.ndim != 3 or values.shape[1:] != probabilities.shape or len(values) < 2:
        raise BadPool(
            f"passes has shape {values.shape}; give two or more of shape {probabilities.shape}"
        )
    for number, one in enumerate(values):
        _check_probabilities(one, ids, exclusive=exclusive, whose=f"passes[{number}]")
    return _read_only(values)


def _says(
    kind: str, said: Mapping[str, ArrayLike] | None, ids: ItemIds, probabilities: FloatArray
) -> FloatArray | None:
    """Shape (T, N, C); a row is NaN throughout or not at all."""
    if said is None:
        return None
    if len(said) < 2:
        raise BadPool(f"{kind} names {len(said)}; two or more can disagree")
    stacked = []
    for name, given in said.items():
        values = _as_floats(given)
        if values.shape != probabilities.shape:
            raise BadPool(
                f"{kind}[{name!r}] has shape {values.shape}, the probabilities "
                f"{probabilities.shape}; give the same"
            )
        silent = np.asarray(np.isnan(values).all(axis=1))
        spoken = np.where(silent[:, None], 0.0, values)
        _check_probabilities(spoken, ids, exclusive=False, whose=f"{kind}[{name!r}]")
        stacked.append(values)
    return _read_only(np.stack(stacked))


def _thresholds(thresholds: ArrayLike | None, categories: int) -> FloatArray:
    values = np.full(categories, 0.5) if thresholds is None else _as_floats(thresholds)
    if values.shape != (categories,) or not ((values >= 0.0) & (values <= 1.0)).all():
        raise BadPool(
            f"thresholds is {values}; give {categories} numbers in [0, 1], one a category"
        )
    return _read_only(values)


def _seconds(seconds: ArrayLike, ids: ItemIds) -> FloatArray:
    values = _as_floats(seconds)
    if values.shape != (len(ids),):
        raise BadPool(f"seconds has shape {values.shape}, the pool {len(ids)} items; give one each")
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0.0)))
    if len(wrong):
        row = int(wrong[0])
        raise BadPool(f"item {_name(ids, row)}: seconds is {values[row]}; give a number above 0")
    return _read_only(values)


def _fitting(
    labelled: Labelled | None, embeddings: FloatArray | Rows | None, probabilities: FloatArray
) -> Labelled | None:
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
