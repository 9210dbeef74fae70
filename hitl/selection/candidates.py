"""What may be chosen, as arrays; and the order in which reviewers should see what was chosen."""

from __future__ import annotations

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
    a category's review band or have no decision at all. `characters` (N,) is how long each text
    is. `read_at` is the database's clock just before they were read.
    """

    item_ids: NDArray[Any]
    group_ids: NDArray[Any]
    probabilities: FloatArray
    in_band: NDArray[np.bool_]
    characters: NDArray[np.int64]
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
            self.characters[rows],
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


def evenly_between(priorities: FloatArray, *, count: int) -> FloatArray:
    """Shape (count,), highest first: priorities that spread `count` entries evenly among these.

    Whoever works down from the top has then seen about the same part of both. With nothing to
    stand between, all are 0.
    """
    if not len(priorities):
        return np.zeros(count)
    highest_first = np.sort(priorities)[::-1]
    places = ((np.arange(count) + 0.5) / max(count, 1) * len(highest_first)).astype(np.intp)
    between: FloatArray = highest_first[places]
    return between


def urgency(probabilities: FloatArray, severities: NDArray[np.int64]) -> FloatArray:
    """How early a reviewer should see each row: the worst expected severity, shape (N,), in [0, 4].

    A row without any probability counts as one half: unknown is not harmless.
    """
    known = np.where(np.isnan(probabilities), -np.inf, probabilities)
    best = (known * severities).max(axis=1)
    unknown = ~np.isfinite(best)
    return np.where(unknown, 0.5 * severities.max(), best)
