"""Uncertain candidates, then one a cluster: against cardinal's TwoStepKMeans.

    python -m benchmarks.two_stage [--rounds 3]

The peer (beta 10: ten candidates a pick) sees the same rows and the same exclusive probabilities.
Beside the time: how many of the pool's topics and campaigns a batch reaches, how uncertain its
items are, and how many of them are near-duplicates of each other. Whether a model learns as much
from it is measured elsewhere, on labels.
Exit 1 if a bar is missed, 2 if the peer is not installed.
"""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from benchmarks.sampler_cells import measure, ours
from benchmarks.sampler_limits import measure_limits
from benchmarks.sampler_peers import NoPeer, cardinal_two_step
from benchmarks.sampler_pools import made_pools
from benchmarks.sampler_quality import clusters_hit, near_duplicates, uncertainty_of
from benchmarks.sampler_report import NO_PEER, Bars, Spread, Times, size_of

ITEMS, PICKS = 200_000, 1_000
LEAST_FASTER, LEAST_CLUSTERS = 8.0, 0.95
HELD, BESIDE = "uncertain_k_means", ("uncertain_k_center", "uncertain_diverse")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    console = Console(width=120)
    times = Times("Two stages, CPU seconds of one thread")
    bars = Bars(console)
    try:
        peer = cardinal_two_step()
    except NoPeer as missing:
        console.print(str(missing))
        return NO_PEER
    found: dict[str, list[float]] = {name: [] for name in (HELD, *BESIDE, peer.name)}
    hit: dict[str, int] = {}
    with made_pools(ITEMS) as pools:
        made = pools[ITEMS]
        size = size_of(made, PICKS)
        for _ in range(given.rounds):
            limits = measure_limits()
            mine = [(name, ours(name, exclusive=True)) for name in (HELD, *BESIDE)]
            for name, one in (*mine, (peer.name, peer)):
                cell = times.add(size, one, measure(one, made, picks=PICKS))
                found[name].append(cell.choose)
                hit[name] = clusters_hit(made, cell.rows)
                over = cell.choose / limits.two_stage(ITEMS, PICKS)
                times.notes[size, one.name] = (
                    f"{hit[name]} clusters, uncertainty {uncertainty_of(made, cell.rows):.3f}, "
                    f"{near_duplicates(made, cell.rows):.1%} near-duplicates, {over:.1f}x limit"
                )
    times.print(console)
    for name in (HELD, BESIDE[0]):
        faster = [b / a for a, b in zip(found[name], found[peer.name], strict=True)]
        claim = f"{size}: {name} faster than {peer.name}"
        bars.hold(claim, Spread.of(faster), "at least", LEAST_FASTER)
    reached = hit[HELD] / hit[peer.name]
    bars.hold(f"{size}: {HELD}, clusters hit to the peer's", reached, "at least", LEAST_CLUSTERS)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
