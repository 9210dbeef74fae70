"""What a demo needs of its material, whether invented or from a real log: one shape for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hitl.policy import Policy
from hitl.recipe import Recipe

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Items of which the demo knows the right answer.

    `gold` (N, C) holds 1, 0 or NaN where nobody annotated; `production` (N, C) the newest score
    of the production model, NaN where it has none. Columns follow the policy's categories.
    """

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    languages: tuple[str, ...]
    surfaces: tuple[str, ...]
    gold: FloatArray
    production: FloatArray

    def __post_init__(self) -> None:
        n = len(self.item_ids)
        lengths = {n, len(self.texts), len(self.languages), len(self.surfaces)}
        if lengths != {n} or len(self.gold) != n or self.production.shape != self.gold.shape:
            raise ValueError("texts, languages, surfaces, gold and production need one row an item")

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Each item's row."""
        return {item_id: row for row, item_id in enumerate(self.item_ids)}

    def where(self, rows: Sequence[int] | NDArray[np.intp]) -> Judged:
        """The same, for some rows, in their order."""
        kept = [int(row) for row in rows]
        return Judged(
            tuple(self.item_ids[row] for row in kept),
            tuple(self.texts[row] for row in kept),
            tuple(self.languages[row] for row in kept),
            tuple(self.surfaces[row] for row in kept),
            self.gold[kept],
            self.production[kept],
        )


@dataclass(frozen=True)
class Scene:
    """A demo's material: what is ingested, who would answer what, and what measures the gain.

    `pool` is what may be labelled (its gold plays the reviewers), `test` is never ingested.
    `is_synthetic` is for the heading: people must see which of the two they look at.
    """

    title: str
    is_synthetic: bool
    policy: Policy
    recipe: Recipe
    content: Path
    decisions: Path
    pool: Judged
    test: Judged
