"""The replay's heads are scikit-learn's optimum, from wherever they start."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from flows.replaying.heads import Head, fit_head

Rows = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]


def made(*, classes: int = 0, rows: int = 120) -> Rows:
    """Rows to learn from, their labels (two columns, or classes), and other rows."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows + 50, 12)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    pull = x @ rng.standard_normal((12, classes or 2)) * 3 + rng.logistic(size=(len(x), 1))
    labels = pull.argmax(axis=1).astype(float) if classes else (pull > 1.5).astype(float)
    return x[:rows], labels[:rows], x[rows:]


def peer(head: Head) -> LogisticRegression:
    weight = "balanced" if head is Head.BALANCED else None
    return LogisticRegression(C=1.0, class_weight=weight, tol=1e-9, max_iter=2_000)


def scaled(head: Head, rows: NDArray[np.float32], like: NDArray[np.float32]) -> NDArray[np.float64]:
    if head is Head.BALANCED:
        return rows.astype(float)
    return (rows - like.mean(axis=0)) / like.std(axis=0)


@pytest.mark.parametrize("head", list(Head))
def test_each_label_has_the_probabilities_of_scikit_learn(head: Head) -> None:
    rows, labels, others = made()

    found = fit_head(rows, labels, head=head).probabilities(others)

    for column in range(2):
        theirs = peer(head).fit(scaled(head, rows, rows), labels[:, column])
        expected = theirs.predict_proba(scaled(head, others, rows))[:, 1]
        np.testing.assert_allclose(expected, found[:, column], atol=2e-4)


@pytest.mark.parametrize("head", list(Head))
def test_classes_have_the_probabilities_of_scikit_learn(head: Head) -> None:
    rows, labels, others = made(classes=3)

    found = fit_head(rows, labels, head=head, classes=3).probabilities(others)

    theirs = peer(head).fit(scaled(head, rows, rows), labels)
    expected = theirs.predict_proba(scaled(head, others, rows))
    np.testing.assert_allclose(expected, found, atol=2e-4)
    np.testing.assert_allclose(1.0, found.sum(axis=1))


@pytest.mark.parametrize("classes", [0, 3])
def test_a_start_from_fewer_rows_ends_at_the_same_optimum(classes: int) -> None:
    rows, labels, others = made(classes=classes)
    fewer = fit_head(rows[:60], labels[:60], head=Head.BALANCED, classes=classes)

    cold, warm = (
        fit_head(rows, labels, head=Head.BALANCED, classes=classes, start=start)
        for start in (None, fewer)
    )

    np.testing.assert_allclose(cold.probabilities(others), warm.probabilities(others), atol=2e-4)
    assert not np.allclose(cold.weights, fewer.weights, atol=1e-2)


def test_balanced_errs_alike_on_both_answers_and_logreg_on_all_rows() -> None:
    rows, labels, _ = made()
    rare = labels[:, :1] * (np.arange(len(labels)) % 8 == 0)[:, None]
    is_one = rare[:, 0] == 1.0

    balanced, logreg = (
        fit_head(rows, rare, head=head).probabilities(rows)[:, 0]
        for head in (Head.BALANCED, Head.LOGREG)
    )

    # What a free intercept gives at the optimum: weighted residuals add up to nothing.
    np.testing.assert_allclose((1 - balanced[is_one]).mean(), balanced[~is_one].mean(), atol=1e-4)
    np.testing.assert_allclose(is_one.mean(), logreg.mean(), atol=1e-4)


def test_a_class_that_is_not_among_the_rows_is_next_to_impossible() -> None:
    rows, labels, others = made(classes=3)
    without = labels != 2.0

    found = fit_head(rows[without], labels[without], head=Head.BALANCED, classes=3)

    assert found.probabilities(others)[:, 2].max() < 0.01


def test_a_column_without_spread_does_no_harm() -> None:
    rows, labels, others = made()
    flat = np.hstack([rows, np.ones((len(rows), 1), dtype=np.float32)])

    found = fit_head(flat, labels, head=Head.LOGREG)

    there = found.probabilities(np.hstack([others, np.full((50, 1), 9.0, dtype=np.float32)]))
    expected = fit_head(rows, labels, head=Head.LOGREG).probabilities(others)
    np.testing.assert_allclose(expected, there, atol=2e-4)
