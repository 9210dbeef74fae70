from __future__ import annotations

import numpy as np
import pytest

from sampling import BadEmbedding, BadPool, BadProbabilities, Pool
from sampling.pool import best_first, unit


def test_an_item_twice_is_refused_by_name() -> None:
    with pytest.raises(BadPool, match=r"item b is in the pool twice \(rows 0 and 2\)"):
        Pool(["b", "a", "b"], [[0.1], [0.2], [0.3]])


def test_ids_that_are_not_strings_are_refused() -> None:
    with pytest.raises(BadPool, match=r"item_ids\[1\] is int"):
        Pool(["a", 7], [[0.1], [0.2]])  # type: ignore[list-item]


def test_one_string_is_not_taken_for_a_list_of_ids() -> None:
    with pytest.raises(BadPool, match="one string"):
        Pool("ab", [[0.1], [0.2]])


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.inf])
def test_a_probability_out_of_range_is_refused_by_name(wrong: float) -> None:
    with pytest.raises(BadProbabilities, match="item b, category column 1: the probability is"):
        Pool(["a", "b"], [[0.1, 0.2], [0.3, wrong]])


def test_exclusive_rows_must_add_up_to_one() -> None:
    with pytest.raises(BadProbabilities, match=r"item b: the probabilities add up to 0\.9"):
        Pool(["a", "b"], [[0.5, 0.5], [0.5, 0.4]], exclusive=True)


def test_exclusive_categories_need_two_columns() -> None:
    with pytest.raises(BadPool, match="at least two"):
        Pool(["a"], [[1.0]], exclusive=True)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (3, 0), (3, 1, 1)])
def test_probabilities_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadPool, match="probabilities has shape"):
        Pool(["a", "b", "c"], np.zeros(shape))


def test_embeddings_and_groups_need_one_row_an_item() -> None:
    with pytest.raises(BadPool, match="embeddings has shape"):
        Pool(["a", "b"], [[0.1], [0.2]], np.zeros((3, 2)))
    with pytest.raises(BadPool, match="groups has 1"):
        Pool(["a", "b"], [[0.1], [0.2]], groups=["g"])


def test_an_embedding_that_is_not_finite_is_refused_by_name_where_it_is_read() -> None:
    pool = Pool(["a", "b", "c"], [[0.1], [0.2], [0.3]], [[0.0, 1.0], [0.0, np.nan], [1.0, 0.0]])

    assert (2, 2) == pool.unit_embeddings(np.array([0, 2])).shape
    with pytest.raises(BadEmbedding, match="item b, embedding column 1"):
        pool.unit_embeddings(np.array([2, 1]))


def test_asking_for_embeddings_that_are_not_there_says_so() -> None:
    with pytest.raises(BadPool, match="no embeddings"):
        Pool(["a"], [[0.1]]).embeddings(np.array([0]))


def test_unit_rows_have_length_one_at_any_scale_and_zeros_stay() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [1e30, 0.0], [3e-30, 4e-30]], dtype=np.float32)

    expected = [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0], [0.6, 0.8]]

    np.testing.assert_allclose(unit(rows), expected, rtol=1e-6)


def test_a_part_of_a_part_still_knows_its_items() -> None:
    ids = ["d", "a", "c", "b"]
    pool = Pool(ids, [[0.4], [0.1], [0.3], [0.2]], np.diag([4.0, 1.0, 3.0, 2.0]), ["x", "y"] * 2)

    part = pool.take(np.array([3, 0, 2])).take(np.array([2, 0]))

    assert ("c", "b") == part.item_ids
    assert [[0.3], [0.2]] == part.probabilities.tolist()
    assert [1, 0] == part.by_id.tolist()
    assert [3.0, 2.0] == part.embeddings(np.arange(2)).sum(axis=1).tolist()
    assert part.groups is not None
    assert part.groups[0] != part.groups[1]


def test_no_group_is_a_group_of_its_own() -> None:
    pool = Pool(["a", "b", "c", "d"], [[0.1]] * 4, groups=[None, "g", None, "g"])

    assert pool.groups is not None
    assert 3 == len(set(pool.groups.tolist()))
    assert pool.groups[1] == pool.groups[3]


def test_best_first_keeps_the_right_ones_of_equals_at_the_cut() -> None:
    worth = np.array([0.5, 0.9, 0.5, 0.5, 0.1])
    tie = np.array([2, 0, 3, 1, 4])

    assert [1, 3, 0] == best_first(worth, limit=3, tie=tie).tolist()


def test_best_first_agrees_with_a_plain_sort() -> None:
    rng = np.random.default_rng(0)
    for limit in (0, 1, 7, 99, 100, 200):
        worth = rng.integers(0, 10, size=100).astype(float)
        tie = rng.permutation(100)

        plain = sorted(range(100), key=lambda row: (-worth[row], tie[row]))[:limit]

        assert plain == best_first(worth, limit=limit, tie=tie).tolist()
