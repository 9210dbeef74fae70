"""All at once gives what one by one gives, to the last cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hitl.evaluation import (
    METRICS,
    BadArrays,
    BadLevel,
    Estimate,
    PostStrata,
    UnknownMetric,
    estimate,
    estimate_tables,
)


def labels(seed: int, *, items: int = 600, categories: int = 3, groups: int = 5) -> dict[str, Any]:
    """Labels of every kind: unknown answers, no chance, certain draws, empty and tiny slices."""
    rng = np.random.default_rng(seed)
    shares = rng.choice([0.0, 0.02, 0.3, 1.0], size=categories)
    truth = (rng.random((items, categories)) < shares).astype(float)
    truth[rng.random(truth.shape) < 0.1] = np.nan
    chance = rng.choice([0.02, 0.3, 1.0], size=items)
    chance[rng.random(items) < 0.1] = np.nan
    group = rng.choice(groups - 1, size=items, p=[0.6, 0.35, 0.04, 0.01])
    return {
        "truth": truth,
        "flagged": rng.random((items, categories)) < rng.choice([0.0, 0.4, 1.0], size=categories),
        "inclusion_probability": chance,
        "groups": group,
        "size": groups,
    }


def assert_same(found: Estimate, one: Estimate) -> None:
    """All fields of both, numbers to rounding."""
    for name in ("value", "low", "high", "n_effective"):
        here, there = getattr(found, name), getattr(one, name)
        assert (here is None) == (there is None), (name, one)
        if there is not None:
            assert here == pytest.approx(there, rel=1e-9, abs=1e-12), (name, one)
    for name in (
        "metric", "n", "n_events", "method", "code", "confidence", "unstable",
        "n_excluded", "n_unknown",
    ):  # fmt: skip
        assert getattr(found, name) == getattr(one, name), (name, one)


@pytest.mark.parametrize("kind", ["certified", "descriptive"])
@pytest.mark.parametrize(
    ("largest_weight", "largest_flagged"), [(None, None), (80.0, None), (80.0, (20.0, 90.0, 30.0))]
)
@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_estimate_gives_cell_by_cell(
    seed: int, largest_weight: float | None, largest_flagged: Any, kind: Any
) -> None:
    given = labels(seed)
    more = {"kind": kind, "largest_weight": largest_weight, "min_events": 1 + 9 * (seed % 2)}

    for table in estimate_tables(METRICS, **given, **more, largest_flagged=largest_flagged):
        for group in range(given["size"]):
            rows = given["groups"] == group
            for category in range(given["truth"].shape[1]):
                one = estimate(
                    table.metric,
                    truth=given["truth"][rows, category],
                    flagged=given["flagged"][rows, category],
                    inclusion_probability=given["inclusion_probability"][rows],
                    **more,
                    largest_flagged=largest_flagged and largest_flagged[category],
                )
                found = table.at(group, category)
                assert_same(found, one)


def test_no_labels_at_all_are_a_code_everywhere() -> None:
    [table] = estimate_tables(
        ["recall"],
        truth=np.zeros((0, 2)),
        flagged=np.zeros((0, 2)),
        inclusion_probability=[],
        groups=[],
        size=3,
    )

    assert {"no_labels"} == set(table.code.ravel().tolist())
    assert "no_labels" == table.at(2, 1).code


def test_what_does_not_fit_is_refused() -> None:
    given = labels(1)
    with pytest.raises(UnknownMetric):
        list(estimate_tables(["auc"], **given))
    with pytest.raises(UnknownMetric):
        list(estimate_tables(["recall"], **given, kind="naive"))  # type: ignore[arg-type]
    with pytest.raises(BadArrays, match="outside 0 to 1"):
        list(estimate_tables(["recall"], **given | {"size": 2}))
    with pytest.raises(BadArrays, match="beside a truth"):
        list(estimate_tables(["recall"], **given | {"flagged": given["flagged"][:5]}))
    with pytest.raises(BadArrays, match="outside"):
        list(estimate_tables(["recall"], **given | {"inclusion_probability": np.zeros(600)}))


@pytest.mark.parametrize("kind", ["certified", "descriptive"])
@pytest.mark.parametrize("seed", range(8))
def test_with_known_counts_of_flags_it_is_what_estimate_gives(seed: int, kind: Any) -> None:
    given = labels(seed)
    rng = np.random.default_rng([seed, 1])
    counts = rng.integers(0, 3000, size=(given["size"], 3, 2)).astype(float)
    counts[rng.random(counts.shape[:2]) < 0.2] = np.nan
    codes = set()

    for table in estimate_tables(METRICS, **given, kind=kind, post_strata=counts):
        for group, category in np.ndindex(given["size"], 3):
            known = counts[group, category]
            rows = given["groups"] == group
            one = estimate(
                table.metric,
                truth=given["truth"][rows, category],
                flagged=given["flagged"][rows, category],
                inclusion_probability=given["inclusion_probability"][rows],
                kind=kind,
                post_strata=None
                if np.isnan(known).any()
                else PostStrata(not_flagged=int(known[0]), flagged=int(known[1])),
            )
            assert_same(table.at(group, category), one)
            codes.add(one.code)

    assert None in codes


@pytest.mark.parametrize("kind", ["certified", "descriptive"])
@pytest.mark.parametrize("seed", range(6))
def test_of_views_it_is_what_estimate_gives(seed: int, kind: Any) -> None:
    given = labels(seed)
    amounts = np.random.default_rng([seed, 2]).choice([0.0, 0.5, 30.0, np.nan], size=600)

    for table in estimate_tables(METRICS, **given, amounts=amounts, kind=kind):
        for group, category in np.ndindex(given["size"], 3):
            rows = given["groups"] == group
            one = estimate(
                table.metric,
                truth=given["truth"][rows, category],
                flagged=given["flagged"][rows, category],
                inclusion_probability=given["inclusion_probability"][rows],
                amounts=amounts[rows],
                kind=kind,
            )
            assert_same(table.at(group, category), one)


def test_known_counts_that_do_not_fit_are_refused() -> None:
    given = labels(1)
    with pytest.raises(BadArrays, match="post_strata"):
        list(estimate_tables(["recall"], **given, post_strata=np.ones((2, 3, 2))))
    with pytest.raises(BadLevel, match="post_strata"):
        list(estimate_tables(["recall"], **given, post_strata=np.full((5, 3, 2), -1.0)))
    with pytest.raises(BadArrays, match="amounts"):
        list(estimate_tables(["recall"], **given, amounts=np.full(600, -1.0)))


def test_descriptive_intervals_by_known_counts_cover_and_are_narrower() -> None:
    """1,000 even draws of a world of 5 % with hidden violations, all at once as slices."""
    rng = np.random.default_rng(3)
    items, worlds = 60_000, 1000
    truth = rng.random(items) < 0.05
    is_hidden = rng.random(items) < 0.15
    seen = truth & ~is_hidden
    flagged = np.where(seen, rng.beta(4, 2, items), rng.beta(1, 6, items)) >= 0.5
    drawn = [np.flatnonzero(rng.random(items) < 2000 / items) for _ in range(worlds)]
    rows = np.concatenate(drawn)
    counts = np.broadcast_to([np.sum(~flagged), np.sum(flagged)], (worlds, 1, 2))

    def tables(post_strata: Any) -> Any:
        return estimate_tables(
            METRICS, truth=truth[rows][:, None], flagged=flagged[rows][:, None],
            inclusion_probability=np.full(len(rows), 2000 / items), size=worlds,
            groups=np.repeat(np.arange(worlds), [len(one) for one in drawn]),
            kind="descriptive", post_strata=post_strata,
        )  # fmt: skip

    width = {}
    for plain, table in zip(tables(None), tables(counts), strict=True):
        everything = estimate(
            table.metric, truth=truth, flagged=flagged, inclusion_probability=np.ones(items)
        ).value
        held = np.mean((table.low <= everything) & (everything <= table.high))
        assert 0.92 <= held <= 0.98, (table.metric, held)
        width[table.metric] = np.mean(table.high - table.low) / np.mean(plain.high - plain.low)
    assert width["prevalence"] < 0.8
    assert width["recall"] < 0.95
    assert width["precision"] == 1.0
