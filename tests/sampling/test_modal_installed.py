"""modAL beside the packages of today: each thing that fails there, and its mend (1 to 4, 7)."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_X_y

from sampling import STRATEGIES
from sampling import modal_bridge as bridge
from tests.sampling.modal_learners import new_committee, new_learner, three_clouds


def test_cause_1_scikit_learn_dropped_the_keyword_that_modal_passes() -> None:
    # When this fails, scikit-learn takes the keyword again and the renaming can go.
    with pytest.raises(TypeError, match="force_all_finite"):
        check_X_y([[1.0]], [1], force_all_finite=True)


@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_cause_1_teaching_works_through_the_bridge(make: Callable[..., Any]) -> None:
    features, truth = three_clouds()
    learner = make(bridge.as_modal_query(STRATEGIES["margin"], seed=0), features[:10], truth[:10])

    learner.teach(features[10:], truth[10:])

    known = learner.X_training if make is new_learner else learner.learner_list[2].X_training
    assert features.shape == known.shape
    assert learner.score(features, truth) > 0.85


@pytest.mark.parametrize("make", [new_learner, new_committee])
def test_cause_1_only_new_and_fit_forget_the_old(make: Callable[..., Any]) -> None:
    features, truth = three_clouds()
    lies = 2 - truth
    learner = make(bridge.as_modal_query(STRATEGIES["margin"], seed=0), features, lies)

    learner.teach(features, truth, only_new=True)
    after_only_new = learner.score(features, truth)
    learner.fit(features, lies)

    assert after_only_new > 0.85
    assert learner.score(features, lies) > 0.85


def test_cause_1_a_committee_is_rebagged() -> None:
    features, truth = three_clouds()
    committee = new_committee(
        bridge.as_modal_query(STRATEGIES["margin"], seed=0), list(features[:60]), list(truth[:60])
    )
    before = committee.vote_proba(features)

    np.random.seed(0)  # modAL draws from it
    committee.rebag()

    assert (before != committee.vote_proba(features)).any()
    assert committee.score(features, truth) > 0.8


def test_cause_1_the_check_still_refuses_what_is_not_finite() -> None:
    features, truth = three_clouds()
    learner = bridge.active_learner(
        LogisticRegression(), X_training=features[:30], y_training=truth[:30]
    )

    with pytest.raises(ValueError, match="NaN"):
        learner.teach(np.full((1, 4), np.nan), np.array([1]))


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
    assert not hasattr(learners.check_X_y.mends, "mends")


TAUGHT_WITHOUT_THE_FACTORY = """
import numpy as np
from modAL.models import ActiveLearner
from sklearn.naive_bayes import GaussianNB
from sampling.modal_bridge import as_modal_query
learner = ActiveLearner(
    GaussianNB(),
    query_strategy=as_modal_query("margin", seed=0),
    X_training=np.eye(2),
    y_training=np.arange(2),
)
learner.teach(np.eye(2), np.arange(2))
print(learner.X_training.shape)
"""


def test_cause_1_whoever_makes_a_query_may_import_the_learner_from_modal() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", TAUGHT_WITHOUT_THE_FACTORY],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "(4, 2)" == outcome.stdout.strip()


EVERYTHING_OF_THE_BRIDGE = """
import sys
import numpy as np
from sklearn.naive_bayes import GaussianNB
from sampling import STRATEGIES, Pool
from sampling import modal_bridge as bridge
passes = np.full((2, 3, 2), 0.5)
pool = Pool(list("abc"), passes[0], np.eye(3), exclusive=True, passes=passes)
rng = np.random.default_rng(0)
for choose in (bridge.vote_entropy, bridge.ranked_batch, bridge.information_density):
    choose(pool, limit=2, rng=rng)
for name in STRATEGIES:
    if name.startswith("modal_"):
        STRATEGIES[name](pool, limit=2, rng=rng)
query = bridge.as_modal_query(STRATEGIES["margin"], seed=0)
member = bridge.active_learner(GaussianNB(), X_training=np.eye(2), y_training=np.arange(2))
for learner in (member, bridge.committee([member, member])):
    learner.query_strategy = query
    learner.query(np.eye(2))
    learner.teach(np.eye(2), np.arange(2))
assert "modAL" in sys.modules
print([name for name in ("skorch", "modAL.dropout", "modAL.expected_error") if name in sys.modules])
"""


def test_causes_2_and_3_nothing_of_the_bridge_imports_what_does_not_import() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", EVERYTHING_OF_THE_BRIDGE],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "[]" == outcome.stdout.strip()


@pytest.mark.parametrize("module", ["modAL.dropout", "modAL.expected_error"])
def test_causes_2_and_3_what_does_not_import_is_not_offered(module: str) -> None:
    # When this fails, the module works again and may be offered.
    with pytest.raises((ImportError, AttributeError)):
        importlib.import_module(module)
    for name in ("mc_dropout_bald", "expected_error_reduction", "expected_error"):
        assert not hasattr(bridge, name)
        assert f"modal_{name}" not in STRATEGIES


@pytest.mark.parametrize("name", ["max_loss", "mean_max_loss"])
def test_cause_4_the_losses_read_an_attribute_no_learner_has(name: str) -> None:
    query = getattr(importlib.import_module("modAL.multilabel"), name)
    features, truth = three_clouds()
    learner = bridge.active_learner(
        LogisticRegression(), X_training=features[:30], y_training=truth[:30]
    )

    with pytest.raises(AttributeError, match="classes_"):
        query(learner, features[:5], n_instances=1)
    assert not hasattr(bridge, name)
    assert f"modal_{name}" not in STRATEGIES


def test_cause_7_the_version_comes_from_the_installed_package() -> None:
    assert not hasattr(importlib.import_module("modAL"), "__version__")
    assert "0.4.2.1" == bridge.modal_version()


def test_sampling_does_not_import_modal_until_it_is_used() -> None:
    asked = "import sys, sampling; print('modAL' in sys.modules)"

    outcome = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )

    assert "False" == outcome.stdout.strip()
