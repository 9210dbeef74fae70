"""Exact BADGE against scikit-activeml's, against the machine, and without the gradient matrix.

    python -m benchmarks.badge [--rounds 3] [--million | --no-million]

The peer is Badge of scikit-activeml 1.0.1 over the same rows and the same exclusive probabilities.
The limit is that of comparing every row with every pick. The memory held beside the pool is set
against the (N, C x D) matrix of gradients that the method is usually written with.
Exit 1 if a bar is missed, 2 if the peer is not installed.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from rich.console import Console

from benchmarks.sampler_cells import Contender, measure, ours
from benchmarks.sampler_limits import measure_limits
from benchmarks.sampler_peers import NoPeer, activeml_badge
from benchmarks.sampler_pools import CATEGORIES, DIMENSIONS, MadePool, made_pools
from benchmarks.sampler_report import NO_PEER, Bars, Spread, Times, size_of

SMALL, FEW = 10_000, 100
LARGE, LARGEST, PICKS = 200_000, 1_000_000, 1_000
LEAST_FASTER, MOST_OF_LIMIT, MOST_MEMORY = 50.0, 3.0, 256.0


def badge(*, exclusive: bool) -> Contender:
    kind = "exclusive" if exclusive else "multi-label"
    return ours("badge", exclusive=exclusive, name=f"badge, {kind}")


def against_peer(made: MadePool, *, rounds: int, times: Times, bars: Bars) -> None:
    size, mine, peer = size_of(made, FEW), badge(exclusive=True), activeml_badge()
    faster = []
    for _ in range(rounds):
        fast = times.add(size, mine, measure(mine, made, picks=FEW, times=5))
        slow = times.add(size, peer, measure(peer, made, picks=FEW))
        faster.append(slow.choose / fast.choose)
        repeats = FEW - len(np.unique(slow.rows))
        times.notes[size, peer.name] = f"{repeats} of {FEW} picks are repeats"
    bars.hold(f"{size}: faster than {peer.name}", Spread.of(faster), "at least", LEAST_FASTER)


def against_limit(made: MadePool, *, rounds: int, times: Times, bars: Bars) -> None:
    size = size_of(made, PICKS)
    matrix = len(made) * CATEGORIES * DIMENSIONS * 4 / 2**20
    for mine in (badge(exclusive=True), badge(exclusive=False)):
        ratios, memory = [], []
        for _ in range(rounds):
            limits = measure_limits()
            bound = limits.all_distances(len(made), PICKS)
            cell = times.add(size, mine, measure(mine, made, picks=PICKS))
            times.notes[size, mine.name] = f"limit {bound:.2f} s: {limits}"
            ratios.append(cell.choose / bound)
            memory.append(cell.memory)
        claim = f"{size}, {mine.name.split()[-1]}"
        bars.hold(f"{claim}: over the limit", Spread.of(ratios), "at most", MOST_OF_LIMIT)
        bars.hold(
            f"{claim}: beside the pool (gradients are {matrix:,.0f} MiB)",
            Spread.of(memory),
            "at most",
            MOST_MEMORY,
            "MiB",
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--million", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args(arguments)
    console = Console(width=120)
    times = Times("Exact BADGE, CPU seconds of one thread")
    bars = Bars(console)
    try:
        activeml_badge()
        with made_pools(SMALL, LARGE, *[LARGEST] * given.million) as pools:
            against_peer(pools[SMALL], rounds=given.rounds, times=times, bars=bars)
            for size in (LARGE, *[LARGEST] * given.million):
                against_limit(pools[size], rounds=given.rounds, times=times, bars=bars)
    except NoPeer as missing:
        console.print(str(missing))
        return NO_PEER
    times.print(console)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
