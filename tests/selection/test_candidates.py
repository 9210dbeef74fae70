"""Unknown probabilities stay unknown, and urgency is the worst expected severity."""

from __future__ import annotations

import numpy as np

from hitl.selection import (
    evenly_between,
    fill_unknown,
    known_columns,
    reading_seconds,
    urgency,
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


def test_urgency_is_probability_times_severity_of_the_worst_category() -> None:
    found = urgency(np.array([[0.5, 0.9], [0.8, 0.1], [NAN, NAN]]), np.array([4, 1]))

    np.testing.assert_allclose([2.0, 3.2, 2.0], found)


def test_what_stands_evenly_between_is_reached_at_the_same_pace() -> None:
    others = np.array([0.1, 0.9, 0.5, 0.7, 0.3, 0.2, 0.8, 0.6])

    places = evenly_between(others, count=4)

    assert sorted(places, reverse=True) == places.tolist()
    for k, place in enumerate(places):
        above = (others > place).sum()
        assert abs(above / len(others) - (k + 0.5) / 4) <= 1 / len(others)


def test_with_nothing_to_stand_between_all_places_are_equal() -> None:
    assert [0.0, 0.0] == evenly_between(np.array([]), count=2).tolist()
    assert [] == evenly_between(np.array([0.5]), count=0).tolist()


def test_columns_kept_are_those_that_some_row_knows() -> None:
    probabilities = np.array([[0.2, NAN, NAN], [NAN, NAN, 0.1]])

    assert [0, 2] == known_columns(probabilities).tolist()
    assert fill_unknown(probabilities).shape == probabilities[:, known_columns(probabilities)].shape
    assert [] == known_columns(np.full((2, 3), NAN)).tolist()


def test_a_longer_text_takes_longer() -> None:
    np.testing.assert_allclose([2.0, 62.0], reading_seconds(np.array([0, 1380])))
