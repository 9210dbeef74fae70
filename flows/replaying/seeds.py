"""One seed of a replay after another, or some at a time in processes of their own: same bytes.

Every seed draws its own candidates and, where the file does not say which items measure, its own
held-out third; so the intervals also hold what the draw of items does. All arithmetic is on one
thread, because sums in another order round otherwise.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flows.replaying.errors import CannotReplay
from flows.replaying.heads import Fitted, Float32, Float64, fit_head
from flows.replaying.study import IntArray, Study, draw_sides, draw_start
from hitl.evaluation import average_precision
from sampling import SamplingError
from sampling.replay import Predict, Replay, join, replay


class _Model:
    """A fitted head over the rows that one seed offers, as `sampling.replay` asks for it."""

    def __init__(self, study: Study, rows: Float32, fitted: Fitted) -> None:
        self._study, self._rows, self.fitted = study, rows, fitted

    def __call__(self, places: IntArray) -> Float64:
        return self.fitted.probabilities(self._rows[places])

    def refit(self, places: IntArray, labels: NDArray[np.generic]) -> _Model:
        """The next round's model, from where this one ended."""
        return _fit(self._study, self._rows, places, labels, start=self.fitted)


def _fit(
    study: Study,
    rows: Float32,
    places: IntArray,
    labels: NDArray[np.generic],
    *,
    start: Fitted | None = None,
) -> _Model:
    fitted = fit_head(
        rows[places],
        labels.astype(np.float64),
        head=study.head,
        classes=study.classes,
        start=start,
    )
    return _Model(study, rows, fitted)


def play_seed(
    study: Study, features: Float32, seed: int, *, on_step: Callable[[], None] | None = None
) -> Replay:
    """All plans for one seed.

    Raises:
        CannotReplay: a plan cannot choose from these items.
        TooFewToReplay: see `draw_sides`.
    """
    sides = draw_sides(study, seed)
    rows, test = features[sides.offered], features[sides.measured]
    truth = study.labels[sides.measured]

    def score(model: Predict) -> float:
        found = cast(_Model, model).fitted.probabilities(test)
        if study.classes:
            return float(np.mean(found.argmax(axis=1) == truth))
        return float(
            np.mean([average_precision(p, t) for p, t in zip(found.T, truth.T, strict=True)])
        )

    try:
        return replay(
            study.plans,
            item_ids=[f"{row:07d}" for row in sides.offered],
            labels=study.labels[sides.offered],
            fit=lambda places, labels: _fit(study, rows, places, labels),
            score=score,
            seeds=[seed],
            start=study.start,
            batch=study.batch,
            rounds=study.rounds,
            embeddings=rows,
            groups=[str(group) for group in study.groups[sides.offered]],
            exclusive=bool(study.classes),
            positives=None if study.positives is None else study.positives[sides.offered],
            seconds=None if study.seconds is None else study.seconds[sides.offered],
            untrained=study.untrained,
            draw_start=lambda rng: draw_start(study, sides.offered, rng),
            on_step=None if on_step is None else lambda *_: on_step(),
        )
    except SamplingError as cause:
        raise CannotReplay(str(cause)) from cause


def play(
    study: Study,
    features: Float32,
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    on_step: Callable[[int, int], None] | None = None,
) -> Replay:
    """All seeds, in their order, `jobs` of them at a time.

    Args:
        on_step: called with (fits scored, all of them).
    """
    each = len(study.plans) * (study.rounds + 1)
    done = 0

    def tick(steps: int = 1) -> None:
        nonlocal done
        done += steps
        if on_step is not None:
            on_step(done, each * len(seeds))

    if jobs == 1 or len(seeds) == 1:
        with one_thread():
            return join([play_seed(study, features, seed, on_step=tick) for seed in seeds])
    with tempfile.TemporaryDirectory(prefix="hitl-replay-") as folder:
        path = Path(folder) / "features.npy"
        np.save(path, features)
        others = multiprocessing.active_children()
        # Spawned, not forked: a forked OpenMP runtime may hang.
        with ProcessPoolExecutor(
            min(jobs, len(seeds)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_arrive,
            initargs=(study, path),
        ) as pool:
            running = {pool.submit(_play_one, seed): seed for seed in seeds}
            played: dict[int, Replay] = {}
            try:
                for ended in as_completed(running):
                    found = ended.result()
                    if isinstance(found, str):
                        raise CannotReplay(found)
                    played[running[ended]] = found
                    tick(each)
            except BrokenProcessPool as cause:
                raise CannotReplay(
                    "one of its processes was ended from outside, most often for want of memory; "
                    "take fewer --jobs"
                ) from cause
            except BaseException:
                # Whoever interrupts does not wait for seeds that nobody will read.
                pool.shutdown(wait=False, cancel_futures=True)
                for child in set(multiprocessing.active_children()) - set(others):
                    child.terminate()
                    child.join()
                raise
    return join([played[seed] for seed in seeds])


@contextmanager
def one_thread() -> Iterator[None]:
    """Numpy, scipy and torch on one thread while it lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


_here: list[tuple[Study, Float32]] = []
"""What a worker process has been given to play."""


def _arrive(study: Study, path: Path) -> None:
    torch.set_num_threads(1)
    threadpool_limits(1)
    _here[:] = [(study, np.load(path, mmap_mode="r"))]


def _play_one(seed: int) -> Replay | str:
    study, features = _here[0]
    try:
        return play_seed(study, features, seed)
    except CannotReplay as refusal:
        return str(refusal.__cause__)  # an error with fields of its own does not travel
