from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import BadBudget, BadPlan, Plan, Replay, Share, replay

UNCERTAIN = Plan((Share("uncertain", "margin", 1.0),))
RANDOM = Plan((Share("audit", "random", 1.0),))

LINE = np.linspace(-1.0, 1.0, 400)
TRUTH = (LINE[:, None] > 0.3).astype(float)
IDS = [f"i{row:03d}" for row in range(400)]


class Threshold:
    """Learns where the truth turns from no to yes: half way between the nearest it has seen."""

    def __init__(self, rows: NDArray[np.intp], labels: NDArray[np.generic]) -> None:
        yes = LINE[rows][labels[:, 0] == 1.0]
        no = LINE[rows][labels[:, 0] == 0.0]
        low = no.max() if len(no) else -1.0
        high = yes.min() if len(yes) else 1.0
        self.at = float(low + high) / 2

    def __call__(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-8.0 * (LINE[rows, None] - self.at)))
        return probabilities


def accuracy(predict: object) -> float:
    assert isinstance(predict, Threshold)
    return 1.0 - abs(predict.at - 0.3)


def run(**changes: object) -> Replay:
    arguments: dict[str, object] = {
        "item_ids": IDS,
        "labels": TRUTH,
        "fit": Threshold,
        "score": accuracy,
        "seeds": range(12),
        "start": 4,
        "batch": 1,
        "rounds": 8,
    }
    return replay({"uncertain": UNCERTAIN, "random": RANDOM}, **(arguments | changes))  # type: ignore[arg-type]


def test_asking_where_it_is_unsure_beats_random_and_the_interval_says_so() -> None:
    found = run()

    gain = found.area("uncertain", against="random")

    assert [4, 5, 6, 7, 8, 9, 10, 11, 12] == found.budgets.tolist()
    assert (2, 12, 9) == found.scores.shape
    assert gain.low[0] > 0.0
    assert found.labels_to_reach("uncertain", 0.95) < 8
    assert np.isnan(found.labels_to_reach("random", 0.95))


def test_every_plan_starts_from_the_same_labels() -> None:
    found = run()

    assert found.scores[0, :, 0].tolist() == found.scores[1, :, 0].tolist()
    assert 1 < len(set(found.scores[0, :, 0].tolist()))
    assert 0.0 == found.difference("uncertain", against="random").high[0]


def test_a_replay_can_be_repeated() -> None:
    assert run().scores.tobytes() == run().scores.tobytes()


def test_no_label_is_seen_before_it_is_bought() -> None:
    spent: list[int] = []

    def fit(rows: NDArray[np.intp], labels: NDArray[np.generic]) -> Threshold:
        assert TRUTH[rows].tolist() == labels.tolist()
        spent.append(len(set(rows.tolist())))
        return Threshold(rows, labels)

    run(fit=fit, seeds=[1])

    assert [4, 5, 6, 7, 8, 9, 10, 11, 12] * 2 == spent


def test_each_step_is_told() -> None:
    steps: list[tuple[str, int, int]] = []

    run(seeds=[9], rounds=1, on_step=lambda *step: steps.append(step))

    assert [("uncertain", 9, 4), ("uncertain", 9, 5), ("random", 9, 4), ("random", 9, 5)] == steps


def test_the_start_may_be_drawn_by_the_caller() -> None:
    seen: list[list[int]] = []

    def fit(rows: NDArray[np.intp], labels: NDArray[np.generic]) -> Threshold:
        seen.append(rows.tolist())
        return Threshold(rows, labels)

    run(fit=fit, seeds=[1], rounds=0, draw_start=lambda rng: np.array([399, 5, 7, 0]))

    assert [[0, 5, 7, 399]] * 2 == seen


def test_embeddings_and_groups_reach_the_strategies() -> None:
    plans = {"diverse": Plan((Share("d", "uncertain_diverse", 1.0),))}
    groups = [f"g{row // 100}" for row in range(400)]
    bought: list[set[int]] = []

    def fit(rows: NDArray[np.intp], labels: NDArray[np.generic]) -> Threshold:
        bought.append(set(rows.tolist()))
        return Threshold(rows, labels)

    replay(
        plans,
        item_ids=IDS,
        labels=TRUTH,
        fit=fit,
        score=accuracy,
        seeds=[0],
        start=4,
        batch=2,
        rounds=1,
        embeddings=np.random.default_rng(0).standard_normal((400, 8)),
        groups=groups,
    )

    new = bought[1] - bought[0]
    assert 2 == len({groups[row] for row in new})


def made(scores: list[list[list[float]]], budgets: list[int]) -> Replay:
    array = np.array(scores)
    names = ("a", "b")[: len(array)]
    return Replay(names, tuple(range(array.shape[1])), np.array(budgets), array)


def test_the_paired_interval_of_a_worked_example() -> None:
    found = made([[[0.5], [0.7], [0.9]], [[0.4], [0.5], [0.6]]], [10])

    curve = found.difference("a", against="b")

    # Differences .1, .2, .3: mean .2, standard error .1 / sqrt 3, t(2, .975) = 4.302653.
    np.testing.assert_allclose([0.2], curve.mean)
    np.testing.assert_allclose([0.2 - 4.302653 * 0.1 / np.sqrt(3)], curve.low, rtol=1e-6)
    np.testing.assert_allclose([0.2 + 4.302653 * 0.1 / np.sqrt(3)], curve.high, rtol=1e-6)


def test_area_and_labels_to_reach_of_a_worked_example() -> None:
    found = made([[[0.0, 0.4, 0.8]]], [0, 10, 30])

    # (.2 * 10 + .6 * 20) / 30
    np.testing.assert_allclose([14 / 30], found.area("a").mean)
    assert 20.0 == pytest.approx(found.labels_to_reach("a", 0.6))
    assert 0.0 == found.labels_to_reach("a", -1.0)
    assert np.isnan(found.labels_to_reach("a", 0.9))


def test_one_seed_has_no_interval() -> None:
    curve = made([[[0.5, 0.6]]], [10, 20]).curve("a")

    assert [0.5, 0.6] == curve.mean.tolist()
    assert bool(np.isnan(curve.low).all())
    assert bool(np.isnan(curve.high).all())


def test_too_few_items_for_the_rounds_are_refused() -> None:
    with pytest.raises(BadBudget, match=r"need 404 items.*there are 400"):
        run(rounds=400)


def test_a_short_start_is_refused() -> None:
    with pytest.raises(BadBudget, match="draw_start gave 1"):
        run(draw_start=lambda rng: np.array([3, 3]))


def test_no_seed_is_refused() -> None:
    with pytest.raises(BadBudget, match="at least one seed"):
        run(seeds=[])


def test_an_unknown_plan_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadPlan, match="'c' was not replayed; there are: uncertain, random"):
        run(seeds=[1], rounds=0).curve("c")
