"""`python -m benchmarks.estimates`: all online metrics at once, beside one by one with scipy.

50,000 labels of uneven chances, 20 slices, 8 categories, every metric with its certified interval:
1,120 figures. One by one they are `hitl.evaluation.estimate`: masks, sums, and scipy's quantiles
for each. Both give the same numbers, which is checked. By turns; options: `--labels`, `--rounds`.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.sampler_report import Bars, Spread
from hitl.evaluation import METRICS, estimate, estimate_tables

SLICES, CATEGORIES = 20, 8


def make_labels(labels: int) -> dict[str, Any]:
    """Rare and frequent categories, chances that follow the scores."""
    rng = np.random.default_rng(20260101)
    scores = rng.beta(1, np.linspace(5, 40, CATEGORIES), (labels, CATEGORIES))
    return {
        "truth": (rng.random(scores.shape) < scores).astype(float),
        "flagged": scores > 0.3,
        "inclusion_probability": np.clip(0.02 + scores.max(axis=1), 0.0, 1.0),
        "groups": rng.integers(0, SLICES, labels),
        "size": SLICES,
    }


def one_by_one(given: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Values and limits, shape (metrics, slices, categories, 3)."""
    found = np.full((len(METRICS), SLICES, CATEGORIES, 3), np.nan)
    for group in range(SLICES):
        rows = given["groups"] == group
        for category in range(CATEGORIES):
            for k, metric in enumerate(METRICS):
                one = estimate(
                    metric,
                    truth=given["truth"][rows, category],
                    flagged=given["flagged"][rows, category],
                    inclusion_probability=given["inclusion_probability"][rows],
                )
                if one.value is not None:
                    found[k, group, category] = one.value, one.low, one.high
    return found


def at_once(given: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The same."""
    return np.stack(
        [
            np.stack([table.value, table.low, table.high], axis=-1)
            for table in estimate_tables(METRICS, **given)
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--labels", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    console = Console(width=120)
    bars = Bars(console)
    given = make_labels(asked.labels)
    np.testing.assert_allclose(at_once(given), one_by_one(given), rtol=1e-9)
    ratios = []
    for _ in range(asked.rounds):
        seconds = []
        for way in (at_once, one_by_one):
            begun = time.process_time()
            way(given)
            seconds.append(time.process_time() - begun)
        console.print(f"at once {seconds[0]:.3f} s, one by one {seconds[1]:.2f} s of CPU")
        ratios.append(seconds[1] / seconds[0])
    bars.hold("all metrics at once, over one by one", Spread.of(ratios), "at least", 20)
    return bars.print()


if __name__ == "__main__":
    sys.exit(main())
