"""What may be chosen, as arrays; and what asking each of those that were chosen is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_NONE = np.empty(0, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items that are not asked about yet. N rows, C categories in the policy's order.

    `probabilities` (N, C) come from each item's newest decision by the preferred model, else by
    any; NaN where that model does not know the category. `in_band` (N,) tells which rows lie in
    a category's review band or have no decision at all, `by_preferred` (N,) which the preferred
    model decided on. `characters` (N,) is how long each text is. `slices` (N,) is the value of the
    column that was asked for beside, "" where none was or it is not known. `read_at` is the
    database's clock just before they were read.
    """

    item_ids: NDArray[Any]
    group_ids: NDArray[Any]
    probabilities: FloatArray
    in_band: NDArray[np.bool_]
    by_preferred: NDArray[np.bool_]
    characters: NDArray[np.int64]
    slices: NDArray[Any]
    read_at: datetime

    def __len__(self) -> int:
        return len(self.item_ids)

    def where(self, rows: NDArray[Any]) -> Candidates:
        """The same, for some rows (a mask or row numbers)."""
        return Candidates(
            self.item_ids[rows],
            self.group_ids[rows],
            self.probabilities[rows],
            self.in_band[rows],
            self.by_preferred[rows],
            self.characters[rows],
            self.slices[rows],
            self.read_at,
        )


def fill_unknown(probabilities: FloatArray) -> FloatArray:
    """Probabilities (N, C') without NaN, for strategies that need every number.

    A category that no row knows says nothing about which row to ask and is left out. In one that
    some rows know, the others get the mean of those. With nothing known at all, one column of
    one half remains: everything is equally worth asking.
    """
    known = ~np.isnan(probabilities)
    columns = known.any(axis=0)
    if not columns.any():
        return np.full((len(probabilities), 1), 0.5)
    kept = probabilities[:, columns]
    means = np.nanmean(kept, axis=0)
    return np.where(np.isnan(kept), means, kept)


def known_columns(probabilities: FloatArray) -> NDArray[np.intp]:
    """The category columns that `fill_unknown` keeps; none where nothing is known at all."""
    return np.flatnonzero(~np.isnan(probabilities).all(axis=0)) if len(probabilities) else _NONE


def reading_seconds(characters: NDArray[np.int64]) -> FloatArray:
    """Shape (N,): about how long a reviewer takes over a text of that length.

    Two seconds to decide and click, and reading at 230 words a minute of six characters each: an
    assumption, good for telling long from short.
    """
    seconds: FloatArray = 2.0 + characters / (6.0 * 230.0 / 60.0)
    return seconds


def worth_by_rank(ranks: Sequence[int], shares: Sequence[str]) -> list[float]:
    """What asking each pick teaches beside the others of its share, in (0.5, 1], best first.

    Strategies say which row is better, not by how much. So the first of a share is worth twice
    what its last is: enough to matter, not enough to hide what is severe.
    """
    sizes = Counter(shares)
    return [1.0 - rank / (2.0 * sizes[share]) for rank, share in zip(ranks, shares, strict=True)]
