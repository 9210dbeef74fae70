"""Flows 1 and 2 under kill -9."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hitl.policy import Policy
from hitl.recipe import Recipe, recipe_from
from tests.builders import make_policy
from tests.faults.databases import Databases
from tests.faults.trial import Ground, survives_kills

pytestmark = pytest.mark.postgres

ITEMS = 60


def make_recipe() -> Recipe:
    body = {
        "intake": {
            "rows_per_chunk": 12,
            "decisions": {"probabilities": {"hate": "score_hate", "spam": "score_spam"}},
        },
        "selection": {"batch_size": 20},
    }
    return recipe_from(body, where="test recipe")


def write_log(folder: Path) -> Path:
    """60 items with a decision each; besides, three rows of another payload, and three broken."""

    def row(k: int, **changed: Any) -> dict[str, Any]:
        return {
            "content_id": f"i{k}",
            "text": f"what somebody wrote, number {k}",
            "language": "en",
            "surface": "posts",
            "created_at": "2026-06-01T12:00:00Z",
            "model_version": "m1",
            "score_hate": (k % 11) / 10,
            "score_spam": (k % 7) / 10,
            "predicted_action": "review",
        } | changed

    rows = [row(k) for k in range(ITEMS)]
    rows[30:30] = [row(3, text="another text"), row(4, score_hate=0.99), row(5, score_spam="high")]
    rows += [row(6, score_hate=7.0), row(7, created_at="some day"), row(8, text="again another")]
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


class Grounds:
    """A fresh copy of one database for every trial."""

    def __init__(self, databases: Databases, folder: Path, like: str | None = None) -> None:
        self._databases = databases
        self._folder = folder
        self._like = like
        self.policy: Policy = make_policy()
        self.recipe = make_recipe()

    def __call__(self, name: str) -> Ground:
        state = self._folder / name
        state.mkdir()
        url = self._databases.make(like=self._like)
        return Ground(url, state, self.policy, self.recipe)


def test_an_ingest_that_is_killed_anywhere_and_run_again_leaves_the_same_tables(
    databases: Databases, tmp_path: Path
) -> None:
    source = str(write_log(tmp_path))

    tried = survives_kills(
        "ingest_decisions",
        fresh=Grounds(databases, tmp_path),
        databases=databases,
        parameters={"source": source},
    )

    assert tried >= 20


def test_a_selection_that_is_killed_anywhere_and_run_again_leaves_the_same_tables(
    databases: Databases, tmp_path: Path
) -> None:
    prepared = Grounds(databases, tmp_path)("prepared")
    taken_in = prepared.run("ingest_decisions", source=str(write_log(tmp_path)))
    assert taken_in.error is None, taken_in.trace

    tried = survives_kills(
        "select_batch",
        fresh=Grounds(databases, tmp_path, like=prepared.database_url),
        databases=databases,
        parameters={"batch_id": "b1"},
    )

    assert tried >= 20
