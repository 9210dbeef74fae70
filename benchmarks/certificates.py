"""`python -m benchmarks.certificates`: how often what is certified is not true, in worlds we know.

A world has scores, a chance to violate at each score, and labels drawn evenly. Beside the certified
threshold stands the naive one, the lowest score above which the labels alone look good enough.

- **precision**: four worlds. *rising*: higher scores are purer. *plateau*: nothing reaches the
  obligation, and nearly everything almost does. *impure top*: copies of something harmless score
  highest. *spoiled top*: these, and without them nearly nothing to spare, so nothing reaches it.
- **both**: precision and recall of one category, together; the share that goes to review beside the
  oracle's, who knows the world. From even draws, and from as many of an audit as the loop draws it.
- **watch**: how often a promise that is kept is withdrawn in 5,000 looks, how soon one that is not.
- **backlog**: how often a certificate of 90 % found is false, at the edge, over several looks.

Options: `--worlds 2000`. Exit 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.sampler_report import Bars
from hitl.evaluation import (
    Band,
    certify_backlog,
    certify_band,
    certify_precision,
    thin,
    watch_rate,
)
from hitl.recipe import SelectionRecipe
from sampling import Aim, Pool, draw_allocated, influence

FloatArray = NDArray[np.float64]

AT_LEAST = 0.95
MAY_ERR = 0.05
LABELS = 1500
BOTH_LABELS = 12_000
PROMISED = {"precision": 0.95, "recall": 0.9, "confidence": 0.95}


@dataclass(frozen=True, slots=True)
class World:
    """Scores are even in [0, 1]; `violating(score)` is the chance to violate."""

    name: str
    violating: Callable[[FloatArray], FloatArray]
    starts: int

    def precision_above(self, threshold: float) -> float:
        """The truth, by integration."""
        grid = np.linspace(threshold, 1.0, 20_001)
        return float(self.violating(grid).mean())


def _rising(score: FloatArray) -> FloatArray:
    return 0.8 + 0.2 * score


def _plateau(score: FloatArray) -> FloatArray:
    return np.full_like(score, 0.949)


def _impure_top(score: FloatArray) -> FloatArray:
    return np.where(score > 0.95, 0.9, np.where(score > 0.45, 0.985, 0.5))


def _spoiled_top(score: FloatArray) -> FloatArray:
    return np.where(score > 0.95, 0.85, 0.955)


PRECISION_WORLDS = (
    World("rising", _rising, starts=1),
    World("plateau", _plateau, starts=1),
    World("impure top", _impure_top, starts=1),
    World("plateau, 4 starts", _plateau, starts=4),
    World("impure top, 4 starts", _impure_top, starts=4),
    World("spoiled top", _spoiled_top, starts=1),
    World("spoiled top, 4 starts", _spoiled_top, starts=4),
)


def naive(scores: FloatArray, truth: FloatArray) -> float | None:
    """The lowest score above which the share of violating labels is high enough."""
    order = np.argsort(-scores)
    share = np.cumsum(truth[order]) / np.arange(1, len(scores) + 1)
    good = np.flatnonzero((share >= AT_LEAST) & (np.arange(1, len(scores) + 1) >= 30))
    return float(scores[order[good[-1]]]) if len(good) else None


def limit(worlds: int) -> float:
    """What a rate of MAY_ERR may look like in so many worlds: two standard errors more."""
    return round(MAY_ERR + 2.0 * math.sqrt(MAY_ERR * (1.0 - MAY_ERR) / worlds), 4)


def precision(console: Console, bars: Bars, *, worlds: int) -> None:
    """Certified beside naive, in each world."""
    table = Table(title=f"Precision of {AT_LEAST:g}, {LABELS:,} labels, {worlds:,} worlds")
    for heading in ("world", "naive violates", "certified violates", "naive decides", "certified"):
        table.add_column(heading, justify="left" if heading == "world" else "right")
    for k, world in enumerate(PRECISION_WORLDS):
        rng = np.random.default_rng([20260101, k])
        violations, decided = np.zeros(2), np.zeros(2)
        for _ in range(worlds):
            scores = rng.random(LABELS)
            truth = (rng.random(LABELS) < world.violating(scores)).astype(float)
            proved = certify_precision(
                scores, truth, at_least=AT_LEAST, confidence=1.0 - MAY_ERR, starts=world.starts
            )
            for at, value in enumerate((naive(scores, truth), proved.value if proved else None)):
                if value is not None:
                    violations[at] += world.precision_above(value) < AT_LEAST
                    decided[at] += 1.0 - value
        rates, shares = violations / worlds, decided / worlds
        table.add_row(world.name, *(f"{one:.3f}" for one in (*rates, *shares)))
        bars.hold(f"{world.name}: certified and not true", rates[1], "at most", limit(worlds), "")
        if world.name in ("plateau", "spoiled top"):
            bars.hold(f"{world.name}: naive and not true", rates[0], "at least", 0.5, "")
    console.print(table)


def both(console: Console, bars: Bars, *, worlds: int) -> None:
    """Two obligations of one category at once, and what is left to people."""
    rng = np.random.default_rng(20260102)
    everything = 400_000
    truth = (rng.random(everything) < 0.05).astype(float)
    scores = np.where(truth == 1.0, rng.beta(4, 2, everything), rng.beta(1.2, 9, everything))
    order = np.argsort(-scores)
    found = np.cumsum(truth[order])
    pure = np.flatnonzero(found / np.arange(1, everything + 1) >= 0.95)[-1]
    enough = np.flatnonzero(found >= 0.9 * truth.sum())[0]
    oracle = max(enough - pure, 0) / everything

    def even(rng: Generator) -> Band:
        rows = rng.integers(0, everything, BOTH_LABELS)
        return certify_band(scores[rows], truth[rows], **PROMISED)

    for name, draw in (("even", even), ("allocated", _allocated(scores, truth))):
        violated, loads = 0, []
        for k in range(worlds):
            band = draw(np.random.default_rng([20260102, k]))
            blocked, kept = scores >= band.block_from, scores >= band.allow_below
            bad = bool(blocked.any() and truth[blocked].mean() < PROMISED["precision"])
            violated += bad or found[np.count_nonzero(kept) - 1] < 0.9 * truth.sum()
            loads.append(np.count_nonzero(kept & ~blocked) / everything)
        console.print(
            f"both obligations, {worlds:,} worlds of {BOTH_LABELS:,} labels, {name}, at 5 % "
            f"prevalence: review {np.mean(loads):.2%} on average, the oracle {oracle:.2%}"
        )
        bars.hold(f"{name}: either is not true", violated / worlds, "at most", limit(worlds), "")
        if oracle > 0:
            load = float(np.mean(loads)) / oracle
            bars.hold(f"{name}: review load over the oracle's", load, "at most", 2.5)


def _allocated(scores: FloatArray, truth: FloatArray) -> Callable[[Generator], Band]:
    """The loop's own audit: spent where it narrows, then thinned as for certificates."""
    pool = Pool([f"item-{k:06d}" for k in range(len(scores))], scores[:, None])
    flagged = scores >= 0.5
    worth = influence(scores[:, None], flagged[:, None], (Aim(0, "precision"), Aim(0, "recall")))
    floor = SelectionRecipe().audit_floor

    def draw(rng: Generator) -> Band:
        made = draw_allocated(pool, worth, limit=BOTH_LABELS, floor_share=floor, rng=rng)
        rows, chance = made.rows, made.inclusion_probability
        uniform, high = rng.random(len(rows)), np.flatnonzero(flagged[rows])
        kept = rows[thin(chance, uniform, least=np.full(len(rows), made.least()))]
        least = np.full(len(high), made.least(flagged))
        own = rows[high[thin(chance[high], uniform[high], least=least)]]
        return certify_band(
            scores[kept], truth[kept], flagged=(scores[own], truth[own]), **PROMISED
        )

    return draw


