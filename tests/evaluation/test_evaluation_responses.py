"""Who answers: cells of score and slice, and figures that no longer lean to those who do."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import BadArrays, estimate
from hitl.evaluation.window import Responses, respond


def of(score: list[float], came: list[bool], *, language: list[str] | None = None) -> Responses:
    size = len(score)
    return respond(
        score,
        np.array(language or ["en"] * size, dtype=object),
        np.full(size, "posts", dtype=object),
        expected=np.full(size, 0.5),
        is_answered=came,
        least_asked=4,
        least_answered=2,
    )


def test_a_cells_factor_is_its_rate_beside_that_of_its_batches() -> None:
    # Below .1: 3 of 4 answered where half would be expected; at .95: 2 of 8.
    found = of([0.05] * 4 + [0.95] * 8, [True] * 3 + [False] + [True] * 2 + [False] * 6)

    assert [
        ("score 0.0 to 0.1, en, posts", 4, 3, 1.5),
        ("score 0.1 to 1.0, en, posts", 8, 2, 0.5),
    ] == [(str(one), one.asked, one.answered, one.factor) for one in found.cells]
    assert [1.5] * 4 + [0.5] * 8 == found.factor.tolist()


def test_where_cells_differ_by_chance_nothing_is_mended() -> None:
    """500 worlds in which all answer alike: no more than one in ten is mended."""
    rng = np.random.default_rng(3)
    mended = 0
    for _ in range(500):
        score, came = rng.random(400), rng.random(400) < 0.8
        found = respond(
            score, np.full(400, "en"), np.full(400, "posts"),
            expected=np.full(400, came.mean()), is_answered=came,
        )  # fmt: skip
        assert (found.p_value <= 0.1) == bool((found.factor != 1.0).any())
        mended += bool((found.factor != 1.0).any())

    assert mended / 500 < 0.1 + 3 * np.sqrt(0.09 / 500)


def test_a_slice_with_enough_is_a_cell_of_its_own_and_the_rest_another() -> None:
    found = of(
        [0.5] * 13,
        [True] * 4 + [True, True, False, False] + [True, False, True, False, False],
        language=["de"] * 4 + ["en"] * 4 + ["pt", "pt", "tr", "tr", "tr"],
    )

    assert [("de", 4, 4), ("en", 4, 2), ("", 5, 2)] == [
        (one.language, one.asked, one.answered) for one in found.cells
    ]


def test_a_rest_that_is_too_small_joins_the_smallest_cell() -> None:
    found = of(
        [0.5] * 10,
        [True] * 10,
        language=["de"] * 5 + ["en"] * 4 + ["pt"],
    )

    assert [("de", 5), ("", 5)] == [(one.language, one.asked) for one in found.cells]


def test_a_few_items_are_one_cell_and_nothing_changes() -> None:
    found = of([0.1, 0.9], [True, False])

    assert [(0.0, 1.0, 2, 1)] == [
        (one.low, one.high, one.asked, one.answered) for one in found.cells
    ]
    assert [1.0, 1.0] == found.factor.tolist()
    assert () == of([], []).cells


def test_all_together_the_answers_weigh_as_much_as_before() -> None:
    rng = np.random.default_rng(1)
    score = rng.random(2000)
    expected = rng.choice([0.6, 0.9], size=2000)
    came = rng.random(2000) < expected * (1.2 - 0.5 * score)
    # As in a batch: of those asked, just the expected part is answered.
    expected = expected * came.sum() / expected.sum()

    found = respond(
        score, rng.choice(["de", "en"], 2000), np.full(2000, "posts"),
        expected=expected, is_answered=came,
    )  # fmt: skip

    assert np.mean(1.0 / found.factor[came]) == pytest.approx(1.0)


def test_shapes_must_agree() -> None:
    with pytest.raises(BadArrays):
        respond([0.5], np.array(["en", "de"]), np.array(["x"]), expected=[1.0], is_answered=[True])


def test_skips_by_score_bias_what_is_not_adjusted_for_them() -> None:
    """200 worlds: what the model is sure of is answered, two in three of the rest are lost."""
    rng = np.random.default_rng(7)
    items, worlds = 40_000, 200
    score = rng.beta(0.4, 2.0, items)
    truth = rng.random(items) < score
    flagged = score >= 0.5
    answers = np.where(np.abs(score - 0.5) < 0.3, 0.35, 0.95)
    figures: dict[str, list[tuple[float, float, float]]] = {"as it came": [], "adjusted": []}
    for _ in range(worlds):
        drawn = np.flatnonzero(rng.random(items) < 0.25)
        came = rng.random(len(drawn)) < answers[drawn]
        rate = came.mean()
        factor = respond(
            score[drawn], np.full(len(drawn), "en"), np.full(len(drawn), "posts"),
            expected=np.full(len(drawn), rate), is_answered=came,
        ).factor  # fmt: skip
        for name, by in (("as it came", np.ones(len(drawn))), ("adjusted", factor)):
            found = [
                estimate(
                    metric, truth=truth[drawn][came], flagged=flagged[drawn][came],
                    inclusion_probability=np.minimum(1.0, 0.25 * rate * by[came]),
                    kind="descriptive",
                ).value
                for metric in ("prevalence", "precision", "recall")
            ]  # fmt: skip
            figures[name].append(tuple(found))  # type: ignore[arg-type]

    true = np.array([truth.mean(), truth[flagged].mean(), flagged[truth].mean()])

    def off(name: str) -> np.ndarray:
        """Mean error in standard errors of that mean."""
        found = np.array(figures[name])
        return (found.mean(axis=0) - true) / (found.std(axis=0) / np.sqrt(worlds))

    assert (np.abs(off("as it came")) > 10).all()
    assert (np.abs(off("adjusted")) < 3).all()
