"""The most uncertain of a million items: against modAL, and against reading the numbers once.

    python -m benchmarks.top_k [--rounds 3]

modAL's margin, entropy and least confidence see the same (1,000,000, 8) array of exclusive
probabilities as ours: float32, and its margin also as float64, which is what scikit-learn's
classifiers answer with and what the bar is held against. The limit is one streaming read of the
float32. Every cell is the median of five choices, each from a new pool.
Exit 1 if a bar is missed, 2 if modAL is not installed.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from rich.console import Console

from benchmarks.sampler_cells import Cell, measure, ours
from benchmarks.sampler_limits import Limits, measure_limits
from benchmarks.sampler_peers import NoPeer, modal
from benchmarks.sampler_pools import made_pools
from benchmarks.sampler_report import NO_PEER, Bars, Spread, Times, size_of

ITEMS, PICKS, TIMES = 1_000_000, 1_000, 5
LEAST_FASTER, MOST_OF_LIMIT = 10.0, 10.0
HELD = ("margin", "entropy", "weighted_random")
BESIDE = ("least_confidence", "random")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    console = Console(width=120)
    times = Times("Top k by probabilities, CPU seconds of one thread")
    bars = Bars(console)
    mine = [ours(name, exclusive=True) for name in (*HELD, *BESIDE)]
    mine += [
        ours(name, exclusive=False, name=f"{name}, multi-label")
        for name in ("margin", "uncertain", "weighted_random")
    ]
    try:
        peers = [modal("margin", kind=np.float64)]
        peers += [modal(measure) for measure in ("margin", "entropy", "uncertainty")]
    except NoPeer as missing:
        console.print(str(missing))
        return NO_PEER
    limits: list[Limits] = []
    found: dict[str, list[Cell]] = {}
    with made_pools(ITEMS) as pools:
        made = pools[ITEMS]
        size = size_of(made, PICKS)
        for _ in range(given.rounds):
            limits.append(measure_limits())
            for one in (*peers, *mine):
                cell = measure(one, made, picks=PICKS, times=TIMES)
                found.setdefault(one.name, []).append(times.add(size, one, cell))
    bounds = [limit.stream(ITEMS) for limit in limits]
    for name, cells in found.items():
        over = [cell.choose / bound for cell, bound in zip(cells, bounds, strict=True)]
        times.notes[size, name] = f"{Spread.of(over)}x the limit"
    times.print(console)
    console.print(f"limit {np.median(bounds) * 1000:.2f} ms: {limits[0]}")
    margin = found[peers[0].name]
    for one in mine[: len(HELD)]:
        cells = found[one.name]
        faster = [b.choose / a.choose for a, b in zip(cells, margin, strict=True)]
        over = [cell.choose / bound for cell, bound in zip(cells, bounds, strict=True)]
        claim = f"{size}: {one.name.removeprefix('ours: ')}"
        bars.hold(
            f"{claim} faster than modAL margin (float64)",
            Spread.of(faster),
            "at least",
            LEAST_FASTER,
        )
        bars.hold(f"{claim} over the limit", Spread.of(over), "at most", MOST_OF_LIMIT)
    same = np.mean(np.isin(found["ours: margin"][0].rows, found[peers[1].name][0].rows))
    bars.hold(f"{size}: margin's picks that are modAL's", 100.0 * same, "at least", 100.0, "%")
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
