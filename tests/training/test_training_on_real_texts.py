"""On a real set the model leads TF-IDF and balanced logistic regression, as it promises."""

from __future__ import annotations

import pytest

from benchmarks.text_model import compare
from benchmarks.text_sets import SETS, data_root

pytestmark = pytest.mark.slow


def test_the_smallest_set_meets_its_bar_and_log_loss() -> None:
    root = data_root(None)
    if root is None:
        pytest.skip("no text sets: set HITL_SHARED_DATA to their folder")

    outcome = compare(SETS["wiki_toxicity_seq"].read(root), repeats=1)

    _, ours, peer, _ = outcome.bars[0]
    assert ours - peer >= 0.05
    assert outcome.log_loss[0] <= outcome.log_loss[1]
