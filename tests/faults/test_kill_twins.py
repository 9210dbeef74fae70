"""Near copies under kill -9: linked again, the clusters are those of an undisturbed run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.near_copies import different, shuffled, wave
from hitl.recipe import TwinsRecipe
from tests.faults.databases import Databases
from tests.faults.test_kill_intake_and_select import Grounds
from tests.faults.trial import survives_kills

pytestmark = pytest.mark.postgres


def write_copies(folder: Path) -> Path:
    """Three waves among strangers, so that pivots give way from chunk to chunk."""
    rng = np.random.default_rng(1)
    texts = [one for _ in range(3) for one in wave(rng, 14, words=10)] + different(rng, 18)
    path = folder / "copies.jsonl"
    lines = (
        {"content_id": f"c{k:02d}", "text": one, "created_at": "2026-06-01T12:00:00Z"}
        for k, one in enumerate(shuffled(rng, texts))
    )
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return path


def test_a_linking_that_is_killed_anywhere_and_run_again_leaves_the_same_clusters(
    databases: Databases, tmp_path: Path
) -> None:
    prepared = Grounds(databases, tmp_path)("prepared")
    source = str(write_copies(tmp_path))
    taken_in = prepared.run("ingest_decisions", source=source, kind="content")
    assert taken_in.error is None, taken_in.trace

    tried = survives_kills(
        "link_twins",
        fresh=Grounds(databases, tmp_path, like=prepared.database_url),
        databases=databases,
    )

    assert tried >= 20


def test_a_selection_among_copies_that_is_killed_anywhere_and_run_again_leaves_the_same_tables(
    databases: Databases, tmp_path: Path
) -> None:
    prepared = Grounds(databases, tmp_path)("prepared")
    taken_in = prepared.run("ingest_decisions", source=str(write_copies(tmp_path)), kind="content")
    assert taken_in.error is None, taken_in.trace
    fresh = Grounds(databases, tmp_path, like=prepared.database_url)
    fresh.recipe = fresh.recipe.model_copy(
        update={"twins": TwinsRecipe(is_on=True, offers_labels=True)}
    )

    tried = survives_kills(
        "select_batch", fresh=fresh, databases=databases, parameters={"batch_id": "b1"}
    )

    assert tried >= 20
