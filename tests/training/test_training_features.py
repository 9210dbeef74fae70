"""Text to hashed n-grams: fixed, exact in any batch, bounded."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.training import BadRecipe, FeatureRecipe
from hitl.training.features import _grams, learn_vocabulary, normalise

STEP = 0x9E3779B97F4A7C15
WORD = 1 << 64

TEXTS = [
    "Free coins, click the link now",
    "free COINS click this link",
    "",
    "  ",
    "नमस्ते दुनिया",
    "你好世界 你好",
    "👍👍 nice 👍",
    "a",
    "lone \ud800 surrogate and \x00 nul",
    "don't@x.y #tag_one",
] * 3
KEPT = FeatureRecipe(min_items=1, bits=12)


def mixed(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % WORD
    return value ^ (value >> 31)


def grams_one_by_one(text: str, bits: int) -> Counter[int]:
    """The brute-force twin: Python integers, one n-gram at a time (Latin text without symbols)."""
    found: Counter[int] = Counter()

    def add(hashed: int, block: int) -> None:
        found[(mixed(hashed) >> (64 - bits)) + (block << bits)] += 1

    tokens: list[str] = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    hashes = [mixed(sum(ord(c) * STEP**i for i, c in enumerate(t)) % WORD) for t in tokens]
    for one in hashes:
        add(one, 0)
    for one, two in pairwise(hashes):
        add((one * STEP + two) % WORD, 0)
    for word in text.split():
        padded = f" {word} "
        for size in range(2, 6):
            for start in range(len(padded) - size + 1):
                gram = padded[start : start + size]
                hashed = ord(gram[0]) + 1
                for character in gram[1:]:
                    hashed = (hashed * STEP + ord(character)) % WORD
                add(hashed, 1)
    return found


def test_the_hashes_are_those_of_a_plain_reckoning() -> None:
    texts = ["free coins, click_here now", "b", "ünï cödé and more-words x y z"]

    rows, buckets = _grams(texts, FeatureRecipe())

    for row, text in enumerate(texts):
        assert grams_one_by_one(text, 20) == Counter(buckets[rows == row].tolist())


def test_a_bundle_of_last_year_finds_the_same_buckets() -> None:
    rows, buckets = _grams([normalise("Ça VA 👍 très bien", max_characters=100)], FeatureRecipe())

    assert 0 == rows.max()
    assert (52, 71325883, 337349, 1274718) == (
        *(len(buckets), int(buckets.sum())),
        *(int(buckets[0]), int(buckets[-1])),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_row_does_not_depend_on_its_batch(texts: list[str], random: object) -> None:
    vocabulary, together = learn_vocabulary(TEXTS + texts, KEPT)
    cut = random.randrange(len(texts) + 1)  # type: ignore[attr-defined]

    alone = [vocabulary.rows([text]) for text in texts]
    parts = [vocabulary.rows(texts[:cut]), vocabulary.rows(texts[cut:])]

    wanted = together[len(TEXTS) :].toarray()
    assert np.array_equal(wanted, np.concatenate([row.toarray() for row in alone]))
    assert np.array_equal(wanted, np.concatenate([part.toarray() for part in parts]))


def test_a_row_does_not_depend_on_where_a_chunk_of_work_ends() -> None:
    texts = [f"message {i} of many {'x' * (i % 7)}" for i in range(1030)] + ["y" * 9000] * 50
    vocabulary, _ = learn_vocabulary(texts, KEPT)

    together = vocabulary.rows(texts)
    tail = vocabulary.rows(texts[1000:])

    assert np.array_equal(together[1000:].toarray(), tail.toarray())


def test_each_block_of_a_row_has_length_one() -> None:
    vocabulary, rows = learn_vocabulary(TEXTS, KEPT)
    words = int((vocabulary.buckets < 1 << 12).sum())

    lengths = np.sqrt(rows.multiply(rows)[:, :words].sum(axis=1)).A1

    # 0 is that of the empty texts.
    assert {0.0, 1.0} == set(np.round(lengths, 5).tolist())


def test_a_huge_text_counts_as_its_beginning() -> None:
    recipe = FeatureRecipe(min_items=1, max_characters=1000)
    start = "spam and more spam " * 60
    vocabulary, _ = learn_vocabulary([start], recipe)

    huge = vocabulary.rows([start[:1000] + "другое " * 700_000])

    assert np.array_equal(vocabulary.rows([start[:1000]]).toarray(), huge.toarray())


def test_folding_cannot_make_a_cut_text_long_again() -> None:
    # One Arabic ligature folds to eighteen characters.
    assert 45 < len(normalise("\ufdfa" * 1000, max_characters=50)) <= 50


def test_invisible_and_wide_characters_do_not_hide_a_word() -> None:
    assert "free coins" == normalise("Fr\u200bee\u00ad ｃｏｉｎｓ", max_characters=100)


def test_rare_buckets_are_dropped_and_the_most_frequent_kept() -> None:
    texts = ["apple pear"] * 3 + ["apple plum"] * 2 + ["once"]

    all_of_two, _ = learn_vocabulary(texts, FeatureRecipe())
    only_one, _ = learn_vocabulary(texts, FeatureRecipe(max_word_buckets=1, max_char_buckets=1))

    # Words: apple, pear, plum, and two pairs.
    assert 5 == (all_of_two.buckets < 1 << 20).sum()
    assert 2 == len(only_one)
    assert only_one.idf[0] == pytest.approx(np.log(7 / 6) + 1)


def test_texts_that_share_nothing_still_have_rows() -> None:
    vocabulary, rows = learn_vocabulary(["", " "], FeatureRecipe())

    assert (2, 1) == rows.shape
    assert 0 == rows.nnz
    assert (0, 1) == vocabulary.rows([]).shape


@pytest.mark.parametrize(
    ("field", "value"),
    [("bits", 30), ("char_grams", (1, 3)), ("char_grams", (4, 3)), ("min_items", 0)],
)
def test_a_feature_recipe_names_the_wrong_field(field: str, value: object) -> None:
    with pytest.raises(BadRecipe, match=field):
        FeatureRecipe(**{field: value})  # type: ignore[arg-type]
