"""Unknown probabilities stay unknown, and urgency is the worst expected severity."""

from __future__ import annotations

import numpy as np

from hitl.selection import (
    fill_unknown,
    known_columns,
    reading_seconds,
    worth_by_rank,
)

NAN = float("nan")


def test_a_category_that_no_row_knows_is_left_out() -> None:
    filled = fill_unknown(np.array([[0.2, NAN], [0.6, NAN]]))

    np.testing.assert_array_equal([[0.2], [0.6]], filled)


def test_a_row_that_lacks_a_category_gets_the_mean_of_the_others() -> None:
    filled = fill_unknown(np.array([[0.2, 0.4], [0.6, NAN], [0.1, 0.8]]))

    np.testing.assert_allclose([[0.2, 0.4], [0.6, 0.6], [0.1, 0.8]], filled)


def test_with_nothing_known_everything_is_equally_worth_asking() -> None:
    np.testing.assert_array_equal([[0.5], [0.5]], fill_unknown(np.full((2, 3), NAN)))


def test_the_first_of_a_share_is_worth_up_to_twice_its_last() -> None:
    worth = worth_by_rank([0, 1, 0, 1, 2, 3], ["a", "a", "b", "b", "b", "b"])

    assert [1.0, 0.75, 1.0, 0.875, 0.75, 0.625] == worth


def test_columns_kept_are_those_that_some_row_knows() -> None:
    probabilities = np.array([[0.2, NAN, NAN], [NAN, NAN, 0.1]])

    assert [0, 2] == known_columns(probabilities).tolist()
    assert fill_unknown(probabilities).shape == probabilities[:, known_columns(probabilities)].shape
    assert [] == known_columns(np.full((2, 3), NAN)).tolist()


def test_a_longer_text_takes_longer() -> None:
    np.testing.assert_allclose([2.0, 62.0], reading_seconds(np.array([0, 1380])))
