"""What is replayed, and which items each seed offers, starts from and measures on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from flows.replaying.errors import CannotReplay, TooFewToReplay
from flows.replaying.heads import Float64, Head
from sampling import Plan, Pool, SamplingError, choose
from sampling.pool import Labelled

IntArray = NDArray[np.intp]

KEPT_SHARE = 0.9
"""Of a train side that is small enough, each seed offers this much, so that seeds differ."""
HELD_OUT = 1 / 3
LEAST_OF_EACH = 10
"""Items of each answer that learning and measuring need: with fewer, the curves are noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is replayed, without features and texts: little enough to send to another process.

    `labels` is (N, C) of 0/1, or (N,) class numbers with `classes` > 0. `groups` (N,): items of
    equal number are near copies and stay on one side. `is_train` and `is_test` None: hold out.
    `untrained` names the shares whose labels only measure.
    """

    source: str
    categories: tuple[str, ...]
    labels: Float64
    classes: int
    groups: IntArray
    is_train: NDArray[np.bool_] | None
    is_test: NDArray[np.bool_] | None
    positives: NDArray[np.bool_] | None
    seconds: Float64 | None
    plans: dict[str, Plan]
    untrained: tuple[str, ...]
    head: Head
    start: int
    start_of_each: int
    batch: int
    rounds: int
    candidates: int


@dataclass(frozen=True, slots=True)
class Sides:
    """The rows that one seed offers to choose from, and those that it measures on."""

    offered: IntArray
    measured: IntArray


def check(study: Study, seeds: Sequence[int]) -> Sides:
    """See that every seed and every plan can be played, before anything takes long.

    Returns:
        The sides of the first seed.

    Raises:
        TooFewToReplay: see `draw_sides` and `draw_start`.
        CannotReplay: a plan asks for what a replay does not have, such as a committee's votes.
    """
    all_sides = [draw_sides(study, seed) for seed in seeds]
    for seed, sides in zip(seeds, all_sides, strict=True):
        offered = sides.offered
        draw_start(study, offered, np.random.default_rng([seed, len(offered)]))
    categories = study.classes or len(study.categories)
    points = np.eye(12, 4, dtype=np.float32) + 1.0
    pool = Pool(
        [str(row) for row in range(12)],
        np.full((12, categories), 1.0 / categories),
        points,
        exclusive=bool(study.classes),
        labelled=Labelled(points[:2], np.eye(2, categories)),
        seconds=None if study.seconds is None else np.ones(12),
    )
    for name, plan in study.plans.items():
        try:
            choose(plan, pool, limit=2, seed=0)
        except SamplingError as cause:
            raise CannotReplay(f"plan {name!r}: {cause}") from cause
    return all_sides[0]


def draw_sides(study: Study, seed: int) -> Sides:
    """The sides of one seed; no group is on both.

    Raises:
        TooFewToReplay: too few items for the rounds, or too few of some answer on either side.
    """
    items = len(study.labels)
    rng = np.random.default_rng([seed, items, 1])
    if study.is_train is not None and study.is_test is not None:
        measured = np.flatnonzero(study.is_test)
        train = np.flatnonzero(study.is_train & ~near_test(study))
        size = min(study.candidates, int(KEPT_SHARE * len(train)))
    else:
        _, group = np.unique(study.groups, return_inverse=True)
        # Whole groups in a drawn order, until a third of the items is held out.
        order = rng.permutation(int(group.max()) + 1)
        ahead = np.cumsum(np.bincount(group)[order])
        held = np.isin(group, order[: int(np.searchsorted(ahead, HELD_OUT * items)) + 1])
        measured, train = np.flatnonzero(held), np.flatnonzero(~held)
        size = min(study.candidates, len(train))
    offered = np.sort(rng.choice(train, size=size, replace=False))
    needed = study.start + study.batch * study.rounds
    if size < needed:
        raise TooFewToReplay(
            study.source,
            f"{needed:,} labels are asked for and {size:,} items can be offered; "
            "take fewer with --start, --batch or --rounds",
        )
    for side, rows in (("to learn from", offered), ("to measure on", measured)):
        _check_answers(study, rows, side)
    return Sides(offered, measured)


def near_test(study: Study) -> NDArray[np.bool_]:
    """Shape (N,): items that are, or are near copies of, one that measures."""
    if study.is_test is None:
        return np.zeros(len(study.labels), dtype=np.bool_)
    return np.isin(study.groups, study.groups[study.is_test])


def _check_answers(study: Study, rows: IntArray, side: str) -> None:
    """Every category must have enough of both answers."""
    for number, category in enumerate(study.categories):
        held = _answers(study, rows, number)
        ones = int(held.sum())
        few, what = min((ones, "ones"), (len(held) - ones, "zeros"))
        if few >= LEAST_OF_EACH:
            continue
        # A class is what cells say, which may be content; a column's name is not.
        where = f"column {category!r} has {few} {what}"
        if study.classes:
            where = f"class {number + 1} of {study.classes}, by name, has {few} items"
        raise TooFewToReplay(
            study.source,
            f"{where} {side}; a replay needs {LEAST_OF_EACH} of each answer there: "
            "leave it out, or give more items",
        )


def _answers(study: Study, rows: IntArray, category: int) -> NDArray[np.bool_]:
    """Shape (len(rows),): which of them hold a category."""
    labels = study.labels[rows]
    held: NDArray[np.bool_] = labels == category if study.classes else labels[:, category] == 1.0
    return held


def draw_start(study: Study, rows: IntArray, rng: Generator) -> IntArray:
    """Places in `rows` to start from: by chance, but some of each answer of every category.

    A team has seen a few cases of what it looks for, and no head learns from one answer.
    """
    order = rng.permutation(len(rows))
    wanted: list[int] = []
    for category in range(len(study.categories)):
        held = _answers(study, rows[order], category)
        for answer in (held, ~held):
            wanted += order[np.flatnonzero(answer)[: study.start_of_each]].tolist()
    first = list(dict.fromkeys(wanted))
    if len(first) > study.start:
        raise TooFewToReplay(
            study.source,
            f"{study.start_of_each} of each answer of {len(study.categories)} categories make "
            f"{len(first)} items and --start is {study.start}; raise it",
        )
    rest = order[~np.isin(order, first)][: study.start - len(first)]
    return np.sort(np.concatenate([np.array(first, dtype=np.intp), rest]))