def watch(console: Console, bars: Bars, *, worlds: int) -> None:
    """False alarms with a look at every label, and the delay to true ones."""
    rng = np.random.default_rng(20260103)
    kept = [watch_rate(rng.random(5000) < 0.95, at_least=0.95).is_alarmed for _ in range(worlds)]
    bars.hold("alarms of 5,000 looks, promise kept", float(np.mean(kept)), "at most", MAY_ERR, "")
    for rate in (0.92, 0.90):
        ends = [watch_rate(rng.random(8000) < rate, at_least=0.95).alarm_at for _ in range(400)]
        delays = [8000 if one is None else one + 1 for one in ends]
        middle, late = np.percentile(delays, [50, 90])
        console.print(f"from .95 to {rate:g}: found after {middle:.0f} labels, 90 % by {late:.0f}")
        if rate == 0.92:
            bars.hold("labels until .92 is found, median", middle, "at most", 500, "")


def backlog(console: Console, bars: Bars, *, worlds: int) -> None:
    """At the edge, where one more find decides, with up to five looks."""
    rng = np.random.default_rng(20260104)
    false = 0
    for _ in range(worlds):
        hidden, unreviewed, found = 125, 9115, 885
        for look in range(1, 6):
            seen = int(rng.hypergeometric(hidden, unreviewed - hidden, 300))
            one = certify_backlog(
                found_before=found, unreviewed=unreviewed, drawn=300, violating_in_draw=seen,
                at_least=0.9, look=look,
            )  # fmt: skip
            hidden, unreviewed, found = hidden - seen, unreviewed - 300, found + seen
            if one.is_certified:
                false += found < 0.9 * 1010
                break
    bars.hold("backlog: certified and not true", false / worlds, "at most", MAY_ERR, "")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--worlds", type=int, default=2000)
    given = parser.parse_args()
    console = Console(width=120)
    bars = Bars(console)
    precision(console, bars, worlds=given.worlds)
    both(console, bars, worlds=max(100, given.worlds // 4))
    watch(console, bars, worlds=given.worlds)
    backlog(console, bars, worlds=given.worlds)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
