"""Training end to end on small made-up examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_builders import make_example, make_examples, make_recipe

from hitl.training import (
    BadExample,
    BadRecipe,
    NothingToLearn,
    TextModel,
    TrainingRecipe,
    fit,
)


def model_of(n: int = 300, **changed: object) -> TextModel:
    return TextModel.of(fit(make_examples(n), make_recipe(**changed), seed=7))


@pytest.fixture(scope="module")
def model() -> TextModel:
    return model_of()


def test_what_tells_a_category_raises_its_probability_and_not_the_others(model: TextModel) -> None:
    spam, hate, dull = model.predict(
        ["click for a prize of coins", "we saw filth and scum", "tea on sunday"]
    )

    assert spam[0] > 0.8 > 0.4 > spam[1]
    assert hate[1] > 0.8 > 0.4 > hate[0]
    assert dull.max() < 0.3


def test_probabilities_are_calibrated_on_rows_never_seen(model: TextModel) -> None:
    fresh = make_examples(2000, seed=99)

    p = model.predict([e.text for e in fresh])
    truth = np.array([[e.labels["spam"], e.labels["hate"]] for e in fresh])

    assert truth.mean(axis=0) == pytest.approx(p.mean(axis=0), abs=0.04)
    sure = p > 0.8
    assert truth[sure].mean() == pytest.approx(p[sure].mean(), abs=0.06)


def test_the_same_examples_in_any_order_give_the_same_bytes() -> None:
    examples = make_examples(120)

    one = fit(examples, make_recipe(), seed=7)
    other = fit(examples[::-1], make_recipe(), seed=7)

    assert one.files == other.files
    assert one.digest != fit(examples, make_recipe(), seed=8).digest


def test_a_score_does_not_depend_on_its_batch(model: TextModel) -> None:
    texts = [e.text for e in make_examples(200, seed=3)] + ["", "\x00", "x" * 20_000]

    together, embedded = model.predict(texts), model.embed(texts)

    assert np.array_equal(together[::-1], model.predict(texts[::-1]))
    for row in (0, 17, 100, 200, 201, 202):
        assert np.array_equal(together[row], model.predict([texts[row]])[0])
        assert np.array_equal(embedded[row], model.embed([texts[row]])[0])


def test_more_threads_change_no_probability_by_more_than_a_ten_thousandth() -> None:
    texts = [e.text for e in make_examples(200, seed=3)]

    one, two = (model_of(threads=threads).predict(texts) for threads in (1, 2))

    assert one == pytest.approx(two, abs=1e-4)


def test_the_callers_thread_count_is_given_back() -> None:
    before = torch.get_num_threads()

    fit(make_examples(30), make_recipe(threads=before + 1), seed=1)

    assert before == torch.get_num_threads()


def test_an_unknown_label_is_not_a_negative() -> None:
    examples = [
        replace(e, labels={"hate": e.labels["hate"]}) if i % 2 else e
        for i, e in enumerate(make_examples(400))
    ]
    as_negative = [replace(e, labels={"spam": 0.0, **e.labels}) for e in examples]

    masked = TextModel.of(fit(examples, make_recipe(), seed=1))
    wrong = TextModel.of(fit(as_negative, make_recipe(), seed=1))

    assert 200 == masked.bundle.metrics["spam"]["known"]
    fresh = make_examples(1000, seed=99)
    truth = np.mean([e.labels["spam"] for e in fresh])
    texts = [e.text for e in fresh]
    assert truth == pytest.approx(masked.predict(texts)[:, 0].mean(), abs=0.05)
    assert truth / 2 == pytest.approx(wrong.predict(texts)[:, 0].mean(), abs=0.05)


def test_an_example_of_weight_zero_teaches_nothing() -> None:
    lies = [
        make_example(1000 + i, "coins prize click", {"spam": 0.0}, weight=0.0) for i in range(300)
    ]

    taught = TextModel.of(fit(make_examples(200) + lies, make_recipe(), seed=1))

    assert taught.predict(["coins prize click"])[0, 0] > 0.8
    assert 200 == taught.bundle.metrics["spam"]["known"]


def test_a_category_of_one_kind_answers_with_its_prior_and_says_so() -> None:
    examples = [
        replace(e, labels={**e.labels, "never": 0.0, "always": 1.0}) for e in make_examples(98)
    ]
    recipe = make_recipe(categories=("spam", "never", "always", "unasked"))

    taught = TextModel.of(fit(examples, recipe, seed=1))

    p = taught.predict(["coins prize click", "tea"])
    assert np.array_equal(p[0, 1:], p[1, 1:])
    assert p[0, 1] < 0.05
    assert p[0, 2] > 0.95
    assert 0.5 == pytest.approx(p[0, 3])
    metrics = taught.bundle.metrics
    assert [False, True, True, True] == [metrics[c]["constant"] for c in taught.categories]


def test_a_rare_category_is_flagged_as_pooled() -> None:
    examples = [
        replace(e, labels={**e.labels, "rare": float(i < 6)})
        for i, e in enumerate(make_examples(300))
    ]

    bundle = fit(examples, make_recipe(categories=("spam", "rare")), seed=1)

    found = {c: bundle.metrics[c]["calibrated_by"] for c in ("spam", "rare")}
    assert {"spam": "own", "rare": "pooled"} == found


@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_handful_of_examples_gives_a_model(n: int) -> None:
    taught = TextModel.of(fit(make_examples(n), make_recipe(), seed=1))

    p = taught.predict(["coins", ""])

    assert (2, 2) == p.shape
    assert np.isfinite(p).all()
    assert ((p > 0) & (p < 1)).all()


def test_one_group_alone_cannot_be_calibrated_and_says_so() -> None:
    examples = [replace(e, group_id="all") for e in make_examples(200)]

    bundle = fit(examples, make_recipe(), seed=1)

    assert {"none"} == {m["calibrated_by"] for m in bundle.metrics.values()}
    assert TextModel.of(bundle).predict(["coins prize click"])[0, 0] > 0.5


def test_copies_in_one_group_are_not_mistaken_for_skill() -> None:
    # Labels are coin flips; each text stands there ten times. A split that tore copies apart
    # would look nearly perfect.
    rng = np.random.default_rng(3)
    examples = []
    for group in range(60):
        text, label = " ".join(f"w{w}" for w in rng.integers(0, 500, 12)), float(group % 2)
        for copy in range(10):
            number = group * 10 + copy
            labels = {"spam": label}
            examples.append(make_example(number, text, labels, group_id=f"g{group}"))

    bundle = fit(examples, make_recipe(categories=("spam",)), seed=1)

    assert bundle.metrics["spam"]["unseen_average_precision"] < 0.75
    assert bundle.metrics["spam"]["unseen_log_loss"] > 0.6


def test_examples_without_labels_are_refused_with_what_to_do() -> None:
    for examples in ([], [make_example(labels={})], [make_example(weight=0.0)]):
        with pytest.raises(NothingToLearn, match="collect labels first"):
            fit(examples, make_recipe(), seed=1)


@pytest.mark.parametrize(
    "broken",
    [
        make_example(5, "secret words", {"spam": float("nan")}),
        make_example(5, "secret words", {"spam": 0.5}),
        make_example(5, "secret words", weight=-1.0),
        make_example(5, "secret words", weight=float("inf")),
    ],
)
def test_a_bad_example_is_named_without_its_text(broken: object) -> None:
    with pytest.raises(BadExample, match="example i00005") as told:
        fit([broken], make_recipe(), seed=1)  # type: ignore[list-item]

    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("categories", ()),
        ("categories", ("a", "a")),
        ("folds", 1),
        ("plain_c", 0.0),
        ("ratio_shares", (1.5,)),
        ("threads", 0),
    ],
)
def test_a_recipe_names_the_wrong_field(field: str, value: object) -> None:
    with pytest.raises(BadRecipe, match=field):
        TrainingRecipe(**({"categories": ("a",)} | {field: value}))  # type: ignore[arg-type]


def test_a_five_megabyte_text_is_scored_as_its_beginning(model: TextModel) -> None:
    huge = "coins prize click " * 300_000

    found = model.predict([huge])

    assert np.array_equal(model.predict([huge[:10_000]]), found)


def test_the_embedding_puts_near_copies_together(model: TextModel) -> None:
    texts = [e.text for e in make_examples(100, seed=5)]
    copies = [text.replace("river", "rivers") + " ok" for text in texts]

    rows, near = model.embed(texts), model.embed(copies)

    assert (100, 16) == rows.shape
    assert np.ones(100) == pytest.approx((rows**2).sum(axis=1), abs=1e-5)
    assert ((rows @ near.T).argmax(axis=1) == np.arange(100)).mean() > 0.8
    assert 0.0 == model.embed([""]).max()


def test_no_items_give_no_rows(model: TextModel) -> None:
    assert (0, 2) == model.predict([]).shape
    assert (0, 16) == model.embed([]).shape
