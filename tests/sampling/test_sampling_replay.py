from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from sampling import STRATEGIES, BadBudget, BadPlan, BadPool, Plan, Pool, Replay, Share, replay
from sampling.replay import Predict, join

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

    # The start is one for both plans, so it is learned from once.
    assert [4, 5, 6, 7, 8, 9, 10, 11, 12, 5, 6, 7, 8, 9, 10, 11, 12] == spent


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

    assert [[0, 5, 7, 399]] == seen


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


class Looking(Threshold):
    """Starts where the round before ended."""

    starts: ClassVar[list[tuple[int, int]]] = []

    def __init__(self, rows: NDArray[np.intp], labels: NDArray[np.generic]) -> None:
        super().__init__(rows, labels)
        self.rows = rows

    def refit(self, rows: NDArray[np.intp], labels: NDArray[np.generic]) -> Looking:
        Looking.starts.append((len(self.rows), len(rows)))
        return Looking(rows, labels)


def test_a_model_that_can_starts_from_the_round_before_and_every_plan_from_the_same() -> None:
    Looking.starts.clear()

    found = run(fit=Looking, seeds=[1], rounds=3)

    assert [(4, 5), (5, 6), (6, 7)] * 2 == Looking.starts
    assert run(seeds=[1], rounds=3).scores.tolist() == found.scores.tolist()


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    """Every pool that a strategy was given, in order."""
    seen: list[Pool] = []
    margin = STRATEGIES["margin"]

    def spy(pool: Pool, *, limit: int, rng: Generator) -> NDArray[np.intp]:
        seen.append(pool)
        return margin(pool, limit=limit, rng=rng)

    monkeypatch.setitem(STRATEGIES, "margin", spy)
    return seen


def test_strategies_know_what_is_labelled_and_what_an_item_will_cost(pools: list[Pool]) -> None:
    points = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    cost = np.linspace(1.0, 9.0, 400)

    run(seeds=[2], rounds=2, embeddings=points, seconds=cost)

    one, two = pools
    left = [int(name[1:]) for name in two.item_ids]
    bought = sorted(set(range(400)) - set(left))
    assert one.labelled is not None
    assert two.labelled is not None
    assert [4, 5] == [len(np.asarray(pool.labelled.labels)) for pool in (one, two)]
    assert points[bought].tolist() == np.asarray(two.labelled.embeddings).tolist()
    assert TRUTH[bought].tolist() == np.asarray(two.labelled.labels).tolist()
    assert two.seconds is not None
    assert cost[left].tolist() == two.seconds.tolist()
    assert points[left[5:7]].tolist() == two.embeddings(np.array([5, 6])).tolist()


def test_classes_are_labelled_as_one_of_their_columns(pools: list[Pool]) -> None:
    def fit(rows: NDArray[np.intp], labels: NDArray[np.generic]) -> Predict:
        return lambda rows: np.full((len(rows), 3), 1 / 3)

    run(
        seeds=[2],
        rounds=1,
        labels=np.arange(400) % 3,
        exclusive=True,
        embeddings=np.ones((400, 2)),
        fit=fit,
        score=lambda predict: 0.0,
        draw_start=lambda rng: np.array([0, 1, 2, 5]),
    )

    assert pools[0].labelled is not None
    assert [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]] == np.asarray(
        pools[0].labelled.labels
    ).tolist()


def test_positives_and_seconds_are_added_up_as_they_are_bought() -> None:
    cost = np.arange(1.0, 401.0)

    found = run(seeds=[1], rounds=1, draw_start=lambda rng: np.array([0, 1, 2, 399]), seconds=cost)

    assert found.positives is not None
    assert found.seconds is not None
    assert [1, 1] == found.positives[:, 0, 0].tolist()
    assert [1.0 + 2 + 3 + 400] * 2 == found.seconds[:, 0, 0].tolist()
    bought = (found.seconds[:, 0, 1] - found.seconds[:, 0, 0]).astype(int) - 1
    assert (1 + TRUTH[bought, 0]).tolist() == found.positives[:, 0, 1].tolist()


