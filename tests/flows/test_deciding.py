"""From thresholds to actions: what is certified is decided, all else is reviewed."""

from __future__ import annotations

import numpy as np

from flows.deciding.actions import Thresholds, decide
from hitl.records import Action
from tests.builders import make_policy

POLICY = make_policy()
HATE, SPAM = POLICY.category_ids
ALLOW, REVIEW, BLOCK = Action.ALLOW, Action.REVIEW, Action.BLOCK


def actions(
    rows: list[list[float]],
    *,
    block: dict[tuple[str, str], float],
    allow: dict[tuple[str, str], float],
    by: str = "",
    values: list[str] | None = None,
    categories: tuple[str, ...] = (HATE, SPAM),
) -> list[Action]:
    return decide(
        np.array(rows),
        categories,
        values or [""] * len(rows),
        policy=POLICY,
        thresholds=Thresholds(by, block, allow),
    )


def test_without_certificates_a_person_looks_at_everything() -> None:
    assert [REVIEW, REVIEW] == actions([[0.0, 0.0], [1.0, 1.0]], block={}, allow={})


def test_one_category_blocks_and_all_together_allow() -> None:
    found = actions(
        [[0.9, 0.1], [0.05, 0.05], [0.05, 0.5], [0.1, 0.1], [0.5, 0.95]],
        block={(HATE, ""): 0.9},
        allow={(HATE, ""): 0.1, (SPAM, ""): 0.2},
    )

    # At a threshold of precision counts as above it; of recall, as not below it.
    assert [BLOCK, ALLOW, REVIEW, REVIEW, REVIEW] == found


def test_what_one_category_allows_another_may_block() -> None:
    found = actions(
        [[0.05, 0.95]],
        block={(SPAM, ""): 0.9},
        allow={(HATE, ""): 0.1, (SPAM, ""): 0.99},
    )

    assert [BLOCK] == found


def test_nothing_is_allowed_that_one_category_says_nothing_of() -> None:
    assert [REVIEW] == actions([[0.0, 0.0]], block={}, allow={(HATE, ""): 0.5})
    both = {(HATE, ""): 0.5, (SPAM, ""): 0.5}
    assert [REVIEW] == actions([[0.0, np.nan]], block={}, allow=both)
    assert [REVIEW] == actions([[0.0]], block={}, allow=both, categories=(HATE,))


def test_a_slice_has_thresholds_of_its_own() -> None:
    found = actions(
        [[0.8, 0.0], [0.8, 0.0], [0.8, 0.0]],
        block={(HATE, "de"): 0.7, (HATE, "en"): 0.9},
        allow={},
        by="language",
        values=["de", "en", "pt"],
    )

    assert [BLOCK, REVIEW, REVIEW] == found
