"""All at once gives what one by one gives, to the last cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hitl.evaluation import METRICS, BadArrays, UnknownMetric, estimate, estimate_tables


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


@pytest.mark.parametrize("kind", ["certified", "descriptive"])
@pytest.mark.parametrize(
    ("largest_weight", "as_drawn"), [(None, False), (80.0, False), (80.0, True)]
)
@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_estimate_gives_cell_by_cell(
    seed: int, largest_weight: float | None, as_drawn: bool, kind: Any
) -> None:
    given = labels(seed)
    more = {"kind": kind, "largest_weight": largest_weight, "min_events": 1 + 9 * (seed % 2)}
    more["flagged_as_drawn"] = as_drawn

    for table in estimate_tables(METRICS, **given, **more):
        for group in range(given["size"]):
            rows = given["groups"] == group
            for category in range(given["truth"].shape[1]):
                one = estimate(
                    table.metric,
                    truth=given["truth"][rows, category],
                    flagged=given["flagged"][rows, category],
                    inclusion_probability=given["inclusion_probability"][rows],
                    **more,
                )
                found = table.at(group, category)
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
