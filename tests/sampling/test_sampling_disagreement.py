from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sampling import STRATEGIES, Pool, disagreement
from sampling.disagreement import mutual_information, widest_gap

LOG2_3 = np.log2(3.0)


def make_pool(
    kind: str,
    opinions: NDArray[np.floating],
    *,
    ids: list[str] | None = None,
    exclusive: bool = False,
) -> Pool:
    items = opinions.shape[1]
    given: Any = opinions
    if kind != "passes":
        given = {f"m{one}": said for one, said in enumerate(opinions)}
    # What the model itself says plays no part.
    own = np.full((items, opinions.shape[2]), 1.0 / opinions.shape[2])
    return Pool(
        ids or [f"i{row:03d}" for row in range(items)], own, exclusive=exclusive, **{kind: given}
    )


def chosen(name: str, pool: Pool, *, limit: int | None = None) -> list[str]:
    count = len(pool) if limit is None else limit
    rows = STRATEGIES[name](pool, limit=count, rng=np.random.default_rng(0))
    return [pool.item_ids[row] for row in rows]


def bits(*shares: float) -> float:
    return -sum(share * np.log2(share) for share in shares if share > 0.0)


# BALD


def test_worked_information_of_one_question() -> None:
    # Sure of opposite answers: one bit. Unsure alike: none. In between by hand.
    passes = np.array([[[0.0], [0.5], [0.25], [1.0]], [[1.0], [0.5], [0.75], [1.0]]])

    found = mutual_information(passes, False)

    np.testing.assert_allclose([1.0, 0.0, 1.0 - bits(0.25, 0.75), 0.0], found)
    assert found[2] == pytest.approx(0.188722, abs=1e-6)


def test_worked_information_of_several_questions_adds_up() -> None:
    passes = np.array([[[0.0, 0.25]], [[1.0, 0.75]]])

    assert [pytest.approx(1.188722, abs=1e-6)] == mutual_information(passes, False).tolist()


