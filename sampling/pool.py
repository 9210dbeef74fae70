"""The candidates as arrays: what every strategy reads, checked once, with an order of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sampling.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    Rows,
    as_floats,
    check_probabilities,
    embeddings_of,
    group_codes,
    opinions_of,
    passes_of,
    read_only,
    seconds_of,
    slice_codes,
    thresholds_of,
    unit,
)
from sampling.errors import BadEmbedding, BadPool
from sampling.ids import Ids, ItemIds
from sampling.labelled import Labelled, fitting

__all__ = [
    "ROWS_PER_BLOCK",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "Labelled",
    "Pool",
    "Tie",
    "best_first",
    "places_of",
    "unit",
]

Tie: TypeAlias = ItemIds | NDArray[Any]
"""By id, or (N,) numbers of which the lower goes first."""

# To find the highest few of many, one in 64 says roughly how high they are.
_ONE_IN, _MORE = 64, 16

ROWS_PER_BLOCK = 4096
"""6 MB of float32 at D = 384: a block stays in the cache of one core."""


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
        self._probabilities = read_only(as_floats(probabilities))
        self._exclusive = exclusive
        self._embeddings = None if embeddings is None else embeddings_of(embeddings, len(self))
        # Which rows of `_embeddings` are ours; None: all, in order. Lets `take` copy none of them.
        self._embedding_rows: IntArray | None = None
        self._groups = None if groups is None else group_codes(groups, len(self))
        check_probabilities(self._probabilities, self._ids, exclusive=exclusive)
        self._labelled = fitting(labelled, self._embeddings, self._probabilities)
        self._opinions = {
            "passes": passes_of(passes, self._ids, self.probabilities, exclusive=exclusive),
            "modalities": opinions_of("modalities", modalities, self._ids, self.probabilities),
            "models": opinions_of("models", models, self._ids, self.probabilities),
        }
        self._thresholds = thresholds_of(thresholds, self._probabilities.shape[1])
        self._seconds = None if seconds is None else seconds_of(seconds, self._ids)
        self._slices = slice_codes(slices, len(self))
        self._met_groups: IntArray = np.empty(0, dtype=np.intp)
        self._beyond = 0

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
        part._probabilities = read_only(self._probabilities[rows])
        part._exclusive = self._exclusive
        part._embeddings = self._embeddings
        part._embedding_rows = rows if self._embedding_rows is None else self._embedding_rows[rows]
        part._groups = None if self._groups is None else self._groups[rows]
        part._labelled = self._labelled
        part._opinions = {
            kind: None if found is None else read_only(found[:, rows])
            for kind, found in self._opinions.items()
        }
        part._thresholds = self._thresholds
        part._seconds = None if self._seconds is None else self._seconds[rows]
        part._slices = self._slices[rows]
        part._met_groups = self._met_groups
        part._beyond = self._beyond
        return part

    def with_beyond(self, items: int) -> Pool:
        """The same pool, as the part that matters of one with so many more items."""
        part = copy(self)
        part._beyond = items
        return part

    @property
    def items_in_all(self) -> int:
        """How many items there are, those included that lie beyond this pool."""
        return len(self) + self._beyond

    def without(self, rows: IntArray) -> IntArray:
        """All other rows, ascending."""
        left = np.ones(len(self), dtype=np.bool_)
        left[rows] = False
        return np.flatnonzero(left)

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

    def embedding_blocks(
        self, *, are_checked: bool = False
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """All embeddings as they were given, in the order of rows, a block at a time.

        Of an array of float32 each block is a view, so one in a file is read and never copied.

        Args:
            are_checked: the caller has been through all of them before; to look for NaN again
                would cost a quarter of a pass.
        """
        for start in range(0, len(self), ROWS_PER_BLOCK):
            part = slice(start, min(start + ROWS_PER_BLOCK, len(self)))
            if self._embedding_rows is None and isinstance(self._rows, np.ndarray):
                block = np.ascontiguousarray(self._rows[part], dtype=np.float32)
                if not are_checked:
                    self._checked(block, np.arange(part.start, part.stop))
                yield part, block
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


def best_first(worth: FloatArray, *, limit: int, tie: Tie) -> IntArray:
    """Rows of the `limit` highest worths, highest first; equals by id, or in the order of `tie`."""
    limit = min(limit, len(worth))
    if limit <= 0:
        return np.empty(0, dtype=np.intp)
    candidates: IntArray
    if limit == len(worth):
        candidates = np.arange(limit)
    else:
        likely = likely_highest(worth, limit=limit)
        high = worth[likely]
        bar = np.partition(high, len(high) - limit)[len(high) - limit]
        candidates = likely[high >= bar]  # with every equal of the last one
        if len(candidates) > 2 * limit and isinstance(tie, ItemIds):
            # So many equals: only the first of them by id can be among the best.
            above = likely[high > bar]
            equals = tie.lowest(likely[high == bar], limit=limit - len(above))
            candidates = np.concatenate([above, equals])
    order = np.lexsort((places_of(tie, candidates), -worth[candidates]))[:limit]
    rows: IntArray = candidates[order]
    return rows


def likely_highest(worth: FloatArray, *, limit: int) -> IntArray:
    """Rows in order, the `limit` highest with all their equals among them, and few others."""
    sample = worth[::_ONE_IN]
    place = len(sample) - 2 * -(-limit // _ONE_IN) - _MORE
    if place > 0:
        rows = np.flatnonzero(worth >= np.partition(sample, place)[place])
        if len(rows) >= limit:
            return rows
    return np.arange(len(worth))


def places_of(tie: Tie, rows: IntArray) -> NDArray[Any]:
    """What puts these rows in order among themselves where their worth is equal."""
    return tie.ranks(rows) if isinstance(tie, ItemIds) else tie[rows]
