"""What the benchmarks of measuring measure with: worlds, their audits, and the curve of widths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.audited_worlds import REFERENCE, audit, knowable, make_pool, make_world
from benchmarks.label_saving import fewest_labels, labels_for
from hitl.evaluation import METRICS, estimate

SMALL = replace(REFERENCE, items=3000, prevalence=0.1)


def test_the_same_seed_makes_the_same_world_and_hidden_items_score_like_harmless_ones() -> None:
    of = replace(SMALL, hidden=0.5, items=40_000)
    world, again = (make_world(of, np.random.default_rng(1)) for _ in range(2))

    assert np.array_equal(world.logits, again.logits)
    assert 0.1 == pytest.approx(world.violating.mean(), abs=0.01)
    assert 0.5 == pytest.approx(1.0 - world.true("recall") / 0.9, abs=0.1)


def test_true_figures_are_those_of_a_census() -> None:
    world = make_world(SMALL, np.random.default_rng(2))

    for metric in METRICS:
        census = estimate(
            metric, truth=world.violating, flagged=world.flagged,
            inclusion_probability=np.ones(SMALL.items),
        )  # fmt: skip
        assert census.value == pytest.approx(world.true(metric))


@pytest.mark.parametrize("floor", [1.0, 0.5])
def test_weights_of_an_audit_add_up_to_all_items_on_average(floor: float) -> None:
    pool = make_pool(SMALL.items)
    sums = []
    for seed in range(40):
        rng = np.random.default_rng([3, seed])
        found = audit(make_world(SMALL, rng), pool, labels=300, floor=floor, rng=rng)
        assert (300, 300) == (len(found.rows), len(np.unique(found.rows)))
        assert found.counts.weight.max() <= found.largest_weight * (1 + 1e-9)
        sums.append(found.counts.weight.sum())

    assert abs(np.mean(sums) - SMALL.items) < 3 * np.std(sums) / np.sqrt(len(sums)) + 1e-6


def test_the_curve_finds_where_a_square_root_law_comes_down_to_the_width() -> None:
    sizes = 100.0 * 2.0 ** np.arange(7)
    widths = np.array([1.0, 1.2])[:, None] / np.sqrt(sizes)

    found = labels_for(sizes, widths)

    assert [400.0, 576.0] == pytest.approx(found.tolist(), rel=0.01)
    assert np.isnan(labels_for(sizes, widths * 100)).all()


def test_what_is_knowable_is_calibrated_and_the_best_chances_need_fewer_labels() -> None:
    of = replace(REFERENCE, items=200_000, prevalence=0.05, hidden=0.2)
    world = make_world(of, np.random.default_rng(3))
    chance = knowable(of, world)

    tenth = np.argsort(np.argsort(chance)) // (of.items // 10)
    for part in range(10):
        rows = tenth == part
        error = np.sqrt(chance[rows].mean() / rows.sum())
        assert world.violating[rows].mean() == pytest.approx(chance[rows].mean(), abs=4 * error)
    even, best = fewest_labels(of, world)
    assert 0.2 * even < best < 0.8 * even
    recall = world.true("recall")
    wanted = recall * (1 - recall) / (0.05 / 1.96) ** 2 / of.prevalence
    assert even == pytest.approx(wanted, rel=0.1)
