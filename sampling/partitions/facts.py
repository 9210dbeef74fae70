"""What must be known of all parts before one can choose: sums, and that no id is there twice.

Sums are of whole numbers, so they come out the same however the pool is cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sampling.draws import has_speakers, in_steps, mean_of_steps, speakers
from sampling.partitions.core_sets import Sketch
from sampling.partitions.parts import SECONDS, Part
from sampling.partitions.reading import one_chunk
from sampling.partitions.tables import Terms, pool_of, slices_of
from sampling.pool import FloatArray, Pool
from sampling.scores import uncertainty

DIGEST = "digest"

_DIGESTS_AT_ONCE = 1 << 24


@dataclass(slots=True)
class Facts:
    """Sums over parts.

    Args:
        worth: of uncertainty, by the category that is looked at alone (None: all).
        sampled: the same over the items that speak for many, of which there are `speakers`.
        slices: of each slice (items, sum of each category's probability).
        sketches: of each part (items, one of each criterion that has bars).
    """

    items: int = 0
    worth: dict[int | None, int] = field(default_factory=dict)
    speakers: int = 0
    sampled: dict[int | None, int] = field(default_factory=dict)
    least_seconds: float | None = None
    slices: dict[str, tuple[int, list[int]]] = field(default_factory=dict)
    sketches: list[tuple[int, list[Sketch]]] = field(default_factory=list)

    def mean_worth(self, column: int | None) -> float:
        if has_speakers(self.items):
            return mean_of_steps(self.sampled.get(column, 0), self.speakers)
        return mean_of_steps(self.worth.get(column, 0), self.items)

    @property
    def names(self) -> list[str]:
        """Slices in the order in which `Pool` numbers them."""
        return sorted(self.slices)

    def sizes(self) -> NDArray[np.intp]:
        """Shape (H,)."""
        return np.array([self.slices[name][0] for name in self.names], dtype=np.intp)

    def rates(self) -> FloatArray:
        """Shape (H, C): each category's mean probability in each slice."""
        sums = (self.slices[name] for name in self.names)
        return np.array([[mean_of_steps(one, size) for one in row] for size, row in sums])

    def add(self, other: Facts, *, sign: int = 1) -> Self:
        """These and the other's, or these without them."""
        self.items += sign * other.items
        self.speakers += sign * other.speakers
        for mine, others in ((self.worth, other.worth), (self.sampled, other.sampled)):
            for column, worth in others.items():
                mine[column] = mine.get(column, 0) + sign * worth
        seconds = [one for one in (self.least_seconds, other.least_seconds) if one is not None]
        self.least_seconds = min(seconds, default=None)
        for name, (count, sums) in other.slices.items():
            have, before = self.slices.get(name, (0, [0] * len(sums)))
            together = [old + sign * new for old, new in zip(before, sums, strict=True)]
            self.slices[name] = (have + sign * count, together)
        self.sketches += other.sketches
        return self

    def without(self, table: pa.Table, terms: Terms) -> Facts:
        """Of the pool without these rows of it. The least seconds stay those of all."""
        kept = replace(
            self,
            worth=dict(self.worth),
            sampled=dict(self.sampled),
            slices=dict(self.slices),
            sketches=[],
        )
        return kept.add(facts_of(table, pool_of(table, terms), tuple(self.worth)), sign=-1)


def facts_of(table: pa.Table, pool: Pool, columns: Iterable[int | None]) -> Facts:
    """Of some rows, as a table and as the pool made of it.

    Args:
        columns: the categories that are looked at alone; None among them: all.
    """
    found = Facts(len(pool))
    speaking = speakers(pool.ids.digests)
    found.speakers = len(speaking)
    for one in columns:
        steps = in_steps(uncertainty(pool if one is None else pool.only(one)))
        found.worth[one], found.sampled[one] = int(steps.sum()), int(steps[speaking].sum())
    if SECONDS in table.column_names and len(pool):
        found.least_seconds = float(table.column(SECONDS).to_numpy().min())
    codes, names = slices_of(table)
    sizes = np.bincount(codes, minlength=len(names))
    order = np.argsort(codes, kind="stable")
    present = np.flatnonzero(sizes)
    starts = (np.cumsum(sizes) - sizes)[present]
    sums = np.empty((len(present), pool.probabilities.shape[1]), dtype=np.int64)
    for category, column in enumerate(pool.probabilities.T):
        sums[:, category] = np.add.reduceat(in_steps(column)[order], starts)
    for place, number in enumerate(present.tolist()):
        found.slices[names[number]] = (int(sizes[number]), sums[place].tolist())
    return found


def to_table(facts: Facts, digests: NDArray[np.uint64]) -> pa.Table:
    """As it travels: the digests of all ids, sorted, and the sums beside."""
    said = {
        "items": facts.items,
        "worth": list(facts.worth.items()),
        "speakers": facts.speakers,
        "sampled": list(facts.sampled.items()),
        "least_seconds": facts.least_seconds,
        "slices": facts.slices,
        "sketches": [
            (rows, [[order.tolist() for order in one] for one in sketched])
            for rows, sketched in facts.sketches
        ],
    }
    table = pa.table({DIGEST: pa.array(np.sort(digests))})
    return table.replace_schema_metadata({"facts": json.dumps(said)})


def from_table(table: pa.Table) -> Facts:
    """The sums of such a table."""
    said: dict[str, Any] = json.loads(table.schema.metadata[b"facts"])
    slices = {name: (count, sums) for name, (count, sums) in said.pop("slices").items()}
    worth, sampled = dict(said.pop("worth")), dict(said.pop("sampled"))
    sketches: list[tuple[int, list[Sketch]]] = [
        (rows, [[np.array(order).reshape(-1, 2) for order in one] for one in sketched])
        for rows, sketched in said.pop("sketches")
    ]
    return Facts(**said, worth=worth, sampled=sampled, slices=slices, sketches=sketches)


def digests_of(table: pa.Table) -> NDArray[np.uint64]:
    """Shape (n,), sorted. Of an answer in a file it is read where it is looked at."""
    found: NDArray[np.uint64] = one_chunk(table.column(DIGEST)).to_numpy()
    return found


def repeated(columns: Sequence[NDArray[np.uint64]], items: int) -> Iterator[np.uint64]:
    """Digests that occur twice in these sorted columns, a range of them at a time.

    2**24 are looked at together: of a column in a file only that range is read.
    """
    ranges = -(-items // _DIGESTS_AT_ONCE)
    width = (1 << 64) // max(ranges, 1) + 1
    for number in range(ranges):
        low, high = number * width, min((number + 1) * width, 1 << 64) - 1
        part = np.sort(
            np.concatenate(
                [
                    column[
                        np.searchsorted(column, np.uint64(low)) : np.searchsorted(
                            column, np.uint64(high), side="right"
                        )
                    ]
                    for column in columns
                ]
            )
        )
        yield from np.unique(part[1:][part[1:] == part[:-1]])


def holders(
    columns: Sequence[NDArray[np.uint64]], digest: np.uint64, parts: Sequence[Part]
) -> list[Part]:
    """Parts that hold an id of this digest."""
    return [
        part
        for column, part in zip(columns, parts, strict=True)
        if (at := int(np.searchsorted(column, digest))) < len(column) and column[at] == digest
    ]
