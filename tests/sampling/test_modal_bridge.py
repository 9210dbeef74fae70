"""modAL through its one door: what it measures, and each thing about it that had to be mended."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_X_y

from sampling import STRATEGIES, Pool
from sampling import modal_bridge as bridge

RNG = np.random.default_rng(0)


def make_pool(items: int = 30, *, exclusive: bool = True) -> Pool:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(4), size=items)
    return Pool([f"i{row:02d}" for row in range(items)], probabilities, exclusive=exclusive)


@pytest.mark.parametrize(
    ("modal", "ours"),
    [
        ("modal_uncertainty", "least_confidence"),
        ("modal_margin", "margin"),
        ("modal_entropy", "entropy"),
    ],
)
@pytest.mark.parametrize("exclusive", [True, False])
def test_modal_and_we_agree_on_the_measures_we_share(
    modal: str, ours: str, exclusive: bool
) -> None:
    pool = make_pool(exclusive=exclusive)

    assert (
        STRATEGIES[ours](pool, limit=10, rng=RNG).tolist()
        == STRATEGIES[modal](pool, limit=10, rng=RNG).tolist()
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("modal_min_confidence", ["mixed", "low", "high"]),
        ("modal_avg_confidence", ["high", "mixed", "low"]),
        ("modal_max_score", ["mixed", "high", "low"]),
        ("modal_avg_score", ["high", "mixed", "low"]),
    ],
)
def test_modal_multilabel_measures_order_a_worked_pool(name: str, expected: list[str]) -> None:
    pool = Pool(["low", "mixed", "high"], [[0.3, 0.2], [0.9, 0.0], [0.8, 0.7]])

    rows = STRATEGIES[name](pool, limit=3, rng=RNG)

    assert expected == [pool.item_ids[row] for row in rows]


def test_any_modal_query_becomes_a_strategy() -> None:
    from modAL.uncertainty import margin_sampling

    pool = make_pool()
    strategy = bridge.from_modal_query(margin_sampling)

    assert set(STRATEGIES["margin"](pool, limit=5, rng=RNG).tolist()) == set(
        strategy(pool, limit=5, rng=RNG).tolist()
    )
    assert [] == strategy(pool, limit=0, rng=RNG).tolist()


def test_a_modal_query_may_ask_a_model_of_the_callers() -> None:
    from modAL.uncertainty import uncertainty_sampling

    class SurerOfLaterIds:
        def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
            yes = np.linspace(0.5, 1.0, len(X))
            return np.column_stack([yes, 1.0 - yes])

    pool = make_pool().take(RNG.permutation(30))

    rows = bridge.from_modal_query(uncertainty_sampling, SurerOfLaterIds())(pool, limit=4, rng=RNG)

    assert {"i00", "i01", "i02", "i03"} == {pool.item_ids[row] for row in rows}


def test_cause_1_scikit_learn_dropped_the_keyword_that_modal_passes() -> None:
    # When this fails, scikit-learn takes the keyword again and the renaming can go.
    with pytest.raises(TypeError, match="force_all_finite"):
        check_X_y([[1.0]], [1], force_all_finite=True)


def test_cause_1_teaching_works_through_the_bridge() -> None:
    features = RNG.standard_normal((40, 3))
    truth = (features[:, 0] > 0).astype(int)
    learner = bridge.active_learner(
        LogisticRegression(), X_training=features[:10], y_training=truth[:10]
    )

    learner.teach(features[10:], truth[10:])

    assert (40, 3) == learner.X_training.shape
    assert learner.score(features, truth) > 0.9


def test_cause_1_the_check_still_refuses_what_is_not_finite() -> None:
    features = RNG.standard_normal((10, 3))
    learner = bridge.active_learner(
        LogisticRegression(), X_training=features, y_training=np.arange(10) % 2
    )

    with pytest.raises(ValueError, match="NaN"):
        learner.teach(np.full((1, 3), np.nan), np.array([1]))


def test_cause_1_a_learner_that_allows_nan_still_may() -> None:
    bridge.active_learner(LogisticRegression())
    check = importlib.import_module("modAL.models.learners").check_X_y

    features, _ = check([[np.nan]], [1], force_all_finite=False)

    assert bool(np.isnan(features).all())


def test_cause_1_the_keyword_is_renamed_once_however_often_the_bridge_is_used() -> None:
    bridge.active_learner(LogisticRegression())
    bridge._module.cache_clear()
    bridge.active_learner(LogisticRegression())

    learners = importlib.import_module("modAL.models.learners")
    assert not hasattr(learners.check_X_y.renames_for, "renames_for")


@pytest.mark.parametrize("module", ["modAL.dropout", "modAL.expected_error"])
def test_causes_2_and_3_what_does_not_import_is_not_needed(module: str) -> None:
    # When this fails, the module works again and may be offered.
    with pytest.raises((ImportError, AttributeError)):
        importlib.import_module(module)


@pytest.mark.parametrize("name", ["max_loss", "mean_max_loss"])
def test_cause_4_the_losses_read_an_attribute_no_learner_has(name: str) -> None:
    query = getattr(importlib.import_module("modAL.multilabel"), name)
    learner = bridge.active_learner(
        LogisticRegression(), X_training=RNG.random((10, 2)), y_training=np.arange(10) % 2
    )

    with pytest.raises(AttributeError, match="classes_"):
        query(learner, RNG.random((5, 2)), n_instances=1)
    assert f"modal_{name}" not in STRATEGIES


def test_cause_5_modal_is_shown_arrays_whatever_the_pool_was_made_of() -> None:
    import pandas as pd

    pool = Pool(["a", "b"], pd.DataFrame({"x": [0.2, 0.5], "y": [0.8, 0.5]}), exclusive=True)
    seen: list[type] = []

    def query(predictor: object, X: NDArray[np.float64], n_instances: int) -> NDArray[np.intp]:
        seen.append(type(X))
        return np.arange(n_instances)

    bridge.from_modal_query(query)(pool, limit=1, rng=RNG)

    assert [np.ndarray] == seen


def test_cause_6_more_than_the_pool_is_clamped_where_modal_asserts() -> None:
    from modAL.uncertainty import uncertainty_sampling

    pool = make_pool(3)
    ask = partial(uncertainty_sampling, bridge.Precomputed(), pool.probabilities)

    with pytest.raises(AssertionError):
        ask(n_instances=4)
    assert 3 == len(bridge.from_modal_query(uncertainty_sampling)(pool, limit=4, rng=RNG))
    assert 3 == len(STRATEGIES["modal_uncertainty"](pool, limit=4, rng=RNG))


def test_cause_7_the_version_comes_from_the_installed_package() -> None:
    assert not hasattr(importlib.import_module("modAL"), "__version__")
    assert "0.4.2.1" == bridge.modal_version()


def test_sampling_does_not_import_modal_until_it_is_used() -> None:
    asked = "import sys, sampling; print('modAL' in sys.modules)"

    outcome = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )

    assert "False" == outcome.stdout.strip()