def test_worked_information_of_exclusive_categories() -> None:
    passes = np.array(
        [
            [[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]],
            [[0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.0, 0.5, 0.5]],
        ]
    )

    found = mutual_information(passes, True)

    # In units of log 3: one bit; nothing; H(1/4, 1/2, 1/4) - 1 bit.
    np.testing.assert_allclose([1.0 / LOG2_3, 0.0, 0.5 / LOG2_3], found, atol=1e-12)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("passes", [2, 3, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_all_passes_agree_there_is_nothing_to_learn(
    exclusive: bool, passes: int, dtype: Any
) -> None:
    rng = np.random.default_rng(0)
    one = rng.random((500, 3)).astype(dtype)
    if exclusive:
        one /= one.sum(axis=1, keepdims=True)
    opinions = np.stack([one] * passes)

    assert [0.0] * 500 == mutual_information(opinions, exclusive).tolist()
    pool = make_pool("passes", opinions, exclusive=exclusive)
    assert list(pool.item_ids) == chosen("bald", pool)


@pytest.mark.parametrize("exclusive", [False, True])
def test_information_agrees_with_the_divergence_from_the_mean(exclusive: bool) -> None:
    # The same number from its other definition: the mean divergence of each pass from their mean.
    rng = np.random.default_rng(1)
    opinions = rng.uniform(0.05, 0.95, (5, 200, 3))
    if exclusive:
        opinions /= opinions.sum(axis=2, keepdims=True)
        terms = opinions * np.log(opinions / opinions.mean(axis=0)) / np.log(3)
    else:
        no, mean = 1.0 - opinions, opinions.mean(axis=0)
        terms = opinions * np.log2(opinions / mean) + no * np.log2(no / (1.0 - mean))

    expected = terms.sum(axis=2).mean(axis=0)

    np.testing.assert_allclose(expected, mutual_information(opinions, exclusive), atol=1e-12)


def test_bald_prefers_what_passes_are_sure_of_differently() -> None:
    passes = np.array([[[0.5], [0.9], [0.6]], [[0.5], [0.1], [0.4]]])

    pool = make_pool("passes", passes, ids=["unsure", "torn", "leaning"])

    assert ["torn", "leaning", "unsure"] == chosen("bald", pool)


# Votes


def test_votes_for_and_against_are_counted_at_one_half() -> None:
    # Of four passes: 2, 1 and 0 for it; and 4, where one half counts as for.
    passes = np.array(
        [
            [[0.9], [0.9], [0.1], [0.5]],
            [[0.5], [0.1], [0.2], [0.9]],
            [[0.4], [0.2], [0.3], [0.5]],
            [[0.1], [0.3], [0.4], [0.6]],
        ]
    )
    pool = make_pool("passes", passes, ids=["half", "quarter", "none", "all"])

    assert ["half", "quarter", "all", "none"] == chosen("vote_entropy", pool)
    np.testing.assert_allclose(
        [1.0, bits(0.25, 0.75), 0.0, 0.0], disagreement._entropy_of_votes(passes, False)
    )


def test_the_category_with_most_disagreement_counts() -> None:
    # Two categories a little torn against one that is torn through.
    passes = np.array(
        [[[0.9, 0.9], [0.9, 0.1]], [[0.1, 0.9], [0.9, 0.1]], [[0.9, 0.1], [0.1, 0.1]]]
    )

    found = disagreement._entropy_of_votes(passes, False)

    np.testing.assert_allclose([bits(1 / 3, 2 / 3)] * 2, found)


def test_votes_among_exclusive_categories_are_for_the_leading_one() -> None:
    passes = np.array(
        [
            [[0.6, 0.3, 0.1], [0.4, 0.4, 0.2], [0.6, 0.3, 0.1]],
            [[0.3, 0.6, 0.1], [0.5, 0.3, 0.2], [0.3, 0.6, 0.1]],
            [[0.1, 0.3, 0.6], [0.9, 0.1, 0.0], [0.3, 0.6, 0.1]],
        ]
    )
    pool = make_pool("passes", passes, ids=["all differ", "one mind", "two to one"], exclusive=True)

    # Of equals the first category has the vote.
    expected = [1.0, 0.0, bits(1 / 3, 2 / 3) / LOG2_3]
    np.testing.assert_allclose(expected, disagreement._entropy_of_votes(passes, True), atol=1e-12)
    assert ["all differ", "two to one", "one mind"] == chosen("vote_entropy", pool)


@pytest.mark.parametrize("passes", [3, 5, 6, 7])
@pytest.mark.parametrize("exclusive", [False, True])
def test_as_many_for_as_against_is_as_torn(passes: int, exclusive: bool) -> None:
    # Of three categories, or of no and yes: who has how many votes decides, not for what.
    options = 3 if exclusive else 2
    votes = np.random.default_rng(0).integers(0, options, (passes, 300))
    opinions = np.eye(3)[votes] if exclusive else votes.astype(float)[:, :, None]

    found = disagreement._entropy_of_votes(opinions, exclusive)

    counts = {tuple(sorted(np.bincount(one, minlength=options).tolist())) for one in votes.T}
    assert len(counts) == len(set(found.tolist()))


# Modalities and models

SILENT = [np.nan, np.nan]


def test_the_widest_gap_of_any_two_in_any_category() -> None:
    said = np.array(
        [
            [[0.1, 0.5], [0.2, 0.2], SILENT, SILENT],
            [[0.3, 0.5], [0.2, 0.9], [0.9, 0.0], SILENT],
            [[0.2, 0.1], SILENT, [0.5, 0.1], [0.9, 0.9]],
        ]
    )

    found = widest_gap(said, False)

    np.testing.assert_allclose([0.4, 0.7, 0.4], found[:3])
    assert found[3] < 0.0


@pytest.mark.parametrize(
    ("name", "kind"),
    [("modality_disagreement", "modalities"), ("model_disagreement", "models")],
)
def test_of_whom_fewer_than_two_speak_comes_last(name: str, kind: str) -> None:
    said = np.array(
        [
            [SILENT, [0.4, 0.4], [0.1, 0.2], SILENT],
            [[0.9, 0.9], [0.4, 0.4], [0.9, 0.3], SILENT],
        ]
    )
    pool = make_pool(kind, said, ids=["a one", "c agree", "d differ", "b none"])

    # Those that agree come before those that cannot disagree.
    assert ["d differ", "c agree", "a one", "b none"] == chosen(name, pool)


def test_a_part_of_the_pool_has_its_own_opinions() -> None:
    said = np.random.default_rng(0).random((3, 20, 2))
    pool = make_pool("modalities", said)
    rows = np.array([13, 2, 7, 19])

    part = [
        pool.item_ids[row]
        for row in rows[
            STRATEGIES["modality_disagreement"](
                pool.take(rows), limit=2, rng=np.random.default_rng(0)
            )
        ]
    ]

    whole = [
        item_id
        for item_id in chosen("modality_disagreement", pool)
        if item_id in {pool.item_ids[row] for row in rows}
    ]
    assert whole[:2] == part


def test_of_one_category_only_its_opinions_count() -> None:
    said = np.array([[[0.0, 0.5], [0.5, 0.1]], [[1.0, 0.5], [0.5, 0.9]]])
    pool = make_pool("models", said, ids=["first", "second"])

    assert ["first", "second"] == chosen("model_disagreement", pool.only(0))
    assert ["second", "first"] == chosen("model_disagreement", pool.only(1))


@pytest.mark.parametrize(
    ("name", "kind", "exclusive"),
    [
        ("bald", "passes", False),
        ("bald", "passes", True),
        ("vote_entropy", "passes", False),
        ("vote_entropy", "passes", True),
        ("modality_disagreement", "modalities", False),
        ("model_disagreement", "models", True),
    ],
)
def test_blocks_do_not_change_the_order(
    name: str, kind: str, exclusive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opinions = np.random.default_rng(0).random((4, 100, 3))
    if exclusive:
        opinions /= opinions.sum(axis=2, keepdims=True)
    pool = make_pool(kind, opinions, exclusive=exclusive)
    expected = chosen(name, pool)
    monkeypatch.setattr(disagreement, "_ROWS_PER_BLOCK", 7)

    assert expected == chosen(name, pool)
    assert expected[:9] == chosen(name, pool, limit=9)
