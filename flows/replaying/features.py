"""Texts as short dense rows for a replay, and what each one costs a reviewer."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

DIMENSIONS = 256
_CHARACTERS = (
    2_000  # of each text: what comes later changes its direction little, and costs as much
)
_ROWS_TO_LEARN_FROM = 10_000
_POWER_STEPS = 2
"""A third of the time of 20,000 rows and five steps, and heads of 600 labels score the same."""

SECONDS_AN_ITEM, WORDS_A_MINUTE = 2.0, 230.0
SECONDS_FORMULA = f"{SECONDS_AN_ITEM:g} s + words x 60 / {WORDS_A_MINUTE:g} s"
"""An assumption: two seconds to decide and click, and the pace at which adults read English."""

# Chinese and Japanese are written without spaces; a character counts as a word there.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


class NothingInCommon(ValueError):
    """No word or run of characters is in two of the texts."""


def text_features(texts: Sequence[str], *, seed: int = 0) -> NDArray[np.float32]:
    """Shape (N, D), rows of length 1 or 0, D at most 256: latent semantic analysis of TF-IDF.

    Word 1-2-grams and character 3-5-grams within words, sublinear counts. Learned from the texts
    alone, all of them, as any text may be read before it is labelled.

    Raises:
        NothingInCommon: there is nothing to learn from.
    """
    cut = [text[:_CHARACTERS] for text in texts]
    grams = (
        {"ngram_range": (1, 2), "min_df": 2, "max_features": 100_000},
        {"analyzer": "char_wb", "ngram_range": (3, 5), "min_df": 3, "max_features": 200_000},
    )
    blocks = []
    for gram in grams:
        try:
            counter = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **gram)
            blocks.append(counter.fit_transform(cut))
        except ValueError:  # "empty vocabulary" or "no terms remain"; the other block may have some
            continue
    if not blocks:
        raise NothingInCommon
    rows = sparse.hstack(blocks, format="csr")
    dimensions = min(DIMENSIONS, rows.shape[1] - 1, rows.shape[0] - 1)
    if dimensions < 1:
        raise NothingInCommon
    some = rows
    if rows.shape[0] > _ROWS_TO_LEARN_FROM:
        drawn = np.random.default_rng([seed, rows.shape[0]]).choice(
            rows.shape[0], size=_ROWS_TO_LEARN_FROM, replace=False
        )
        some = rows[np.sort(drawn)]
    axes = TruncatedSVD(dimensions, n_iter=_POWER_STEPS, random_state=seed).fit(some)
    return unit_rows(axes.transform(rows))


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row scaled to length 1; zeros stay zeros."""
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    scaled: NDArray[np.float32] = (rows / np.where(length > 0.0, length, 1.0)).astype(np.float32)
    return scaled


def reading_seconds(texts: Sequence[str]) -> NDArray[np.float64]:
    """Shape (N,): SECONDS_FORMULA of each text."""
    words = np.array([len(_WORD.findall(text)) for text in texts], dtype=np.float64)
    return SECONDS_AN_ITEM + words * 60.0 / WORDS_A_MINUTE
