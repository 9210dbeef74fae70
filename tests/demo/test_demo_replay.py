"""The replay beside random: paired, reproducible, and right about a set where choosing helps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from flows.demo.replay import (
    CurvesBesideRandom,
    FloatArray,
    budgets_for,
    curves_beside_random,
    macro_average_precision,
    quick_fit,
)
from hitl.recipe import Recipe
from tests.demo.builders import make_judged, make_scene_of

RARE = 40  # of 1,000
RECIPE = Recipe()


class ByHeart:
    """Knows the texts it was trained on that are like a new one, and nothing else."""

    def __init__(self, texts: Sequence[str], labels: FloatArray) -> None:
        known = ~np.isnan(labels).any(axis=1)
        self.seen = {text for text, row in zip(texts, labels[known], strict=True) if row.any()}

    def predict(self, items: Sequence[str]) -> FloatArray:
        return np.array([[0.9 if one in self.seen else 0.4] for one in items])

    def embed(self, items: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, float(len(one))] for one in items], dtype=np.float32)


def set_where_choosing_helps() -> tuple[object, object]:
    """The rare violating items are those that the production model is unsure of."""
    gold = [[1.0]] * RARE + [[0.0]] * (1_000 - RARE)
    scores = np.array([[0.5]] * RARE + [[0.01]] * (1_000 - RARE))
    texts = tuple(f"text {k}" for k in range(1_000))
    pool = make_judged(gold, production=scores, texts=texts)
    return pool, pool


def played(**changed: object) -> CurvesBesideRandom:
    pool, test = set_where_choosing_helps()
    wanted = {
        "budgets": [20, 40, 60],
        "recipe": RECIPE,
        "categories": ["c"],
        "seeds": (1, 2, 3),
        "fit": lambda texts, labels, _: ByHeart(texts, labels),
    }
    return curves_beside_random(pool, test, **(wanted | changed))  # type: ignore[arg-type]


def test_choosing_beats_random_where_the_unsure_ones_are_the_rare_ones() -> None:
    curves = played()

    assert curves.gain.low[0] > 0.2
    assert curves.mean_gain.low[0] > 0.2
    assert curves.labels_saved > 0.5


def test_one_point_a_round_for_every_seed_and_plan() -> None:
    curves = played(budgets=[10, 25, 45], seeds=(4, 5))

    assert [10, 25, 45] == curves.active.budgets.tolist() == curves.random.budgets.tolist()
    assert (2, 2, 3) == curves.replay.scores.shape
    assert curves.gain.mean == pytest.approx(curves.active.mean - curves.random.mean)


def test_the_same_seeds_give_the_same_curves() -> None:
    assert played().replay.scores.tolist() == played().replay.scores.tolist()
    assert played().replay.scores.tolist() != played(seeds=(7, 8, 9)).replay.scores.tolist()


def test_every_training_gets_just_the_budget_of_its_round() -> None:
    sizes: list[int] = []

    def fit(texts: Sequence[str], labels: FloatArray, seed: int) -> ByHeart:
        assert len(set(texts)) == len(texts) == len(labels)
        sizes.append(len(texts))
        return ByHeart(texts, labels)

    played(fit=fit, seeds=(1, 2))

    assert [20, 40, 60] * 4 == sizes


def test_progress_counts_every_training() -> None:
    seen: list[tuple[int, int]] = []

    played(seeds=(1, 2), on_fit=lambda done, total: seen.append((done, total)))

    assert [(k, 12) for k in range(1, 13)] == seen


def test_a_smaller_pool_is_drawn_when_asked_for() -> None:
    with pytest.raises(ValueError, match="end by 50 items"):
        played(pool_limit=50)

    assert 60 == played(pool_limit=100).active.budgets[-1]


@pytest.mark.parametrize(
    ("batch", "rounds", "expected"),
    [(120, 5, [120, 240, 360, 480]), (500, 2, [500]), (5_000, 5, [])],
)
def test_budgets_end_where_there_is_nothing_left_to_label(
    batch: int, rounds: int, expected: list[int]
) -> None:
    scene = make_scene_of(make_judged([[1.0]] * 500))

    assert expected == budgets_for(scene, batch=batch, rounds=rounds)


@pytest.mark.parametrize("budgets", [[], [0, 10], [20, 10], [2_000]])
def test_budgets_that_cannot_be_are_refused(budgets: list[int]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        played(budgets=budgets)


def test_a_production_model_that_knows_nothing_of_a_category_is_no_obstacle() -> None:
    pool = make_judged([[1.0], [0.0]] * 50, production=np.full((100, 1), np.nan))

    curves = curves_beside_random(
        pool,
        pool,
        budgets=[10, 20],
        recipe=RECIPE,
        categories=["c"],
        seeds=(1, 2),
        fit=lambda texts, labels, _: ByHeart(texts, labels),
    )

    assert np.isfinite(curves.active.mean).all()
    assert np.isnan(curves.production)


def test_average_precision_leaves_out_what_nobody_knows() -> None:
    gold = np.array([[1.0, np.nan], [0.0, np.nan], [np.nan, 1.0], [1.0, np.nan]])
    scores = np.array([[0.9, 0.1], [0.8, 0.1], [0.99, 0.1], [0.7, 0.1]])

    # First category: ranks +, -, + gives (1 + 2/3) / 2; the second has no negative.
    assert macro_average_precision(scores, gold) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(macro_average_precision(scores, np.full((4, 2), np.nan)))


def test_the_summary_names_both_plans_and_the_width() -> None:
    said = played().summary()

    assert "60 training labels" in said
    assert "3 paired seeds" in said
    assert "[+" in said
    assert "no interval" in played(seeds=(1,)).summary()


def test_the_quick_training_learns_and_embeds() -> None:
    texts = [f"buy cheap watches {k}" for k in range(30)] + [f"lovely song {k}" for k in range(30)]
    labels = np.array([[1.0, np.nan]] * 30 + [[0.0, np.nan]] * 30)
    labels[0, 1], labels[-1, 1] = 1.0, 0.0

    model = quick_fit(("spam", "other"))(texts, labels, 1)

    spam, song = model.predict(["cheap watches", "a lovely song"])[:, 0]
    assert spam > song
    assert 2 == len(model.embed(["cheap watches", "a lovely song"]))
