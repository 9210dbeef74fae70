"""What the tests of intake share: a log of rows, its recipe, and a hash over the tables."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from flows.ingest_decisions import IngestReport, ingest_decisions
from hitl.db import begin
from hitl.recipe import Recipe, recipe_from

CATEGORIES = ("hate", "spam")
REAL_CATEGORIES = ("violation", "hate", "insult", "obscene")


def make_recipe(prefix: str = "score_", categories: Any = CATEGORIES, **intake: Any) -> Recipe:
    probabilities = {one: prefix + one for one in categories}
    body = {"intake": {"decisions": {"probabilities": probabilities}} | intake}
    return recipe_from(body, where="test recipe")


def ingest(engine: Engine, source: Path | str, kind: Any = "both", **changed: Any) -> IngestReport:
    given: dict[str, Any] = {"recipe": make_recipe(), "categories": CATEGORIES}
    return ingest_decisions(engine, source=str(source), kind=kind, **given | changed)


def make_row(item_id: str = "i1", **changed: Any) -> dict[str, Any]:
    return {
        "content_id": item_id,
        "text": f"text of {item_id}",
        "language": "en",
        "surface": "posts",
        "created_at": "2026-06-01T12:00:00Z",
        "model_version": "m1",
        "score_hate": 0.5,
        "score_spam": 0.25,
        "predicted_action": "remove",
    } | changed


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tables(engine: Engine) -> str:
    """A hash over everything that intake writes, without clocks and sequences."""
    queries = [
        "SELECT item_id, text, content_hash, language, surface, group_id, created_at FROM items",
        "SELECT item_id, model_version, decided_at, action, probabilities, is_shadow "
        "FROM decisions",
        "SELECT kind, item_id, key, payload_hash FROM conflicts",
        "SELECT source, line, field, reason FROM rejects",
    ]
    digest = hashlib.sha256()
    with begin(engine) as tx:
        for query in queries:
            for row in tx.execute(text(f"{query} ORDER BY 1, 2, 3, 4")):
                digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()


def empty(tx: Connection) -> None:
    """Begin anew. Only a superuser can switch off what keeps decisions from being emptied."""
    tx.execute(text("SET LOCAL session_replication_role = replica"))
    tx.execute(text("TRUNCATE items, decisions, intake_chunks CASCADE"))


def count(engine: Engine, table: str) -> int:
    with begin(engine) as tx:
        return int(tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
