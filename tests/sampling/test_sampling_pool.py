from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy import sparse

from sampling import BadEmbedding, BadPool, BadProbabilities, Labelled, Pool
from sampling import pool as pool_room
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


def full_pool(*, exclusive: bool = False) -> Pool:
    """Four items, two categories, everything that a pool may know."""
    halves = np.array([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.5, 0.5]])
    said = np.stack([halves, halves[::-1]])
    said[0, 1] = np.nan
    return Pool(
        ["d", "a", "c", "b"],
        halves,
        np.arange(1.0, 13.0).reshape(4, 3),
        ["x", "y", "x", None],
        exclusive,
        labelled=Labelled(np.eye(3)[:2], [[1.0, 0.0], [np.nan, 1.0]]),
        passes=np.stack([halves, halves[::-1], halves]),
        modalities={"text": said[0], "image": said[1]},
        models={"champion": said[1], "challenger": said[0]},
        thresholds=[0.3, 0.7],
        seconds=[4.0, 1.0, 3.0, 2.0],
        slices=["de", "en", None, "de"],
    )


def test_a_part_keeps_all_that_is_known_of_its_items() -> None:
    whole, rows = full_pool(exclusive=True), np.array([3, 0])

    part = whole.take(rows)

    assert ("b", "d") == part.item_ids
    assert whole.probabilities[rows].tolist() == part.probabilities.tolist()
    assert whole.embeddings(rows).tolist() == part.embeddings(np.arange(2)).tolist()
    assert [4.0, 2.0][::-1] == part.seconds.tolist()  # type: ignore[union-attr]
    assert whole.slices[rows].tolist() == part.slices.tolist()
    assert part.slices[0] == part.slices[1]
    assert part.groups is not None
    assert whole.thresholds is part.thresholds
    assert whole.labelled is part.labelled
    assert part.exclusive
    for kind in ("passes", "modalities", "models"):
        np.testing.assert_array_equal(whole.opinions(kind)[:, rows], part.opinions(kind))


def test_a_part_of_no_rows_is_a_pool() -> None:
    part = full_pool().take(np.empty(0, dtype=np.intp))

    assert 0 == len(part) == len(part.slices) == len(list(part.embedding_blocks()))
    assert (3, 0, 2) == part.opinions("passes").shape


def test_one_category_alone_is_a_yes_or_no_question() -> None:
    whole = full_pool(exclusive=True)

    one = whole.only(1)

    assert not one.exclusive
    assert [[0.9], [0.6], [0.2], [0.5]] == one.probabilities.tolist()
    assert [0.7] == one.thresholds.tolist()
    assert (3, 4, 1) == one.opinions("passes").shape
    assert whole.opinions("passes")[:, :, 1].tolist() == one.opinions("passes")[:, :, 0].tolist()
    assert [True, False, False, False] == np.isnan(
        one.opinions("models")[1, [1, 0, 2, 3], 0]
    ).tolist()
    assert one.labelled is not None
    assert [[0.0], [1.0]] == np.asarray(one.labelled.labels).tolist()
    assert [False, True] == one.labelled.positive.tolist()
    assert (whole.item_ids, whole.ids) == (one.item_ids, one.ids)
    assert (4, 2) == whole.probabilities.shape
    assert [[0.5], [0.1]] == whole.take(np.array([3, 0])).only(0).probabilities.tolist()


@pytest.mark.parametrize("column", [-1, 2])
def test_a_category_that_is_not_there_is_refused(column: int) -> None:
    with pytest.raises(BadPool, match=f"category column {column} of 2"):
        full_pool().only(column)


def test_what_is_chosen_counts_as_labelled_with_an_unknown_answer() -> None:
    whole = full_pool()

    later = whole.after(np.array([2, 0]))

    assert later.labelled is not None
    expected = [*np.eye(3)[:2].tolist(), *whole.embeddings(np.array([2, 0])).tolist()]
    assert expected == np.asarray(later.labelled.embeddings).tolist()
    assert [True, True, False, False] == later.labelled.positive.tolist()
    assert whole.labelled is not None
    assert 2 == len(np.asarray(whole.labelled.labels))
    assert 6 == len(np.asarray(later.after(np.array([1, 3])).labelled.labels))  # type: ignore[union-attr]


