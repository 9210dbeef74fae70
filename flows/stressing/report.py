"""What a stress found, and whether it stayed within its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.stressing.load import Timings

# Where somebody waits for the answer. A selection is nobody's wait: it is shown, not bounded.
WAITED_FOR = ("push", "claim", "complete", "review")


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage, in milliseconds from when the work was due. NaN never: no work is no line."""

    stage: str
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What must hold. None: it is not asked."""

    p99_ms: float | None
    drop_rate: float


@dataclass(frozen=True, slots=True)
class StressReport:
    """Offered and done. `drop_rate` is of decisions; `broken` names what must hold always.

    `refused` answers told a producer to come again; `starved` reviews were due and nothing waited.
    """

    seconds: float
    decisions_offered: int
    decisions_taken: int
    decisions_dropped: int
    drop_rate: float
    refused: int
    batches: int
    picks: int
    reviews_offered: int
    reviews_done: int
    reviews_dropped: int
    starved: int
    stages: tuple[StageFigures, ...]
    broken: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return not self.broken and not self.missed


def figures_of(stages: Sequence[Timings]) -> tuple[StageFigures, ...]:
    """The stages in which anything was done."""
    made = []
    for stage in stages:
        if not stage.seconds:
            continue
        ms = np.asarray(stage.seconds) * 1000.0
        p50, p95, p99 = (float(one) for one in np.percentile(ms, [50, 95, 99]))
        made.append(StageFigures(stage.name, len(ms), p50, p95, p99, float(ms.max())))
    return tuple(made)


def missed_bounds(
    stages: Sequence[StageFigures], *, drop_rate: float, bounds: Bounds
) -> tuple[str, ...]:
    """A sentence for each bound that does not hold."""
    said = []
    if drop_rate > bounds.drop_rate:
        said.append(
            f"{drop_rate:.3%} of the decisions were dropped, {bounds.drop_rate:.3%} at most"
        )
    if bounds.p99_ms is not None:
        said += [
            f"{one.stage}: p99 is {one.p99_ms:,.0f} ms, {bounds.p99_ms:,.0f} at most"
            for one in stages
            if one.stage in WAITED_FOR and one.p99_ms > bounds.p99_ms
        ]
    return tuple(said)
