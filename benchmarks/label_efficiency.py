"""How many labels a plan needs: learning curves on real moderation text, paired over 30 seeds.

`python -m benchmarks.label_efficiency [--seeds 30] [--jobs 2] [--only TEXT] [--out FOLDER]`

Heads are refitted from the labels alone after each batch; all plans of a seed start from the same
rows and offer the same candidates. Intervals are Student's over seeds, of differences seed by
seed; they leave out the noise of the test rows. Exit 0 met, 1 missed, 2 no data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.learning_bars import Row, judge
from benchmarks.learning_cells import Cell, cells
from benchmarks.sampler_peers import GivenProbabilities
from benchmarks.text_sets import data_root
from flows.replaying.heads import Fitted, fit_head
from flows.replaying.seeds import one_thread
from hitl.evaluation import average_precision
from sampling import DEFAULT_PLAN, Plan, Pool, Replay, Share, Strategy, replay
from sampling.replay import Predict, join

IntArray = NDArray[np.intp]
ROUNDS = 10
PLANS: dict[str, Plan | Strategy] = {
    "random": Plan((Share("random", "random", 1.0),)),
    "margin": Plan((Share("margin", "margin", 1.0),)),
    "default": DEFAULT_PLAN,
}
PER_SECOND = Plan(
    tuple(
        Share(one.name, "uncertain_diverse_per_second", one.fraction)
        if one.strategy == "uncertain_diverse"
        else one
        for one in DEFAULT_PLAN.shares
    )
)


@dataclass(frozen=True)
class _Model:
    rows: NDArray[np.float32]
    cell: Cell
    fitted: Fitted

    def __call__(self, places: IntArray) -> NDArray[np.float64]:
        return self.fitted.probabilities(self.rows[places])

    def refit(self, places: IntArray, labels: NDArray[np.generic]) -> _Model:
        return _fit(self.rows, self.cell, places, labels, start=self.fitted)


def _fit(
    rows: NDArray[np.float32],
    cell: Cell,
    places: IntArray,
    labels: NDArray[np.generic],
    start: Fitted | None = None,
) -> _Model:
    answers = labels.astype(np.float64)
    fitted = fit_head(rows[places], answers, head=cell.head, classes=cell.classes, start=start)
    return _Model(rows, cell, fitted)


def two_step(pool: Pool, *, limit: int, rng: Generator) -> IntArray:
    """The best peer: Zhdanov's two-step k-means, ten candidates a pick, as cardinal has it."""
    from cardinal.zhdanov2019 import TwoStepKMeansSampler

    p = pool.probabilities
    if not pool.exclusive:
        p = np.concatenate([p, 1.0 - p.max(axis=1, keepdims=True)], axis=1)
    p = p / p.sum(axis=1, keepdims=True)

    every = pool.unit_embeddings(np.arange(len(pool)))
    seed = int(rng.integers(2**31))
    sampler = TwoStepKMeansSampler(
        10, GivenProbabilities(p), limit, assume_fitted=True, random_state=seed, n_init=1
    )
    sampler.fit(every[:2], np.zeros(2))
    return np.asarray(sampler.select_samples(every), dtype=np.intp)


def play(cell: Cell, plans: dict[str, Plan | Strategy], seed: int) -> Replay:
    """One seed of one cell, all plans."""
    offered, measured = cell.sides(seed)
    rows, test, truth = cell.rows[offered], cell.rows[measured], cell.labels[measured]

    def score(model: Predict) -> float:
        assert isinstance(model, _Model)
        found = model.fitted.probabilities(test)
        if cell.classes:
            return float(np.mean(found.argmax(axis=1) == truth))
        pairs = zip(found.T, truth.T, strict=True)
        return float(np.mean([average_precision(p, t) for p, t in pairs]))

    def first(rng: Generator) -> IntArray:
        """By chance, with three of each answer of every category."""
        order = rng.permutation(len(offered))
        answers = cell.labels[offered][order]
        if cell.classes:
            answers = answers[:, None] == np.arange(cell.classes)
        wanted = [
            order[np.flatnonzero(column == value)[:3]] for column in answers.T for value in (1, 0)
        ]
        some = np.array(list(dict.fromkeys(np.concatenate(wanted).tolist())), dtype=np.intp)
        rest = order[~np.isin(order, some)]
        return np.concatenate([some, rest[: cell.start - len(some)]])

    with one_thread():
        return replay(
            plans,
            item_ids=[f"{row:07d}" for row in offered],
            labels=cell.labels[offered],
            fit=lambda places, labels: _fit(rows, cell, places, labels),
            score=score,
            seeds=[seed],
            start=cell.start,
            batch=cell.batch,
            rounds=ROUNDS,
            embeddings=rows,
            exclusive=bool(cell.classes),
            seconds=None if cell.seconds is None else cell.seconds[offered],
            draw_start=first,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    data, harness = data_root(given.data), _harness(given.harness)
    if data is None and harness is None:
        print("no labelled sets: give --data, or HITL_SHARED_DATA", file=sys.stderr)
        return 2
    plans = dict(PLANS)
    try:
        import cardinal  # noqa: F401

        plans["two-step k-means"] = two_step
    except ModuleNotFoundError:
        print("cardinal is not installed (`make bench` installs it): no peer beside margin")
    found: list[Row] = []
    for name, make in cells(data, harness):
        if given.only not in name:
            continue
        cell = make()
        mine = plans | ({"per second": PER_SECOND} if cell.seconds is not None else {})
        jobs = (delayed(play)(cell, mine, seed) for seed in range(given.seeds))
        row = Row(cell.name, cell.bar, join(list(Parallel(n_jobs=given.jobs)(jobs))))
        print(row.line(), flush=True)
        found.append(row)
        if given.out is not None:
            given.out.mkdir(parents=True, exist_ok=True)
            written = json.dumps([one.figures() for one in found], indent=1)
            (given.out / "label_efficiency.json").write_text(written)
    return judge(found)


def _harness(given: Path | None) -> Path | None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "bench"
    named = os.environ.get("HITL_SHARED_BENCH")
    root = given or (Path(named) if named else beside)
    return root if (root / "al_curve.py").is_file() else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--harness", type=Path, help="the folder of the shared sampler harness")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="cells whose name holds this")
    parser.add_argument("--out", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