def test_what_is_chosen_of_a_part_is_its_own_rows() -> None:
    part = Pool(["a", "b", "c"], [[0.1]] * 3, np.diag([1.0, 2.0, 3.0])).take(np.array([2, 0]))

    later = part.after(np.array([0]))

    assert later.labelled is not None
    assert [[0.0, 0.0, 3.0]] == np.asarray(later.labelled.embeddings).tolist()


def test_groups_of_what_is_chosen_are_met() -> None:
    for embeddings in (None, np.eye(4)):
        pool = Pool(list("abcd"), [[0.1]] * 4, embeddings, ["g", "h", "g", None])
        assert pool.groups is not None

        later = pool.after(np.array([2])).take(np.array([3, 0, 1])).after(np.array([0]))

        assert sorted(pool.groups[[2, 3]]) == later.met_groups.tolist()
        assert [] == pool.met_groups.tolist()


def test_without_embeddings_or_groups_nothing_is_like_what_is_chosen() -> None:
    later = Pool(["a", "b"], [[0.1], [0.2]]).after(np.array([0]))

    assert later.labelled is None
    assert [] == later.met_groups.tolist()


def test_ids_may_be_any_column() -> None:
    ids = ["b", "a\0", "😀", ""]
    probabilities = [[0.1], [0.2], [0.3], [0.4]]

    for column in (ids, np.array(ids, dtype=object), pa.array(ids), pa.chunked_array([ids])):
        pool = Pool(column, probabilities)
        assert (tuple(ids), [3, 1, 0, 2]) == (pool.item_ids, pool.by_id.tolist())


@pytest.mark.parametrize(
    "none_of",
    [
        pytest.param(["g", None, "h", None, "g"], id="None"),
        pytest.param(["g", float("nan"), "h", float("nan"), "g"], id="NaN"),
        pytest.param(np.array(["g", None, "h", np.nan, "g"], dtype=object), id="numpy"),
        pytest.param(pa.array(["g", None, "h", None, "g"]), id="arrow"),
        pytest.param(pa.chunked_array([["g", None], ["h", None, "g"]]), id="arrow chunks"),
        pytest.param(pa.array(["g", None, "h", None, "g"]).dictionary_encode(), id="dictionary"),
    ],
)
def test_a_missing_name_is_no_name(none_of: Any) -> None:
    ids, probabilities = list("abcde"), [[0.1]] * 5

    groups = Pool(ids, probabilities, groups=none_of).groups
    slices = Pool(ids, probabilities, slices=none_of).slices

    assert groups is not None
    assert 4 == len(set(groups.tolist()))  # g, h, and two on their own
    assert groups[0] == groups[4]
    assert [1, 0, 2, 0, 1] == slices.tolist()  # those without a name are a slice together


def test_slices_are_numbered_by_name() -> None:
    names = ["en", "de", "fr\0", "fr", "en"]

    assert [1, 0, 3, 2, 1] == Pool(list("abcde"), [[0.1]] * 5, slices=names).slices.tolist()
    assert [0, 0] == Pool(["a", "b"], [[0.1]] * 2).slices.tolist()
    assert [] == Pool([], np.empty((0, 1)), slices=[]).slices.tolist()


