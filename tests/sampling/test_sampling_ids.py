from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling import BadPool
from sampling.ids import ItemIds
from sampling.pool import best_first
from tests.sampling.siphash import number_of

STEADY = settings(deadline=None, derandomize=True, max_examples=200)

KEY = bytes(range(16))
ODD = ["", "a", "a\0", "\0a", "é", "e\u0301", "😀", "\uffff", "\U0010ffff", "a" * 300, "b\nc", " "]

distinct_ids = st.lists(st.text(), unique=True, max_size=40)


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(list, id="list"),
        pytest.param(tuple, id="tuple"),
        pytest.param(lambda ids: (one for one in ids), id="generator"),
        pytest.param(lambda ids: np.array(ids, dtype=object), id="numpy objects"),
        pytest.param(lambda ids: pa.array(ids), id="arrow"),
        pytest.param(lambda ids: pa.array(ids, pa.large_string()), id="arrow large"),
        pytest.param(lambda ids: pa.array(ids, pa.string_view()), id="arrow view"),
        pytest.param(lambda ids: pa.array(ids).dictionary_encode(), id="arrow dictionary"),
        pytest.param(lambda ids: pa.chunked_array([ids[:2], ids[2:], []]), id="arrow chunks"),
        pytest.param(lambda ids: pa.array(["x", *ids, "y"])[1:-1], id="arrow slice"),
    ],
)
def test_any_column_of_strings_is_the_same_ids(column: Any) -> None:
    plain = ItemIds(ODD)

    found = ItemIds(column(ODD))

    assert tuple(ODD) == found.strings
    assert plain.digests.tolist() == found.digests.tolist()
    assert plain.uniforms(KEY).tolist() == found.uniforms(KEY).tolist()
    assert plain.order.tolist() == found.order.tolist()


def test_a_numpy_column_of_text_is_the_same_ids() -> None:
    ids = [one for one in ODD if not one.endswith("\0")]  # which such a column cannot hold

    assert ItemIds(ids).digests.tolist() == ItemIds(np.array(ids)).digests.tolist()


@pytest.mark.parametrize(
    "empty",
    [[], (), np.array([], dtype=str), pa.array([], pa.string()), pa.chunked_array([], pa.string())],
)
def test_no_ids_are_ids_too(empty: Any) -> None:
    ids = ItemIds(empty)

    assert () == ids.strings
    assert 0 == len(ids) == len(ids.order) == len(ids.uniforms(KEY))


@STEADY
@given(distinct_ids)
def test_every_number_is_what_an_auditor_computes(ids: list[str]) -> None:
    assert [number_of(one, KEY) for one in ids] == ItemIds(ids).uniforms(KEY).tolist()


@STEADY
@given(distinct_ids, st.integers(0, 2**128 - 1))
def test_numbers_lie_strictly_between_nought_and_one(ids: list[str], key: int) -> None:
    numbers = ItemIds(ids).uniforms(key.to_bytes(16, "little"))

    assert bool((numbers > 0.0).all())
    assert bool((numbers < 1.0).all())


@pytest.mark.parametrize("items", [0, 1, 255, 256, 257, 9000])
@pytest.mark.parametrize("limit", [0, 1, 100, 9000])
@pytest.mark.parametrize("below", [0.0, 0.3, 2.0])
def test_the_lowest_numbers_are_found_without_keeping_the_others(
    items: int, limit: int, below: float
) -> None:
    ids = ItemIds([f"i{row}" for row in range(items)])
    numbers = ids.uniforms(KEY)

    rows, found = ids.lowest_uniforms(KEY, limit=limit, below=below)

    assert numbers[rows].tolist() == found.tolist()
    assert sorted(rows.tolist()) == rows.tolist()
    assert set(np.argsort(numbers)[:limit].tolist()) | set(
        np.flatnonzero(numbers < below).tolist()
    ) <= set(rows.tolist())
    if items == 9000 and limit == 100 and not below:
        assert len(rows) < 300


def test_a_bar_that_too_few_numbers_are_below_is_raised() -> None:
    ids = ItemIds([f"i{row}" for row in range(4000)])
    # Of ids chosen for it: none of these has one of the lowest numbers.
    high = ids.take(np.argsort(ids.uniforms(KEY))[2000:])

    rows, _numbers = high.lowest_uniforms(KEY, limit=10)

    assert set(np.argsort(high.uniforms(KEY))[:10].tolist()) <= set(rows.tolist())


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="the key has 15 bytes; give 16"):
        ItemIds(["a"]).uniforms(bytes(15))


@STEADY
@given(distinct_ids)
def test_their_order_is_that_of_code_points(ids: list[str]) -> None:
    column = ItemIds(ids)
    rows = np.arange(len(ids))[::-1]

    assert sorted(ids) == [ids[row] for row in column.order]
    assert [sorted(ids).index(ids[row]) for row in rows] == column.ranks(rows).tolist()


