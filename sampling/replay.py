"""Which plan learns faster: replay them over a set whose labels are known, from the same starts.

Knows no model: `fit` gets rows and labels and returns what predicts, `score` judges that on
whatever the caller holds out. Every plan meets the same seeds, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from sampling.curves import Curve, Replay, join
from sampling.errors import BadBudget, BadPool
from sampling.plan import Plan, choose
from sampling.pool import BoolArray, FloatArray, IntArray, Labelled, Pool
from sampling.reach import Reach
from sampling.scores import Strategy

__all__ = ["Curve", "Fit", "Predict", "Reach", "Replay", "join", "replay"]

Predict = Callable[[IntArray], FloatArray]
"""rows of the replayed set -> probabilities (len(rows), C).

It may have a method `refit(rows, labels) -> Predict`, which is then called in place of `fit` in
the next round of the same plan and seed: a model that starts from its last weights is there sooner.
"""

Fit = Callable[[IntArray, NDArray[np.generic]], Predict]
"""(rows, their labels) -> Predict."""


def replay(
    plans: Mapping[str, Plan | Strategy],
    *,
    item_ids: Sequence[str],
    labels: ArrayLike,
    fit: Fit,
    score: Callable[[Predict], float],
    seeds: Sequence[int],
    start: int,
    batch: int,
    rounds: int,
    embeddings: ArrayLike | None = None,
    groups: Sequence[str | None] | None = None,
    exclusive: bool = False,
    positives: ArrayLike | None = None,
    seconds: ArrayLike | None = None,
    untrained: Collection[str] = (),
    draw_start: Callable[[Generator], IntArray] | None = None,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Replay:
    """Label `start` items, then `rounds` batches of `batch` as each plan would choose them.

    Args:
        plans: by the name they carry in the result. Put a plan of all `random` among them. A
            strategy in place of a plan chooses whole batches by itself, from the pool as it is.
        labels: what a reviewer would answer, first axis N; handed to `fit` as it is.
        fit: called with all rows to train on so far (ascending) and their labels: once a seed for
            the start, which all plans share, and then once a round (but see `Predict`).
        score: called after each fit; higher is better.
        seeds: one start and one stream of draws each, the same for every plan.
        positives: shape (N,), True for what a team looks for, counted as it is found. By default
            what holds any label, where the labels are 0/1 and not exclusive.
        seconds: shape (N,), what each item costs a reviewer; added up as it is spent, and known
            to the strategies beforehand.
        untrained: names of shares whose labels are bought, counted, and kept from `fit`: an audit
            that only measures.
        draw_start: chooses the first rows, for instance with some of every category; by default
            `start` rows at random. It must always return `start` rows.
        on_step: called after each score with (plan, seed, labels spent), for a progress bar.

    Raises:
        BadBudget: the items do not suffice for the rounds, or there is no seed or no plan.
        BadPool: `positives`, `seconds` or anything else does not fit the items.
    """
    items = _Items(item_ids, labels, embeddings, groups, seconds, exclusive=exclusive)
    needed = start + batch * rounds
    if needed > len(items) or start < 1 or batch < 1 or rounds < 0:
        raise BadBudget(
            f"start {start} and {rounds} rounds of {batch} need {needed} items (start and batch "
            f"at least 1); there are {len(items)}"
        )
    if not seeds or not plans:
        raise BadBudget("give at least one seed and one plan")
    wanted = _positives(positives, items.answers, exclusive=exclusive)
    shape = (len(plans), len(seeds), rounds + 1)
    scores, found, spent = np.empty(shape), np.zeros(shape, dtype=np.intp), np.zeros(shape)
    for place, seed in enumerate(seeds):
        first = _first_rows(seed, len(items), start=start, draw_start=draw_start)
        # Every plan starts from the same rows, so from one model.
        beginning = fit(first, items.answers[first])
        beginning_score = score(beginning)
        for number, (name, plan) in enumerate(plans.items()):
            bought, rows, predict = first, first, beginning
            for turn in range(rounds + 1):
                if turn > 0:
                    pool, left = items.pool(bought, rows, predict)
                    # Every round draws anew, and in the same round every plan from one seed.
                    draw = seed * 1_000_003 + turn - 1
                    chosen, trains = _batch_of(plan, pool, untrained, limit=batch, seed=draw)
                    bought = np.union1d(bought, left[chosen])
                    rows = np.union1d(rows, left[chosen[trains]])
                    predict = getattr(predict, "refit", fit)(rows, items.answers[rows])
                at = (number, place, turn)
                scores[at] = beginning_score if turn == 0 else score(predict)
                if wanted is not None:
                    found[at] = np.count_nonzero(wanted[bought])
                if items.seconds is not None:
                    spent[at] = items.seconds[bought].sum()
                if on_step is not None:
                    on_step(name, seed, len(bought))
    return Replay(
        tuple(plans),
        tuple(seeds),
        start + batch * np.arange(rounds + 1),
        scores,
        None if wanted is None else found,
        None if items.seconds is None else spent,
    )


class _Items:
    """The labelled set, and what is left of it as a pool to choose from."""

    def __init__(
        self,
        item_ids: Sequence[str],
        labels: ArrayLike,
        embeddings: ArrayLike | None,
        groups: Sequence[str | None] | None,
        seconds: ArrayLike | None,
        *,
        exclusive: bool,
    ) -> None:
        self.ids = np.array(tuple(item_ids), dtype=object)
        self.answers = np.asarray(labels)
        self.points: FloatArray | None = None if embeddings is None else np.asarray(embeddings)
        self.groups = None if groups is None else np.asarray(groups, dtype=object)
        self.seconds = None if seconds is None else np.asarray(seconds, dtype=np.float64)
        self.exclusive = exclusive
        if self.seconds is not None and self.seconds.shape != self.ids.shape:
            raise BadPool(
                f"seconds has shape {self.seconds.shape}; give {len(self)} numbers, one an item"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def pool(self, bought: IntArray, labelled: IntArray, predict: Predict) -> tuple[Pool, IntArray]:
        """What is not bought yet as the model sees it, and which row here each of its rows is."""
        is_left = np.ones(len(self), dtype=np.bool_)
        is_left[bought] = False
        left = np.flatnonzero(is_left)
        probabilities = predict(left)
        pool = Pool(
            self.ids[left].tolist(),
            probabilities,
            None if self.points is None else _Left(self.points, left),
            None if self.groups is None else self.groups[left].tolist(),
            self.exclusive,
            labelled=self._known(labelled, np.shape(probabilities)[1]),
            seconds=None if self.seconds is None else self.seconds[left],
        )
        return pool, left

    def _known(self, rows: IntArray, categories: int) -> Labelled | None:
        """What is labelled, where the labels are 0/1 columns or numbers of exclusive classes."""
        if self.points is None or self.answers.dtype.kind not in "biuf":
            return None
        answers = self.answers[rows]
        if self.exclusive and answers.ndim == 1:
            answers = answers[:, None] == np.arange(categories)
        if answers.ndim != 2 or answers.shape[1] != categories:
            return None
        return Labelled(self.points[rows], answers)


class _Left:
    """The embeddings of what is left, read where a strategy looks and copied nowhere else."""

    def __init__(self, points: FloatArray, left: IntArray) -> None:
        self._points, self._left = points, left
        self.shape = (len(left), points.shape[1])

    def __getitem__(self, rows: IntArray, /) -> FloatArray:
        found: FloatArray = self._points[self._left[rows]]
        return found


def _batch_of(
    plan: Plan | Strategy, pool: Pool, untrained: Collection[str], *, limit: int, seed: int
) -> tuple[IntArray, BoolArray]:
    """The rows chosen, and which of them are to be learned from."""
    if not isinstance(plan, Plan):
        rows = plan(pool, limit=limit, rng=np.random.default_rng(seed))
        return rows, np.ones(len(rows), dtype=np.bool_)
    chosen = choose(plan, pool, limit=limit, seed=seed)
    return chosen.rows, np.array([share not in untrained for share in chosen.share])


def _first_rows(
    seed: int, items: int, *, start: int, draw_start: Callable[[Generator], IntArray] | None
) -> IntArray:
    rng = np.random.default_rng([seed, items])
    drawn = rng.choice(items, size=start, replace=False) if draw_start is None else draw_start(rng)
    first: IntArray = np.unique(drawn).astype(np.intp)
    if len(first) != start:
        raise BadBudget(f"draw_start gave {len(first)} distinct rows; start is {start}")
    return first


def _positives(
    given: ArrayLike | None, labels: NDArray[np.generic], *, exclusive: bool
) -> BoolArray | None:
    if given is not None:
        wanted = np.asarray(given)
        if wanted.shape != (len(labels),) or wanted.dtype != np.bool_:
            raise BadPool(
                f"positives has shape {wanted.shape} and dtype {wanted.dtype}; "
                f"give {len(labels)} of True or False, one an item"
            )
        return wanted
    if exclusive or labels.dtype.kind not in "biuf":
        return None
    table = labels.reshape(len(labels), -1).astype(np.float64)
    if not bool(((table == 0.0) | (table == 1.0) | np.isnan(table)).all()):
        return None
    holds_any: BoolArray = np.asarray((table == 1.0).any(axis=1))
    return holds_any
