from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from numpy.typing import NDArray

from sampling import (
    BadBudget,
    BadPool,
    BadWorth,
    first_that_differs,
    poisson_probabilities,
    poisson_round,
)

IDS = [f"i{row:04d}" for row in range(2000)]


def chances() -> NDArray[np.float64]:
    worth = np.random.default_rng(0).pareto(1.0, len(IDS))
    return poisson_probabilities(worth, budget=150, floor=0.01)


def test_a_round_draws_what_lies_below_its_chance_and_logs_every_item() -> None:
    found = poisson_round(IDS, chances(), key=b"secret", round_id="r1")

    log = found.log()

    assert len(IDS) == log.num_rows
    assert set(found.rows.tolist()) == set(np.flatnonzero(found.number < chances()).tolist())
    assert found.rows.tolist() == sorted(found.rows.tolist(), key=lambda row: found.number[row])
    assert int(pa.compute.sum(log["is_drawn"]).as_py()) == len(found.rows)
    assert ["round_id", "item_id", "inclusion_probability", "number", "is_drawn"] == (
        log.column_names
    )


def test_every_item_is_drawn_as_often_as_its_chance_says() -> None:
    probability = chances()
    rounds = 4000
    drawn = np.zeros(len(IDS))

    for number in range(rounds):
        drawn[poisson_round(IDS, probability, key=b"k", round_id=str(number)).rows] += 1

    error = np.sqrt(probability * (1 - probability) / rounds)
    off = np.abs(drawn / rounds - probability)[error > 0] / error[error > 0]
    # Of 2,000 items one in 2,000 may lie beyond 3.5 standard errors; five times that does not.
    assert 5 > np.count_nonzero(off > 3.5)
    assert bool((drawn[error == 0] == rounds).all())


def test_an_auditor_finds_what_was_changed_after_the_draw() -> None:
    log = poisson_round(IDS, chances(), key=b"secret", round_id="r1").log()
    is_drawn = log["is_drawn"].to_pylist()
    place = is_drawn.index(False)
    is_drawn[place] = True
    at = log.column_names.index("is_drawn")
    forged = log.set_column(at, "is_drawn", pa.array(is_drawn))

    assert first_that_differs(log, key=b"secret") is None
    assert IDS[place] == first_that_differs(forged, key=b"secret")
    assert first_that_differs(log, key=b"another") is not None


def test_who_is_in_the_round_changes_nobody_elses_draw() -> None:
    probability = chances()

    part = poisson_round(IDS[::2], probability[::2], key=b"k", round_id="r")

    whole = poisson_round(IDS, probability, key=b"k", round_id="r")
    np.testing.assert_array_equal(whole.is_drawn[::2], part.is_drawn)


def test_what_cannot_be_drawn_is_refused_by_name() -> None:
    with pytest.raises(BadWorth, match=r"row 1: the chance is 1.5"):
        poisson_round(["a", "b"], np.array([0.5, 1.5]), key=b"k", round_id="r")
    with pytest.raises(BadWorth, match="row 0: the chance is nan"):
        poisson_round(["a"], np.array([np.nan]), key=b"k", round_id="r")
    with pytest.raises(BadBudget, match="give 2 numbers"):
        poisson_round(["a", "b"], np.array([0.5]), key=b"k", round_id="r")
    with pytest.raises(BadPool, match="twice"):
        poisson_round(["a", "a"], np.array([0.5, 0.5]), key=b"k", round_id="r")
    two = pa.concat_tables(
        poisson_round(["a"], np.ones(1), key=b"k", round_id=one).log() for one in "rs"
    )
    with pytest.raises(BadBudget, match="2 rounds"):
        first_that_differs(two, key=b"k")
