"""A round of independent draws, with a record from which anyone with the key can draw it again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sampling.errors import BadBudget, BadWorth
from sampling.ids import Ids, ItemIds
from sampling.pool import BoolArray, FloatArray, IntArray
from sampling.probability import round_key


@dataclass(frozen=True, slots=True)
class PoissonRound:
    """Every item of a round: its chance, its number, and whether it was drawn.

    An item is drawn if and only if its number is below its chance, whatever the others do. How
    many are drawn is chance too, with a mean of the sum of all chances.
    """

    round_id: str
    item_ids: ItemIds
    inclusion_probability: FloatArray
    number: FloatArray

    @property
    def is_drawn(self) -> BoolArray:
        """Shape (N,)."""
        return self.number < self.inclusion_probability

    @property
    def rows(self) -> IntArray:
        """The rows drawn, lowest number first."""
        drawn = np.flatnonzero(self.is_drawn)
        return drawn[np.argsort(self.number[drawn], kind="stable")]

    def log(self) -> pa.Table:
        """One row an item: what an auditor needs beside the key, and what an estimate needs."""
        return pa.table(
            {
                "round_id": pa.repeat(self.round_id, len(self.number)).cast(pa.large_string()),
                "item_id": self.item_ids.column,
                "inclusion_probability": self.inclusion_probability,
                "number": self.number,
                "is_drawn": self.is_drawn,
            }
        )


def poisson_round(
    item_ids: Ids, inclusion_probability: FloatArray, *, key: bytes, round_id: str
) -> PoissonRound:
    """Draw each item independently with its own chance.

    Args:
        inclusion_probability: shape (N,), each in [0, 1], such as `poisson_probabilities` gives.
        key: kept secret until the round is audited, or a producer could aim for low numbers.
        round_id: a round of the same id and key draws the same numbers.

    Raises:
        BadPool: an id is not a string or is there twice.
        BadWorth: names the first row whose chance is not in [0, 1].
        BadBudget: there are more chances than items, or fewer.
    """
    ids = ItemIds(item_ids)
    chances = np.asarray(inclusion_probability, dtype=np.float64)
    if chances.shape != (len(ids),):
        raise BadBudget(f"inclusion_probability has shape {chances.shape}; give {len(ids)} numbers")
    wrong = np.flatnonzero(~((chances >= 0.0) & (chances <= 1.0)))
    if len(wrong):
        raise BadWorth(int(wrong[0]), f"the chance is {chances[wrong[0]]}; it lies in [0, 1]")
    return PoissonRound(round_id, ids, chances, ids.uniforms(round_key(key, round_id)))


def first_that_differs(log: pa.Table, *, key: bytes) -> str | None:
    """The first item of a log whose number or draw is not what the key gives; None: all agree.

    Raises:
        BadBudget: the log holds no round, or more than one.
    """
    rounds = log.column("round_id").unique().to_pylist()
    if len(rounds) != 1:
        raise BadBudget(f"the log holds {len(rounds)} rounds; audit one at a time")
    again = poisson_round(
        log.column("item_id"),
        log.column("inclusion_probability").to_numpy(),
        key=key,
        round_id=rounds[0],
    )
    agrees = (log.column("number").to_numpy() == again.number) & (
        log.column("is_drawn").to_numpy(zero_copy_only=False) == again.is_drawn
    )
    wrong = np.flatnonzero(~agrees)
    return again.item_ids.of(wrong[:1])[0] if len(wrong) else None