@STEADY
@given(distinct_ids, st.integers(0, 50), st.randoms(use_true_random=False))
def test_a_part_is_as_if_made_alone(ids: list[str], limit: int, random: Any) -> None:
    rows = np.array(random.sample(range(len(ids)), random.randint(0, len(ids))), dtype=np.intp)
    named = [ids[row] for row in rows]

    part = ItemIds(ids).take(rows)

    assert tuple(named) == part.strings == ItemIds(ids).of(rows)
    assert ItemIds(named).digests.tolist() == part.digests.tolist()
    assert ItemIds(named).uniforms(KEY).tolist() == part.uniforms(KEY).tolist()
    assert ItemIds(named).order.tolist() == part.order.tolist()
    lowest = ItemIds(ids).lowest(rows, limit=limit)
    assert sorted(named)[:limit] == [ids[row] for row in lowest]


def test_a_part_of_a_part_is_a_part() -> None:
    part = ItemIds(ODD).take(np.array([5, 3, 9])).take(np.array([2, 0]))

    assert (ODD[9], ODD[5]) == part.strings
    assert [number_of(ODD[9], KEY), number_of(ODD[5], KEY)] == part.uniforms(KEY).tolist()


@STEADY
@given(
    st.lists(st.tuples(st.text(max_size=2), st.integers(0, 3)), unique_by=lambda one: one[0]),
    st.integers(0, 30),
)
def test_best_first_by_id_agrees_with_a_plain_sort(
    items: list[tuple[str, int]], limit: int
) -> None:
    ids, worth = [one for one, _ in items], np.array([worth for _, worth in items], dtype=float)

    plain = sorted(range(len(ids)), key=lambda row: (-worth[row], ids[row]))[:limit]

    assert plain == best_first(worth, limit=limit, tie=ItemIds(ids)).tolist()


def test_best_first_of_equals_alone_takes_the_first_ids() -> None:
    ids = [f"i{number:05d}" for number in np.random.default_rng(0).permutation(10_000)]

    rows = best_first(np.ones(10_000), limit=3, tie=ItemIds(ids))

    assert ["i00000", "i00001", "i00002"] == [ids[row] for row in rows]


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        (["a", None], r"item_ids\[1\] is NoneType"),
        (["a", 7], r"item_ids\[1\] is int"),
        ([b"a", b"b"], r"item_ids\[0\] is bytes"),
        (["a", b"b"], r"item_ids\[1\] is bytes"),
        (["a", float("nan")], r"item_ids\[1\] is float"),
        (np.array([1.5]), r"item_ids\[0\] is float64"),
        (np.array([b"a"]), r"item_ids\[0\] is bytes_"),
        (np.array(["a", None], dtype=object), r"item_ids\[1\] is NoneType"),
        (pa.array(["a", None]), r"item_ids\[1\] is NoneType"),
        (pa.array([b"a"]), r"item_ids\[0\] is bytes"),
        (pa.array([1, 2]), r"item_ids\[0\] is int"),
        (pa.array([1, 2]).dictionary_encode(), r"item_ids\[0\] is int"),
        ("ab", "item_ids is one string; give a sequence of ids"),
        (b"ab", r"item_ids\[0\] is int"),
    ],
)
def test_what_is_no_string_is_refused_by_place(ids: Any, problem: str) -> None:
    with pytest.raises(BadPool, match=problem):
        ItemIds(ids)


@pytest.mark.parametrize("as_column", [list, lambda ids: np.array(ids, dtype=object)])
def test_half_a_character_is_refused_by_place(as_column: Any) -> None:
    with pytest.raises(BadPool, match=r"item_ids\[1\] cannot be written as UTF-8"):
        ItemIds(as_column(["a", "b\ud800", "c"]))


def test_an_item_twice_is_refused_with_both_rows() -> None:
    with pytest.raises(BadPool, match=r"item a is in the pool twice \(rows 1 and 3\)"):
        ItemIds(["b", "a", "c", "a", "b"])


def test_among_very_many_twice_the_first_is_named() -> None:
    ids = [f"i{number}" for number in range(100_000)]

    with pytest.raises(BadPool, match=r"item i1 is in the pool twice \(rows 1 and 100000\)"):
        ItemIds(ids + ids[1:] + ids[:1])


def test_equal_digests_of_different_ids_are_two_items(monkeypatch: pytest.MonkeyPatch) -> None:
    from sampling import ids as ids_room

    monkeypatch.setattr(ids_room, "_digests", lambda column: np.zeros(len(column), np.uint64))

    assert ("a", "b") == ItemIds(["a", "b"]).strings
    with pytest.raises(BadPool, match=r"item a is in the pool twice \(rows 0 and 2\)"):
        ItemIds(["a", "b", "a"])
