"""The real decision log for the drift benchmark: taken in, answered by its gold, and replayed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine, insert, text

from flows.demo.real_log import CARD, CONTENT, DECISIONS, log_policy, log_recipe
from flows.freeze_snapshot import freeze_snapshot
from flows.ingest_decisions import ingest_decisions
from flows.promote_champion import promote_champion
from flows.train_challenger import train_challenger
from flows.watch_drift import DriftReport, watch_drift
from hitl.db import begin, connect, keep_policy, keep_recipe, migrate, schema
from hitl.policy import Policy
from hitl.recipe import AUDIT, DriftRecipe, Recipe
from hitl.services.postgres import PostgresServer

START = datetime.fromisoformat("2026-05-01T00:00:00+00:00")
DAYS = 180
RULE = DriftRecipe()
TRAINED_ON_DAYS = 28


@dataclass(frozen=True)
class Log:
    """The log as it is, with its gold beside it."""

    content: pd.DataFrame
    decisions: pd.DataFrame

    @classmethod
    def read(cls, folder: Path) -> Log:
        """Without what the log's own models were trained on."""
        body = json.loads((folder / CARD).read_text(encoding="utf-8"))
        seen = {one for each in body["versions"].values() for one in each["train_content_ids"]}
        content = pd.read_parquet(folder / CONTENT)
        decisions = pd.read_parquet(folder / DECISIONS)
        content = content[~content["content_id"].isin(seen)]
        return cls(content, decisions[decisions["content_id"].isin(set(content["content_id"]))])

    def without(self, surfaces: Sequence[str]) -> Log:
        return Log(
            self.content[~self.content["surface"].isin(surfaces)],
            self.decisions[~self.decisions["surface"].isin(surfaces)],
        )


def taken_in(engine: Engine, log: Log, folder: Path, policy: Policy, recipe: Recipe) -> None:
    """The log's content without gold, and its decisions, by the real intake."""
    folder.mkdir()
    columns = ["content_id", "text", "language", "surface", "created_at"]
    log.content[columns].to_parquet(folder / CONTENT, index=False)
    log.decisions.to_parquet(folder / DECISIONS, index=False)
    for name, kind in ((CONTENT, "content"), (DECISIONS, "decisions")):
        ingest_decisions(
            engine,
            source=str(folder / name),
            kind=kind,  # type: ignore[arg-type]
            recipe=recipe,
            categories=policy.category_ids,
        )


def answered(
    engine: Engine, items: pd.DataFrame, policy: Policy, recipe: Recipe, *, share: str, pool: int
) -> None:
    """A batch of these items, its gold as the reviewers' labels. What is not annotated is open."""
    with begin(engine) as tx:
        keep_policy(tx, policy)
        keep_recipe(tx, recipe)
        batch = {
            "batch_id": share, "policy_id": policy.policy_id, "recipe_id": recipe.recipe_id,
            "seed": 1, "plan": {}, "size_wanted": len(items), "training_pool_size": pool,
            "measuring_pool_size": pool,
        }  # fmt: skip
        tx.execute(insert(schema.batches).values(batch | {"read_at": text("clock_timestamp()")}))
        chance = len(items) / pool if share == AUDIT else None
        picks = [
            {"batch_id": share, "item_id": one, "share": share, "strategy": "random", "rank": rank,
             "inclusion_probability": chance}
            for rank, one in enumerate(items["content_id"])
        ]  # fmt: skip
        tx.execute(insert(schema.picks), picks)
        tx.execute(
            text(
                "INSERT INTO entries (item_id, batch_id, policy_id, votes_wanted) "
                "SELECT item_id, batch_id, :policy_id, 1 FROM picks WHERE batch_id = :batch_id"
            ),
            {"policy_id": policy.policy_id, "batch_id": share},
        )
        entries = dict(
            tx.execute(
                text("SELECT item_id, entry_id FROM entries WHERE batch_id = :b"), {"b": share}
            )
            .tuples()
            .all()
        )
        tx.execute(
            insert(schema.labels),
            [
                {"entry_id": entries[row["content_id"]], "item_id": row["content_id"],
                 "policy_id": policy.policy_id, "category": category, "revision": 1,
                 "value": bool(row[category]), "weight": 1.0, "votes_for": 1, "votes_total": 1,
                 "decided_by": "votes"}
                for row in items.to_dict("records")
                for category in policy.category_ids
                if pd.notna(row[category])
            ],
        )  # fmt: skip


def replayed(
    server: PostgresServer, name: str, log: Log, folder: Path, *, audit: float, embeddings: bool
) -> list[DriftReport]:
    """Every daily look at the log, from the first with a whole reference to its end."""
    policy, recipe = log_policy(), log_recipe()
    server.create_database(name)
    engine = connect(server.url(name))
    migrate(engine)
    taken_in(engine, log, folder / name, policy, recipe)
    rng = np.random.default_rng(20260106)
    audited = log.content[rng.random(len(log.content)) < audit]
    answered(engine, audited, policy, recipe, share=AUDIT, pool=len(log.content))
    if embeddings:
        _crown(engine, log, audited, folder / name, policy, recipe)
    reports = []
    for day in range(RULE.reference_days + RULE.window_days, DAYS + 1):
        end = START + timedelta(days=day)
        reports.append(
            watch_drift(
                engine, policy=policy, recipe=RULE, end=end,
                embeddings=None if embeddings else False,
            )
        )  # fmt: skip
    engine.dispose()
    return reports


def _crown(
    engine: Engine, log: Log, audited: pd.DataFrame, folder: Path, policy: Policy, recipe: Recipe
) -> None:
    """A champion of the first weeks, whose embeddings are compared."""
    early = log.content[log.content["created_at"] < START + timedelta(days=TRAINED_ON_DAYS)]
    early = early[~early["content_id"].isin(set(audited["content_id"]))]
    chosen = early.sample(600, random_state=1)
    answered(engine, chosen, policy, recipe, share="early", pool=len(early))
    frozen = freeze_snapshot(engine, policy=policy, recipe=recipe, folder=folder / "snapshots")
    train_challenger(
        engine, policy=policy, recipe=recipe, snapshot=frozen.path, models=folder / "models", seed=1
    )
    promote_champion(
        engine, policy=policy, recipe=recipe, cards=folder / "cards", seed=1,
        approved_by="benchmark", force=True, note="the only one",
    )  # fmt: skip