def test_numbers_are_names_too() -> None:
    groups = Pool(["a", "b", "c"], [[0.1]] * 3, groups=[7, 8, 7]).groups  # type: ignore[list-item]

    assert groups is not None
    assert groups[0] == groups[2] != groups[1]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"groups": ["g"]}, "groups has 1 names, the pool 2 items; give one an item"),
        ({"slices": ["s"] * 3}, "slices has 3 names, the pool 2 items; give one an item"),
        ({"groups": [["g"], ["h"]]}, "groups are not names; give strings, and None"),
        ({"slices": ["s", 7]}, "slices are not names; give strings, and None"),
        ({"thresholds": [0.5]}, r"thresholds is \[0.5\]; give 2 numbers in \[0, 1\]"),
        ({"thresholds": 0.5}, "thresholds is 0.5; give 2 numbers"),
        ({"thresholds": [0.5, 1.5]}, r"thresholds is \[0.5 1.5\]"),
        ({"thresholds": [0.5, np.nan]}, r"thresholds is \[0.5 nan\]"),
        ({"seconds": [1.0]}, r"seconds has shape \(1,\), the pool 2 items; give one each"),
        ({"seconds": [1.0, 0.0]}, "item b: seconds is 0.0; give a number above 0"),
        ({"seconds": [np.nan, 1.0]}, "item a: seconds is nan"),
        ({"seconds": [np.inf, 1.0]}, "item a: seconds is inf"),
        ({"passes": np.zeros((2, 2))}, r"passes has shape \(2, 2\); give two or more of shape"),
        ({"passes": np.zeros((1, 2, 2))}, r"passes has shape \(1, 2, 2\); give two or more"),
        ({"passes": np.zeros((2, 3, 2))}, r"passes has shape \(2, 3, 2\)"),
        ({"modalities": {"text": np.zeros((2, 2))}}, "modalities names 1; two or more can"),
        ({"models": {}}, "models names 0; two or more can disagree"),
        (
            {"models": {"m": np.zeros((2, 2)), "n": np.zeros((2, 1))}},
            r"models\['n'\] has shape \(2, 1\), the probabilities \(2, 2\); give the same",
        ),
        (
            {"labelled": Labelled(np.eye(2), np.eye(2))},
            "labelled: embeddings have 2 dimensions, the pool's 3",
        ),
        (
            {"labelled": Labelled(np.eye(3), np.eye(3))},
            "labelled: labels have 3 categories, the pool 2",
        ),
        ({"embeddings": np.zeros(2)}, r"embeddings has shape \(2,\), the pool 2 items"),
        ({"embeddings": np.zeros((2, 3, 1))}, r"embeddings has shape \(2, 3, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], problem: str) -> None:
    arrays = {"embeddings": np.zeros((2, 3)), **given}

    with pytest.raises(BadPool, match=problem):
        Pool(["a", "b"], [[0.1, 0.2], [0.3, 0.4]], **arrays)


@pytest.mark.parametrize(
    ("embeddings", "labels", "problem"),
    [
        (np.eye(2), np.eye(3), r"embeddings have shape \(2, 2\) and labels \(3, 3\)"),
        (np.eye(2), [1.0, 0.0], r"labels \(2,\); give one row an item to both"),
        ([1.0, 0.0], np.eye(2), r"embeddings have shape \(2,\)"),
        ([[1.0, np.inf]], [[1.0]], "an embedding holds a number that is not finite"),
        ([[1.0, 0.0]], [[0.5]], r"a label is none of 0, 1 and NaN \(nobody said\)"),
    ],
)
def test_labelled_items_that_do_not_fit_are_refused(
    embeddings: Any, labels: Any, problem: str
) -> None:
    with pytest.raises(BadPool, match=problem):
        Labelled(embeddings, labels)


def test_none_labelled_is_as_if_not_given() -> None:
    nothing = Labelled(np.empty((0, 3)), np.empty((0, 1)))

    assert Pool(["a"], [[0.1]], labelled=nothing).labelled is None


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1, np.inf])
@pytest.mark.parametrize("kind", ["passes", "modalities", "models"])
def test_an_opinion_that_is_no_probability_is_refused_by_whose_it_is(
    kind: str, wrong: float
) -> None:
    good = np.full((2, 2), 0.5)
    bad = good.copy()
    bad[1, 0] = wrong
    given: Any = np.stack([good, bad]) if kind == "passes" else {"one": good, "two": bad}

    whose = r"passes\[1\]" if kind == "passes" else rf"{kind}\['two'\]"
    with pytest.raises(BadProbabilities, match=f"item b, category column 0: {whose} is") as refusal:
        Pool(["a", "b"], good, **{kind: given})

    assert ("b", 0) == (refusal.value.item_id, refusal.value.column)


