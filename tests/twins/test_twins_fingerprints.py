"""Near copies in several languages are alike, strangers are not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.near_copies import CHANGES, LANGUAGES, different
from hitl import twins
from hitl.twins.fingerprints import buckets, form_ids
from hitl.twins.pivots import NONE, Region, joined, pivots
from hitl.twins.plain_text import plain
from hitl.twins.shingles import shingles

SCHEME = twins.text_scheme(0.7)


def found(texts: list[str], copies: list[str]) -> float:
    """What part of the pairs are linked: they meet in a band, and enough of them is equal."""
    one, other = twins.text_signatures(texts), twins.text_signatures(copies)
    meets = (buckets(SCHEME, one) == buckets(SCHEME, other)).any(axis=1)
    equal = (one == other).sum(axis=1) >= SCHEME.least_equal
    return float(np.mean(meets & equal))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_with_one_change_is_found(language: str, change: str) -> None:
    rng = np.random.default_rng(7)
    texts = [LANGUAGES[language](rng, 20) for _ in range(100)]

    copies = [CHANGES[change](one, rng) for one in texts]

    assert found(texts, copies) >= 0.95


@pytest.mark.parametrize(
    "change",
    ["shouted", "with_a_link", "dressed_up", "with_invisible_characters", "fullwidth"],
)
def test_what_only_dresses_a_text_up_leaves_its_form(change: str) -> None:
    rng = np.random.default_rng(8)
    texts = [LANGUAGES["latin"](rng, int(rng.integers(1, 30))) for _ in range(50)]

    copies = [CHANGES[change](one, rng) for one in texts]

    before, after = (
        form_ids(SCHEME, twins.text_signatures(each)).tolist() for each in (texts, copies)
    )
    assert before == after


def test_strangers_are_not_linked() -> None:
    texts = different(np.random.default_rng(9), 3000)

    found = pivots_of(texts)

    assert {form: form for form in found} == found


def pivots_of(texts: list[str]) -> dict[int, int]:
    signatures = twins.text_signatures(texts)
    ids = form_ids(SCHEME, signatures)
    all_new = np.full(len(ids), NONE)
    forms = joined(Region(ids, signatures, all_new, np.ones(len(ids), dtype=np.bool_)))
    return dict(zip(forms.form_ids.tolist(), pivots(SCHEME, forms).tolist(), strict=True))


def test_the_estimate_is_right_on_average_and_close_each_time() -> None:
    rng = np.random.default_rng(10)
    texts = [LANGUAGES["latin"](rng, 30) for _ in range(300)]
    copies = [CHANGES["with_a_word_changed"](one, rng) for one in texts]

    one, other = twins.text_signatures(texts), twins.text_signatures(copies)
    chance = 1 / 256
    estimates = ((one == other).mean(axis=1) - chance) / (1 - chance)

    errors = estimates - [jaccard(a, b) for a, b in zip(texts, copies, strict=True)]
    assert abs(errors.mean()) < 3.5 * errors.std() / np.sqrt(len(errors))
    assert errors.std() < 0.04


def jaccard(one: str, other: str) -> float:
    a, b = (set(shingles([plain(each)])[0].tolist()) for each in (one, other))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("text", ["", " \u200b ", "!!!", "?", "\U0001f600", "a", "我", "\ud800"])
def test_any_text_has_a_signature_and_only_equal_ones_share_it(text: str) -> None:
    others = ["b", "你", "...", "\U0001f601"]

    own, again, *rest = form_ids(SCHEME, twins.text_signatures([text, text, *others])).tolist()

    assert own == again
    assert own not in rest


def test_texts_are_worked_on_each_by_itself() -> None:
    rng = np.random.default_rng(11)
    texts = [*different(rng, 40), "", "ok", "我"]

    together = twins.text_signatures(texts)

    alone = np.concatenate([twins.text_signatures([one]) for one in texts])
    assert alone.tolist() == together.tolist()


def test_signatures_do_not_change_unnoticed() -> None:
    # They are kept in databases: whoever changes one of these must raise the scheme's version.
    made = twins.text_signatures(["A text that stays as it is", "我们去公园玩"])

    assert [2386446431194339921, -2800010648150771697] == form_ids(SCHEME, made).tolist()


@pytest.mark.slow
def test_on_real_texts_what_is_linked_has_much_in_common() -> None:
    root = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HITL_SHARED_DATA", root)) / "text"
    sets = sorted(folder.glob("*/items.parquet"))
    if not sets:
        pytest.skip("no text sets: set HITL_SHARED_DATA to their folder")
    linked, wrong = 0, 0
    for path in sets:
        texts = pd.read_parquet(path, columns=["text"])["text"].dropna().head(4000).tolist()
        ids = form_ids(SCHEME, twins.text_signatures(texts)).tolist()
        text_of = dict(zip(ids, texts, strict=True))
        for form, pivot in pivots_of(texts).items():
            if form != pivot:
                linked += 1
                wrong += jaccard(text_of[form], text_of[pivot]) < 0.6

    assert linked > 100
    assert wrong <= 0.02 * linked
