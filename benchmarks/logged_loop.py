"""The fortnights of a decision log through the loop's own steps, on a Postgres.

Taken in, selected, answered and measured step by step; only Label Studio is left out: answers are
stored as collecting would leave them. With the same seeds this and `logged_decisions.replayed` must
come to the same figures, so that many seeds of the replay speak for the loop.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, Engine, insert, select, update

from benchmarks.logged_decisions import Log, measuring, seed_of
from flows.ingest_decisions import ingest_decisions
from flows.measure import measure
from flows.select_batch import select_batch
from hitl.db import begin, schema
from hitl.evaluation.measurements import Measurement
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.records import BatchId, EntryId, EntryState, ModelVersion


def as_grouped_in(log: Log, engine: Engine) -> Log:
    """The log with its sides as in a database that took it in, where near copies lie together."""
    with begin(engine) as tx:
        rows = tx.execute(select(schema.items.c.item_id, schema.items.c.group_id)).all()
    group = {row.item_id: row.group_id for row in rows}
    return replace(log, measures=measuring([group[one] for one in log.item_ids.tolist()]))


def looped(log: Log, engine: Engine, *, run: int) -> dict[ModelVersion, tuple[Measurement, ...]]:
    """The same through the loop's own steps, on a migrated, empty database."""
    categories = log.policy.category_ids
    gold = {
        item: {c: bool(v) for c, v in zip(categories, known, strict=True) if not np.isnan(v)}
        for item, known in zip(log.item_ids.tolist(), log.gold.tolist(), strict=True)
    }
    with tempfile.TemporaryDirectory(prefix="hitl-log-") as folder:
        for number in range(len(log.ends)):
            for kind, frame in (("content", log.content), ("decisions", log.decisions)):
                now = frame[frame["batch"] == number].drop(columns="batch")
                if now.empty:
                    continue
                path = Path(folder) / f"{kind}-{number}.parquet"
                now.to_parquet(path, index=False)
                ingest_decisions(
                    engine, source=str(path), kind=kind, recipe=log.recipe, categories=categories
                )
            name = BatchId(f"fortnight-{number}")
            select_batch(
                engine, batch_id=name, policy=log.policy, recipe=log.recipe,
                seed=seed_of(run, number),
            )  # fmt: skip
            with begin(engine) as tx:
                _answer(tx, name, gold, log.policy)
    report = measure(
        engine, policy=log.policy, start=datetime(2000, 1, 1, tzinfo=UTC),
        end=datetime(2100, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    return report.by_model


def _answer(
    tx: Connection, batch_id: BatchId, gold: Mapping[str, Mapping[str, bool]], policy: Policy
) -> None:
    """Every entry of a batch, answered as collecting would leave it."""
    rows = tx.execute(
        select(schema.entries.c.entry_id, schema.entries.c.item_id).where(
            schema.entries.c.batch_id == batch_id
        )
    ).all()
    now = datetime.now(UTC)
    both = [
        {
            "unique_id": f"answer-{row.entry_id}", "updated_at": now, "entry_id": row.entry_id,
            "stage": "review", "reviewer": "gold",
        }
        for row in rows
    ]  # fmt: skip
    tx.execute(
        update(schema.entries)
        .where(schema.entries.c.batch_id == batch_id)
        .values(state=EntryState.DISPATCHED.value)
    )
    tx.execute(
        insert(schema.annotations),
        [
            one
            | {"created_at": now, "kind": "submitted", "project_id": 1, "task_id": one["entry_id"]}
            | {"result": []}
            for one in both
        ],
    )
    tx.execute(
        insert(schema.votes),
        [one | {"answers": dict(gold[row.item_id])} for one, row in zip(both, rows, strict=True)],
    )
    resolve_entries(tx, [EntryId(row.entry_id) for row in rows], policy)
