"""A real decision log as the demo's material: its gold plays the reviewers, its test side judges.

What is ingested is a filtered copy in the demo's own folder: no gold, nothing of the test side,
nothing that the log's weak models were trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from flows.demo.scene import Judged, Scene
from hitl.errors import Refused
from hitl.policy import Policy, load_policy
from hitl.recipe import Recipe, load_recipe

CONTENT, DECISIONS, CARD = "content_pool.parquet", "decisions.parquet", "model_card.json"

_CONTENT_COLUMNS = ("content_id", "text", "language", "surface", "created_at")
_DECISION_COLUMNS = (
    "content_id", "created_at", "model_version", "predicted_action", "surface", "language",
)  # fmt: skip


class UnfitDecisionLog(Refused):
    """The folder given to `hitl demo --data` is not a decision log that the demo can use."""

    def __init__(self, folder: Path, problem: str) -> None:
        super().__init__(
            f"{folder}: {problem}; give a folder with {CONTENT} (content with its gold and split), "
            f"{DECISIONS} and {CARD}, or run the demo without --data for a synthetic stream"
        )
        self.folder = folder
        self.problem = problem


def log_policy() -> Policy:
    """The policy that goes with the log: violation, hate, insult, obscene."""
    return load_policy(Path(__file__).parent / "decisions_policy.toml")


def log_recipe() -> Recipe:
    """The recipe that maps the log's columns."""
    return load_recipe(Path(__file__).parent / "decisions_recipe.toml")


def real_scene(source: Path, folder: Path) -> Scene:
    """Read the log and write what may be ingested under `folder`. Safe to repeat.

    The pool is the train split without both weak models' training items; the test is the test
    split, likewise. A category that an item's collection does not annotate stays unknown (NaN).

    Raises:
        UnfitDecisionLog: says which file or column is missing, or what is empty.
    """
    if not source.is_dir():
        raise UnfitDecisionLog(source, "no such folder")
    policy, recipe = log_policy(), log_recipe()
    categories = policy.category_ids
    scores = [recipe.intake.decisions.probabilities[one] for one in categories]
    content = _read(source, CONTENT, [*_CONTENT_COLUMNS, "split", *categories])
    decisions = _read(source, DECISIONS, [*_DECISION_COLUMNS, *scores])
    trained_on = _training_ids(source)

    unseen = ~content["content_id"].isin(trained_on)
    pool = content[(content["split"] == "train") & unseen]
    test = content[(content["split"] == "test") & unseen]
    for name, side in (("train", pool), ("test", test)):
        if side.empty:
            raise UnfitDecisionLog(source, f"{CONTENT} has no items of split {name!r} to use")
    of_pool = decisions[decisions["content_id"].isin(set(pool["content_id"]))]
    if of_pool.empty:
        raise UnfitDecisionLog(source, f"{DECISIONS} has no decision on an item of the train split")

    intake = folder / "intake"
    intake.mkdir(parents=True, exist_ok=True)
    pool[list(_CONTENT_COLUMNS)].to_parquet(intake / "content.parquet", index=False)
    of_pool.to_parquet(intake / "decisions.parquet", index=False)
    return Scene(
        title=f"the decision log in {source.name} ({len(pool):,} items to choose from)",
        is_synthetic=False,
        policy=policy,
        recipe=recipe,
        content=intake / "content.parquet",
        decisions=intake / "decisions.parquet",
        pool=_judged(pool, decisions, categories, scores),
        test=_judged(test, decisions, categories, scores),
    )


def _read(source: Path, name: str, columns: Sequence[str]) -> pd.DataFrame:
    path = source / name
    try:
        there = pq.read_schema(path).names
        missing = [one for one in columns if one not in there]
        if missing:
            raise UnfitDecisionLog(source, f"{name} lacks the columns {', '.join(missing)}")
        return pd.read_parquet(path, columns=list(columns))
    except FileNotFoundError as cause:
        raise UnfitDecisionLog(source, f"{name} is missing") from cause
    except (pa.ArrowException, OSError) as cause:
        raise UnfitDecisionLog(source, f"{name} cannot be read as Parquet") from cause


def _training_ids(source: Path) -> set[str]:
    try:
        body = json.loads((source / CARD).read_text(encoding="utf-8"))
        return {
            str(item_id)
            for version in body["versions"].values()
            for item_id in version["train_content_ids"]
        }
    except FileNotFoundError as cause:
        raise UnfitDecisionLog(source, f"{CARD} is missing") from cause
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        # Without the list, gains would be measured on what production had learned by heart.
        raise UnfitDecisionLog(
            source, f"{CARD} does not list versions.<version>.train_content_ids"
        ) from cause


def _judged(
    items: pd.DataFrame, decisions: pd.DataFrame, categories: Sequence[str], scores: Sequence[str]
) -> Judged:
    ids = items["content_id"].astype(str)
    newest = decisions.sort_values("created_at", kind="stable").drop_duplicates(
        "content_id", keep="last"
    )
    by_item = newest.set_index("content_id").reindex(ids)
    return Judged(
        item_ids=tuple(ids),
        texts=tuple(items["text"].astype(str)),
        languages=tuple(items["language"].fillna("unknown").astype(str)),
        surfaces=tuple(items["surface"].fillna("unknown").astype(str)),
        gold=items[list(categories)].astype("float64").to_numpy(dtype=np.float64),
        production=by_item[list(scores)].astype("float64").to_numpy(dtype=np.float64),
    )
