"""The adapter of a real decision log: what it lets in, what it keeps out, what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.demo.real_log import UnfitDecisionLog, log_policy, log_recipe, real_scene
from tests.demo.builders import write_log

SHARED = Path(os.environ.get("HITL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
LOG = SHARED / "decisions"


def test_policy_and_recipe_of_the_log_go_together() -> None:
    assert set(log_policy().category_ids) == set(log_recipe().intake.decisions.probabilities)


def test_the_pool_is_the_train_split_without_what_the_models_learned(tmp_path: Path) -> None:
    source = write_log(tmp_path / "log", splits=("train", "train", "valid", "test"))

    scene = real_scene(source, tmp_path / "state")

    assert ("c1",) == scene.pool.item_ids
    assert ("c3",) == scene.test.item_ids
    assert ["c1"] == pd.read_parquet(scene.content)["content_id"].tolist()
    assert {"c1"} == set(pd.read_parquet(scene.decisions)["content_id"])


def test_what_is_ingested_holds_no_gold(tmp_path: Path) -> None:
    scene = real_scene(write_log(tmp_path / "log"), tmp_path / "state")

    columns = set(pd.read_parquet(scene.content).columns)
    assert {"content_id", "text", "language", "surface", "created_at"} == columns


def test_it_writes_below_the_given_folder_only(tmp_path: Path) -> None:
    source = write_log(tmp_path / "log")
    before = {path: path.stat().st_mtime_ns for path in source.iterdir()}

    real_scene(source, tmp_path / "state")

    assert before == {path: path.stat().st_mtime_ns for path in source.iterdir()}


def test_what_nobody_annotated_stays_unknown(tmp_path: Path) -> None:
    scene = real_scene(write_log(tmp_path / "log"), tmp_path / "state")

    place = scene.policy.category_ids.index("obscene")
    assert np.isnan(scene.pool.gold[:, place]).all()
    assert not np.isnan(scene.pool.gold[:, :place]).any()


def test_production_scores_are_the_newest(tmp_path: Path) -> None:
    scene = real_scene(write_log(tmp_path / "log"), tmp_path / "state")

    assert [[0.0, 0.2, 0.4, pytest.approx(0.6)]] == scene.test.production.tolist()


@pytest.mark.parametrize("name", ["content_pool.parquet", "decisions.parquet", "model_card.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    source = write_log(tmp_path / "log")
    (source / name).unlink()

    with pytest.raises(UnfitDecisionLog, match=f"{name} is missing"):
        real_scene(source, tmp_path / "state")


def test_a_missing_folder_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UnfitDecisionLog, match="no such folder"):
        real_scene(tmp_path / "nowhere", tmp_path / "state")

    assert not (tmp_path / "state").exists()


def test_missing_columns_are_named(tmp_path: Path) -> None:
    source = write_log(tmp_path / "log")
    path = source / "content_pool.parquet"
    pd.read_parquet(path).drop(columns=["hate", "split"]).to_parquet(path)

    with pytest.raises(UnfitDecisionLog, match="lacks the columns split, hate"):
        real_scene(source, tmp_path / "state")


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    source = write_log(tmp_path / "log")
    (source / "decisions.parquet").write_text("not parquet")

    with pytest.raises(UnfitDecisionLog, match="cannot be read as Parquet"):
        real_scene(source, tmp_path / "state")


@pytest.mark.parametrize("card", ["", "[]", '{"versions": []}', '{"versions": {"m1": {}}}'])
def test_a_card_without_training_items_is_refused(tmp_path: Path, card: str) -> None:
    source = write_log(tmp_path / "log")
    (source / "model_card.json").write_text(card)

    with pytest.raises(UnfitDecisionLog, match="train_content_ids"):
        real_scene(source, tmp_path / "state")


@pytest.mark.parametrize("splits", [("train", "train"), ("train", "test"), ("test", "test")])
def test_a_log_without_a_usable_side_is_refused(tmp_path: Path, splits: tuple[str, ...]) -> None:
    source = write_log(tmp_path / "log", splits=splits)

    with pytest.raises(UnfitDecisionLog, match="has no items of split"):
        real_scene(source, tmp_path / "state")


@pytest.mark.skipif(not LOG.is_dir(), reason=f"no decision log in {LOG}")
def test_the_shared_log_keeps_training_and_test_items_out_of_the_pool(tmp_path: Path) -> None:
    scene = real_scene(LOG, tmp_path)

    card = json.loads((LOG / "model_card.json").read_text())
    trained = {i for v in card["versions"].values() for i in v["train_content_ids"]}
    pool, test = set(scene.pool.item_ids), set(scene.test.item_ids)
    assert len(pool) > 40_000
    assert len(test) > 10_000
    assert not pool & test
    assert not (pool | test) & trained
    assert pool == set(pd.read_parquet(scene.content, columns=["content_id"])["content_id"])
    assert pool == set(pd.read_parquet(scene.decisions, columns=["content_id"])["content_id"])