def test_labels_of_a_share_that_only_measures_are_paid_for_and_never_trained_on() -> None:
    plan = Plan((Share("close", "margin", 0.5), Share("audit", "random", 0.5)))
    trained: list[set[int]] = []

    def fit(rows: NDArray[np.intp], labels: NDArray[np.generic]) -> Threshold:
        trained.append(set(rows.tolist()))
        return Threshold(rows, labels)

    def play(untrained: tuple[str, ...]) -> tuple[Replay, list[set[int]]]:
        trained.clear()
        found = replay(
            {"plan": plan},
            item_ids=IDS,
            labels=TRUTH,
            fit=fit,
            score=accuracy,
            seeds=[1],
            start=4,
            batch=4,
            rounds=3,
            seconds=np.ones(400),
            untrained=untrained,
        )
        return found, list(trained)

    kept, rows = play(("audit",))
    _, all_rows = play(())

    assert [4, 6, 8, 10] == [len(one) for one in rows]
    assert [4, 8, 12, 16] == [len(one) for one in all_rows] == kept.budgets.tolist()
    assert kept.seconds is not None
    assert [4.0, 8.0, 12.0, 16.0] == kept.seconds[0, 0].tolist()


def test_an_item_that_only_measures_is_not_bought_twice() -> None:
    plan = Plan((Share("audit", "random", 1.0),))

    found = replay(
        {"plan": plan},
        item_ids=IDS[:10],
        labels=TRUTH[-10:],
        fit=lambda rows, labels: Threshold(rows, labels),
        score=lambda predict: 0.0,
        seeds=[1],
        start=2,
        batch=4,
        rounds=2,
        untrained=("audit",),
    )

    assert found.positives is not None
    assert 10 == found.positives[0, 0, -1]


def test_what_nobody_counts_is_not_there() -> None:
    found = run(seeds=[1], rounds=0, labels=TRUTH * 3)

    assert found.positives is None
    assert found.seconds is None


def test_any_label_of_several_makes_a_positive_and_an_unknown_one_does_not() -> None:
    labels = np.full((400, 2), np.nan)
    labels[:4] = [[0, 1], [1, 1], [0, 0], [0, np.nan]]

    found = run(
        seeds=[1],
        rounds=0,
        labels=labels,
        fit=lambda rows, labels: Threshold(rows, labels[:, :1]),
        draw_start=lambda rng: np.array([0, 1, 2, 3]),
    )

    assert found.positives is not None
    assert [2, 2] == found.positives.ravel().tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("positives", np.ones(3, dtype=bool)),
        ("positives", np.ones(400)),
        ("seconds", np.ones(3)),
        ("seconds", np.zeros(400)),
    ],
)
def test_counts_that_do_not_fit_the_items_are_refused(name: str, value: object) -> None:
    with pytest.raises(BadPool, match=name):
        run(seeds=[1], rounds=1, **{name: value})


def test_replays_of_different_seeds_make_one() -> None:
    whole = run(seeds=[3, 1, 2], rounds=2, seconds=np.ones(400))

    found = join([run(seeds=[one], rounds=2, seconds=np.ones(400)) for one in (3, 1, 2)])

    assert (3, 1, 2) == found.seeds
    assert whole.scores.tolist() == found.scores.tolist()
    assert whole.positives is not None
    assert found.positives is not None
    assert whole.positives.tolist() == found.positives.tolist()
    assert whole.seconds is not None
    assert found.seconds is not None
    assert whole.seconds.tolist() == found.seconds.tolist()


@pytest.mark.parametrize(
    "changes",
    [{"seeds": [1]}, {"rounds": 3}, {"batch": 2}, {"seconds": np.ones(400)}],
    ids=lambda changes: next(iter(changes)),
)
def test_replays_that_differ_in_more_than_seeds_make_none(changes: dict[str, object]) -> None:
    with pytest.raises(BadPlan, match="different seeds"):
        join([run(seeds=[1], rounds=2), run(**({"seeds": [2], "rounds": 2} | changes))])


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


def test_a_strategy_may_stand_in_place_of_a_plan() -> None:
    def by_margin(pool: Pool, *, limit: int, rng: Generator) -> NDArray[np.intp]:
        return STRATEGIES["margin"](pool, limit=limit, rng=rng)

    found = replay(
        {"plan": UNCERTAIN, "strategy": by_margin},
        item_ids=IDS,
        labels=TRUTH,
        fit=Threshold,
        score=accuracy,
        seeds=range(3),
        start=4,
        batch=2,
        rounds=4,
    )

    np.testing.assert_array_equal(found.scores[0], found.scores[1])
