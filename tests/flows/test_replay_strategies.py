"""A labelled file, played again: repeatable, paired, honest about what it cannot tell."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.text_sets import data_root
from flows.replay_strategies import Replayed, Wanted, plan_of, plans_of, replay_strategies
from flows.replaying.errors import CannotReplay, TooFewToReplay
from flows.replaying.features import NothingInCommon, reading_seconds, text_features
from flows.replaying.heads import Head
from flows.replaying.labelled import Columns
from flows.replaying.report import as_json
from flows.replaying.study import draw_sides, draw_start
from hitl.recipe import Recipe, SelectionRecipe, ShareOfPlan
from sampling.comparison import Outcome
from tests.flows.labelled_items import make_items, write_items


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_items(tmp_path_factory.mktemp("replay") / "items.parquet")


def wanted(path: Path, *labels: str, **changes: Any) -> Wanted:
    """A quick one."""
    plain: dict[str, Any] = {
        "strategies": ("margin",),
        "seeds": 3,
        "start": 20,
        "batch": 10,
        "rounds": 3,
    }
    columns = changes.pop("columns", {})
    return Wanted(
        source=str(path), columns=Columns(labels=labels or ("red",), **columns), **(plain | changes)
    )


def in_bytes(found: Replayed) -> str:
    return json.dumps(as_json(found), allow_nan=False)


def test_a_replay_tells_what_each_plan_learned_found_and_cost(items: Path) -> None:
    found = replay_strategies(wanted(items, "red", "blue"))

    told = as_json(found)

    assert ["random", "margin"] == [one["name"] for one in told["plans"]]
    assert [20, 30, 40, 50] == told["plans"][1]["curve"]["labels"]
    assert "macro average precision" == told["replayed"]["score"]
    assert ["red", "blue"] == [one["name"] for one in told["replayed"]["labels"]]
    assert 3 == len(told["plans"][0]["by_seed"])
    for one in told["plans"]:
        assert one["positives"]["value"] == one["curve"]["positives"][-1] > 3
        assert one["minutes_spent"]["value"] == one["curve"]["minutes"][-1] > 1
    assert told["target"] == told["plans"][0]["curve"]["score"][-1]
    assert "assumed: 2 s + words" in told["replayed"]["seconds"]


def test_asking_where_it_is_unsure_learns_rare_words_faster(items: Path) -> None:
    found = replay_strategies(wanted(items, rounds=8, seeds=20, start=20))

    margin = found.comparison.of("margin")
    assert Outcome.ABOVE is margin.outcome
    assert margin.by_labels.reach.ratio < 0.9
    assert margin.positives_gain is not None
    assert margin.positives_gain.low > 0


def test_the_same_file_and_seed_give_the_same_bytes_and_another_seed_others(items: Path) -> None:
    first, again, other = (
        in_bytes(replay_strategies(wanted(items, first_seed=seed))) for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


@pytest.mark.slow
def test_processes_beside_each_other_give_the_same_bytes(items: Path) -> None:
    alone, beside = (
        replay_strategies(wanted(items, "red", "blue", strategies=("margin", "badge"), jobs=jobs))
        for jobs in (1, 2)
    )

    assert in_bytes(alone) == in_bytes(beside)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["a process is killed", "a person interrupts"])
def test_processes_that_are_broken_off_leave_nothing_behind(items: Path, ending: str) -> None:
    before = set(multiprocessing.active_children())

    def break_off(done: int, _total: int | None) -> None:
        if not done:
            return
        if ending == "a person interrupts":
            raise KeyboardInterrupt
        (set(multiprocessing.active_children()) - before).pop().kill()

    with pytest.raises((CannotReplay, KeyboardInterrupt)) as broken:
        replay_strategies(wanted(items, seeds=12, jobs=2), on_step=break_off)

    if ending == "a process is killed":
        assert "ended from outside" in str(broken.value)
    assert before == set(multiprocessing.active_children())


def test_a_plan_more_leaves_the_others_as_they_were(items: Path) -> None:
    few = replay_strategies(wanted(items))
    more = replay_strategies(wanted(items, strategies=("entropy", "uncertain_diverse", "margin")))

    assert few.replay.curve("margin").mean.tolist() == more.replay.curve("margin").mean.tolist()


def test_without_a_wish_the_usual_plans_are_replayed(items: Path) -> None:
    plans = plans_of(Wanted(source="", columns=Columns(labels=("red",))))

    assert ["random", "margin", "uncertain_diverse", "default"] == list(plans)
    assert 0.2 == plans["default"].shares[-1].fraction


def test_a_recipes_shares_and_its_random_one_make_a_plan() -> None:
    shares = (
        ShareOfPlan(name="close", strategy="margin", fraction=0.75),
        ShareOfPlan(name="sure", strategy="top_positive", fraction=0.25),
    )
    recipe = Recipe(name="ours", selection=SelectionRecipe(shares=shares, audit_fraction=0.2))

    plan = plan_of(recipe)

    assert [("margin", 0.6), ("top_positive", 0.2), ("random", 0.2)] == [
        (share.strategy, pytest.approx(share.fraction)) for share in plan.shares
    ]
    named = Wanted(source="", columns=Columns(labels=("red",)), recipes=(recipe,))
    assert ["random", "ours"] == list(plans_of(named))


def test_audits_that_only_measure_cost_as_much_and_teach_less(items: Path) -> None:
    recipe = Recipe(selection=SelectionRecipe(audit_fraction=0.6))
    train, measure = (
        replay_strategies(
            wanted(items, recipes=(recipe,), rounds=6, seeds=6, audits_measure=measures)
        )
        for measures in (False, True)
    )

    one, other = (found.comparison.of("default") for found in (train, measure))
    assert one.by_labels.spent == other.by_labels.spent
    assert other.area.value < one.area.value
    assert train.comparison.of("random").area == measure.comparison.of("random").area
    assert "only measure" == as_json(measure)["replayed"]["audit_labels"]


def test_a_recipe_of_chance_alone_is_a_plan_too() -> None:
    recipe = Recipe(selection=SelectionRecipe(audit_fraction=1.0))

    assert ["random"] == [share.strategy for share in plan_of(recipe).shares]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategies": ("margn",)}, "'margn' does not exist.*margin"),
        ({"against": "margn"}, "'margn' does not exist"),
        ({"recipes": (Recipe(), Recipe())}, "two plans are named 'default'"),
        ({"recipes": (Recipe(name="margin"),)}, "two plans are named 'margin'"),
        ({"strategies": ("bald",)}, "plan 'bald': this pool has no passes"),
        ({"positive": ("red",)}, "for one column of classes"),
    ],
)
def test_plans_that_cannot_be_played_are_refused(
    items: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(CannotReplay, match=said):
        replay_strategies(wanted(items, **changes))


def test_another_baseline_is_replayed_with_the_rest(items: Path) -> None:
    found = replay_strategies(wanted(items, against="entropy"))

    assert ("random", "margin", "entropy") == found.replay.plans
    assert Outcome.BASELINE is found.comparison.of("entropy").outcome


def test_classes_are_scored_by_accuracy_and_count_what_is_named(items: Path) -> None:
    told = as_json(replay_strategies(wanted(items, "kind", positive=("red", "blue"), rounds=1)))
    bare = as_json(replay_strategies(wanted(items, "kind", rounds=0)))

    assert "accuracy" == told["replayed"]["score"]
    assert "3 classes" == told["replayed"]["task"]
    assert told["plans"][0]["positives"]["value"] >= 6
    assert bare["plans"][0]["positives"] is None
    assert 0.5 < bare["plans"][0]["final"]["value"] <= 1.0
    with pytest.raises(CannotReplay, match="a class that column 'kind' does not have"):
        replay_strategies(wanted(items, "kind", positive=("green",)))


def test_the_file_may_bring_embeddings_seconds_and_no_text(tmp_path: Path) -> None:
    frame = make_items(400)
    points = np.random.default_rng(0).standard_normal((400, 6)) + frame[["red"]].to_numpy() * 3
    path = write_items(
        tmp_path / "items.parquet", frame.drop(columns="text"), point=points.tolist(), took=30.0
    )
    columns = {"embedding": "point", "seconds": "took"}

    told = as_json(replay_strategies(wanted(path, columns=columns)))

    assert "embeddings of 6 dimensions" == told["replayed"]["features"]
    assert [25.0] * 2 == [one["minutes_spent"]["value"] for one in told["plans"]]  # 50 of 30 s
    assert told["plans"][0]["final"]["value"] > 0.9


def test_without_text_or_seconds_nothing_is_said_of_time(tmp_path: Path) -> None:
    frame = make_items().drop(columns="text")
    points = [[float(row)] * 3 for row in range(600)]
    path = write_items(tmp_path / "items.parquet", frame, point=points)

    told = as_json(replay_strategies(wanted(path, columns={"embedding": "point"})))

    assert told["replayed"]["seconds"] is None
    assert told["plans"][1]["minutes_to_target"] is None
    assert told["plans"][1]["curve"]["minutes"] is None


def test_another_head_learns_otherwise(items: Path) -> None:
    balanced, logreg = (replay_strategies(wanted(items, head=head)).replay.scores for head in Head)

    assert balanced.tolist() != logreg.tolist()


def test_each_seed_holds_out_a_third_of_its_own_and_no_copy_is_on_both_sides(
    tmp_path: Path,
) -> None:
    frame = make_items(300)
    twice = write_items(
        tmp_path / "items.parquet", frame.loc[frame.index.repeat(2)].reset_index(drop=True)
    )

    found = replay_strategies(wanted(twice, rounds=0))

    first, second = (draw_sides(found.study, seed) for seed in (1, 2))
    assert first.measured.tolist() != second.measured.tolist()
    assert abs(200 - len(first.measured)) <= 2
    assert not set(first.measured // 2) & set(first.offered // 2)


def test_a_split_column_measures_on_its_test_side_alone(tmp_path: Path) -> None:
    frame = make_items(600)
    frame.loc[590:, "text"] = frame.loc[:9, "text"].to_numpy()  # copies of test items
    sides = np.where(np.arange(600) < 200, "test", "train")
    path = write_items(tmp_path / "items.parquet", frame, split=sides)

    found = replay_strategies(wanted(path, rounds=0))

    assert list(range(200)) == found.sides.measured.tolist()
    assert found.sides.offered.min() >= 200
    assert found.sides.offered.max() < 590
    assert int(0.9 * 390) == len(found.sides.offered)
    assert 10 == as_json(found)["replayed"]["copies_of_test_left_out"]


def test_the_start_holds_some_of_each_answer_and_else_chance(items: Path) -> None:
    study = replay_strategies(wanted(items, "red", "blue", rounds=0, start=12)).study
    rare = replace(study, labels=np.where(np.arange(600) < 590, 0.0, 1.0)[:, None] * [1, 1])

    rows = np.arange(600)
    starts = [draw_start(rare, rows, np.random.default_rng(seed)) for seed in range(40)]

    for start in starts:
        assert 12 == len(set(start.tolist()))
        assert 3 == rare.labels[start, 0].sum()
    assert len({tuple(start) for start in starts}) > 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rounds": 60}, "620 labels are asked for and 400 items can be offered"),
        ({"start": 5}, "make .* items and --start is 5"),
    ],
)
def test_too_few_items_for_the_wish_are_refused(
    items: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(TooFewToReplay, match=said):
        replay_strategies(wanted(items, "red", "blue", **changes))


def test_too_few_positives_are_refused_by_the_name_of_their_column(tmp_path: Path) -> None:
    few = (np.arange(600) % 40 == 0).astype(int)
    kind = np.where(few, "rare", np.where(np.arange(600) % 2, "one", "two"))
    path = write_items(tmp_path / "items.parquet", few=few, many=1 - few, kind=kind)

    for labels, said in (
        (["red", "few"], r"column 'few' has \d ones to (learn from|measure on)"),
        (["many"], r"column 'many' has \d zeros to"),
        (["kind"], r"class 2 of 3, by name, has \d items to"),
    ):
        with pytest.raises(TooFewToReplay, match=said):
            replay_strategies(wanted(path, *labels))


def test_texts_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    digits = [chr(0x4E00 + 2 * row) for row in range(600)]
    path = write_items(tmp_path / "items.parquet", text=digits)

    with pytest.raises(NothingInCommon):
        text_features(digits)
    with pytest.raises(TooFewToReplay, match="share no words"):
        replay_strategies(wanted(path))


def test_texts_about_the_same_lie_closer_than_others() -> None:
    rng = np.random.default_rng(0)
    topics = [("pear", "plum", "fig", "lime", "melon"), ("bolt", "screw", "hinge", "nail", "rivet")]
    texts = [" ".join(rng.choice(topics[row % 2], size=3)) for row in range(60)]

    rows = text_features(texts)

    assert np.float32 == rows.dtype
    assert (rows[::2] @ rows[::2].T).mean() > 4 * abs((rows[::2] @ rows[1::2].T).mean())


def test_a_review_takes_two_seconds_and_the_time_to_read() -> None:
    found = reading_seconds(["", "one two, three", "日本語", "日本語 and"])

    np.testing.assert_allclose(2.0 + 60 / 230 * np.array([0, 3, 3, 4]), found)


@pytest.mark.slow
def test_on_real_posts_choosing_beats_random() -> None:
    root = data_root(None)
    if root is None:
        pytest.skip("no text sets: set HITL_SHARED_DATA to their folder")
    asked = Wanted(
        source=str(root / "text" / "davidson" / "items.parquet"),
        columns=Columns(labels=("label_hate",)),
        strategies=("margin",),
        seeds=5,
    )

    found = replay_strategies(asked)

    margin = found.comparison.of("margin")
    assert Outcome.ABOVE is margin.outcome
    assert margin.by_labels.reach.ratio < 0.9
    assert margin.positives is not None
    assert margin.positives.value > 2 * found.comparison.of("random").positives.value  # type: ignore[union-attr]