def test_passes_over_exclusive_categories_add_up_to_one() -> None:
    halves = np.full((3, 2), 0.5)
    passes = np.stack([halves, halves, halves])
    passes[2, 1] = [0.5, 0.4]

    with pytest.raises(BadProbabilities, match=r"item b: passes\[2\] add up to 0\.9"):
        Pool(["a", "b", "c"], halves, exclusive=True, passes=passes)
    assert 3 == len(Pool(["a", "b", "c"], halves, passes=passes))


def test_opinions_that_were_not_given_are_missed_by_name() -> None:
    pool = Pool(["a"], [[0.1]])

    for kind in ("passes", "modalities", "models"):
        with pytest.raises(BadPool, match=rf"no {kind}; give Pool\({kind}=\.\.\.\)"):
            pool.opinions(kind)


def test_nothing_that_a_pool_gives_can_be_written_to() -> None:
    pool = full_pool()
    assert pool.labelled is not None
    assert pool.seconds is not None

    for array in (
        pool.probabilities,
        pool.thresholds,
        pool.seconds,
        pool.opinions("passes"),
        pool.opinions("models"),
        np.asarray(pool.labelled.embeddings),
        np.asarray(pool.labelled.labels),
        pool.only(0).probabilities,
        pool.take(np.array([0, 1])).probabilities,
    ):
        assert not array.flags.writeable


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_embeddings_of_any_number_type_come_in_blocks(
    dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_room, "ROWS_PER_BLOCK", 3)
    rows = np.random.default_rng(0).integers(-9, 9, (8, 4)).astype(dtype)
    pool = Pool(list("abcdefgh"), [[0.1]] * 8, rows)

    blocks = list(pool.embedding_blocks())

    assert [(0, 3), (3, 6), (6, 8)] == [(part.start, part.stop) for part, _ in blocks]
    assert rows.tolist() == np.concatenate([block for _, block in blocks]).tolist()
    assert {np.dtype(np.float32)} == {block.dtype for _, block in blocks}
    upside_down = pool.take(np.arange(8)[::-1])
    turned = np.concatenate([block for _, block in upside_down.embedding_blocks()])
    assert rows[::-1].tolist() == turned.tolist()


def test_a_block_of_a_file_is_read_where_it_lies(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.ones((10, 4), dtype=np.float32))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    pool = Pool([f"i{row}" for row in range(10)], [[0.1]] * 10, mapped)

    ((_, block),) = pool.embedding_blocks()

    assert np.shares_memory(mapped, block)


def test_embeddings_may_be_computed_when_they_are_asked_for() -> None:
    class Squares:
        shape = (5, 2)

        def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
            return np.stack([rows, rows**2], axis=1).astype(float)

    pool = Pool(list("abcde"), [[0.1]] * 5, Squares()).take(np.array([4, 1, 2]))

    assert [[2.0, 4.0], [4.0, 16.0]] == pool.embeddings(np.array([2, 0])).tolist()
    assert 2 == pool.dimensions


def test_a_table_of_embeddings_goes_by_rows() -> None:
    table = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})

    pool = Pool(["a", "b"], [[0.1]] * 2, table)

    assert [[2.0, 4.0], [1.0, 3.0]] == pool.embeddings(np.array([1, 0])).tolist()


def test_a_sparse_matrix_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadPool, match=r"embeddings is sparse; .* give it dense"):
        Pool(["a", "b"], [[0.1]] * 2, sparse.eye_array(2, format="csr"))


def test_a_number_that_is_not_finite_is_named_in_whatever_block_it_lies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_room, "ROWS_PER_BLOCK", 3)
    rows = np.ones((8, 4))
    rows[7, 2] = np.inf
    pool = Pool(list("abcdefgh"), [[0.1]] * 8, rows)

    with pytest.raises(BadEmbedding, match="item h, embedding column 2"):
        list(pool.embedding_blocks())
    with pytest.raises(BadEmbedding, match="item h, embedding column 2"):
        list(pool.take(np.array([1, 7, 0, 2])).embedding_blocks())


def test_what_is_shown_of_a_pool_holds_no_item() -> None:
    assert "Pool(items=4, categories=2, dimensions=3, exclusive=False)" == repr(full_pool())
