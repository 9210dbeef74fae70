"""Step 1 for a producer that pushes: rows of a request into the tables, by the code of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from flows.ingest_decisions import take_in
from flows.plain import plain
from hitl import decisions, logs
from hitl.db import begin
from hitl.recipe import Recipe
from hitl.web import Answer, KeyTaken, Push
from hitl.web import store as requests

log = logs.get(__name__)


def push_decisions(
    engine: Engine, push: Push, *, recipe: Recipe, categories: Sequence[str]
) -> Answer:
    """Take a request's rows in, in one transaction with the answer to it.

    Committed when it returns. The same key again changes nothing and gives the same answer.

    Raises:
        KeyTaken: the key was used for another body.
        Unavailable: Postgres is away; all of it was kept or nothing, and the same push says which.
    """
    source = f"push:{push.producer}/{push.key}"
    with begin(engine) as tx:
        before = requests.accepted(tx, producer=push.producer, key=push.key)
        if before is not None:
            if before.body_hash != push.body_hash:
                raise KeyTaken(push.producer, push.key)
            return Answer(before.answer, is_repeat=True)
        found = decisions.map_pushed(
            push.rows,
            categories=categories,
            max_text_characters=recipe.intake.max_text_characters,
            shadows=recipe.intake.shadow_models,
        )
        contents, decided = take_in(
            tx, found.mapped, found.mapped.decided.staged(), source=source, kind="both"
        )
        answer: dict[str, Any] = {
            "idempotency_key": push.key,
            "rows": len(push.rows),
            "contents": plain(contents),
            "decisions": plain(decided),
            "set_aside": [
                {"position": one.line - 1, "field": one.field, "reason": one.reason}
                for one in found.mapped.rejects
            ],
            "ignored": list(found.ignored),
        }
        requests.accept(
            tx,
            producer=push.producer,
            key=push.key,
            body_hash=push.body_hash,
            rows=len(push.rows),
            answer=answer,
        )
    log.info(
        "decisions_pushed",
        producer=push.producer,
        rows=len(push.rows),
        new_contents=contents.new,
        new_decisions=decided.new,
        conflicts=contents.conflicts + decided.conflicts,
        rejected=found.mapped.rejected_rows,
    )
    return Answer(answer, is_repeat=False)
