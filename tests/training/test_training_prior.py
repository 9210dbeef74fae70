"""An earlier model's decisions are weighed in where unseen labels say that they help."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hitl.training import Bundle, NothingToLearn, Prior, TextModel, fit, learn_prior
from hitl.training.measure import average_precision
from tests.training.training_builders import make_example, make_examples, make_recipe

RECIPE = make_recipe()
CATEGORIES = RECIPE.categories
POOL = make_examples(1500, seed=7)
TEXTS = [one.text for one in POOL]


def truth(examples: list) -> NDArray[np.float64]:  # type: ignore[type-arg]
    return np.array([[one.labels[c] for c in CATEGORIES] for one in examples])


def decided(quality: float, *, seed: int = 3) -> NDArray[np.float64]:
    """Probabilities of an earlier model: 1 is right, 0 knows nothing."""
    noise = np.random.default_rng(seed).random((len(POOL), len(CATEGORIES)))
    return np.clip(0.1 + 0.8 * (quality * truth(POOL) + (1 - quality) * noise), 0.0, 1.0)


def learned(quality: float) -> Prior:
    return learn_prior(TEXTS, decided(quality), RECIPE)


def score(bundle: Bundle) -> float:
    test = make_examples(800, seed=11)
    p, y = TextModel.of(bundle).predict([one.text for one in test]), truth(test)
    ones = np.ones(len(test))
    return float(np.mean([average_precision(p[:, j], y[:, j], ones) for j in (0, 1)]))


def shares(bundle: Bundle) -> list[float]:
    return [bundle.metrics[c]["prior_share"] for c in CATEGORIES]


def test_a_few_labels_with_a_good_earlier_model_beat_the_labels_alone() -> None:
    few = make_examples(60, seed=5)

    alone, with_prior = fit(few, RECIPE, seed=1), fit(few, RECIPE, seed=1, prior=learned(0.7))

    assert [0.0, 0.0] == shares(alone)
    assert all(share > 0 for share in shares(with_prior))
    assert score(with_prior) > score(alone) + 0.03


def test_an_earlier_model_that_knows_nothing_has_no_say_and_costs_nothing() -> None:
    many = make_examples(600, seed=5)

    alone, with_prior = fit(many, RECIPE, seed=1), fit(many, RECIPE, seed=1, prior=learned(0.0))

    assert max(shares(with_prior)) <= 0.1
    assert score(with_prior) > score(alone) - 0.02


def test_a_category_that_the_earlier_model_never_decided_on_stays_ours() -> None:
    said = decided(0.7)
    said[:, 1] = np.nan
    prior = learn_prior(TEXTS, said, RECIPE)

    found = fit(make_examples(60, seed=5), RECIPE, seed=1, prior=prior)

    assert [True, False] == prior.knows.tolist()
    assert not prior.weights[:, 1].any()
    assert 0.0 == shares(found)[1]
    assert shares(found)[0] > 0


def test_where_the_labels_hold_one_kind_only_the_earlier_model_speaks_alone() -> None:
    never_spam = [
        make_example(number, one.text, {"spam": 0.0, "hate": one.labels["hate"]})
        for number, one in enumerate(make_examples(120, seed=5))
        if not one.labels["spam"]
    ]

    found = fit(never_spam, RECIPE, seed=1, prior=learned(0.7))

    assert found.metrics["spam"]["constant"]
    assert 1.0 == shares(found)[0]
    p = TextModel.of(found).predict(["we saw coins prize click", "we saw the river late"])[:, 0]
    assert p[0] > p[1] + 0.2


def test_the_same_examples_and_prior_give_the_same_bytes() -> None:
    few = make_examples(60, seed=5)

    first, second = (fit(few, RECIPE, seed=1, prior=learned(0.7)) for _ in range(2))
    other = fit(few, RECIPE, seed=1, prior=learned(0.6))

    assert first.digest == second.digest
    assert first.about["prior"]["items"] == len(POOL)
    assert first.about["prior"]["sha256"] != other.about["prior"]["sha256"]


def test_no_decisions_are_refused() -> None:
    with pytest.raises(NothingToLearn):
        learn_prior([], decided(0.7)[:0], RECIPE)


@pytest.mark.parametrize("rows", [1, 3])
def test_hardly_anything_decided_is_no_reason_to_fail(rows: int) -> None:
    prior = learn_prior(TEXTS[:rows], decided(0.7)[:rows], RECIPE)

    found = fit(make_examples(40, seed=5), RECIPE, seed=1, prior=prior)

    assert np.isfinite(TextModel.of(found).predict(["a river"])).all()
