"""What learning from an earlier model's decisions is worth, on a real decision log.

    python -m benchmarks.earlier_model [--data FOLDER] [--seeds 5]

Rounds of labels are chosen by the model itself and answered by the log's gold, in memory, once
with the production model's decisions as a prior and once without: the same seeds, the same items
to choose from, alternating. Printed are macro average precision on held-out items after each round
and the paired difference with its 95 % interval; production's own score stands beside them.
Exit 1 if the prior loses with confidence at any budget.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.text_sets import data_root
from flows.demo.real_log import real_scene
from flows.demo.replay import CurvesBesideRandom, curves_beside_random, quick_fit
from flows.demo.scene import Scene
from sampling import Replay

BUDGETS = (200, 400, 600, 800, 1000)
WITH, WITHOUT = "with", "without"


def play(scene: Scene, seed: int, *, with_prior: bool) -> CurvesBesideRandom:
    """One seed's rounds."""
    categories = scene.policy.category_ids
    return curves_beside_random(
        scene.pool,
        scene.test,
        budgets=BUDGETS,
        recipe=scene.recipe,
        categories=categories,
        seeds=(seed,),
        fit=quick_fit(categories, earlier=scene.pool if with_prior else None),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="the folder that holds `decisions`")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args(arguments)
    console = Console(width=110)
    root = data_root(given.data)
    if root is None:
        console.print("no data: set HITL_SHARED_DATA or --data to the folder of the data sets")
        return 2
    seeds = tuple(range(1, given.seeds + 1))
    scores = np.empty((2, len(seeds), len(BUDGETS)))
    with tempfile.TemporaryDirectory() as folder:
        scene = real_scene(root / "decisions", Path(folder))
        for place, seed in enumerate(seeds):
            for number, with_prior in enumerate((True, False)):
                played = play(scene, seed, with_prior=with_prior)
                scores[number, place] = played.active.mean
    replay = Replay((WITH, WITHOUT), seeds, np.asarray(BUDGETS, dtype=np.intp), scores)
    one, other = replay.curve(WITH), replay.curve(WITHOUT)
    gain = replay.difference(WITH, against=WITHOUT)
    table = Table(title=f"macro average precision; production {played.production:.3f}")
    for heading in ("labels", "with the prior", "without", "difference", "95 %"):
        table.add_column(heading, justify="right")
    for k, budget in enumerate(BUDGETS):
        table.add_row(
            f"{budget:,}",
            f"{one.mean[k]:.3f}",
            f"{other.mean[k]:.3f}",
            f"{gain.mean[k]:+.3f}",
            f"{gain.low[k]:+.3f} {gain.high[k]:+.3f}",
        )
    console.print(table)
    lost = [str(budget) for budget, high in zip(BUDGETS, gain.high, strict=True) if high < 0]
    console.print("lost at " + ", ".join(lost) if lost else "lost with confidence at no budget")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
