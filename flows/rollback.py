"""The way back from step 7: the champion before this one decides again."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from flows.model_cards import write_cards
from hitl import logs, registry
from hitl.db import begin
from hitl.errors import Refused
from hitl.policy import Policy
from hitl.records import ModelVersion

log = logs.get(__name__)


def rollback(
    engine: Engine, *, policy: Policy, cards: Path, approved_by: str, note: str
) -> ModelVersion:
    """Bring back the champion before this one, write both cards anew, and give its name.

    Raises:
        Refused: without a note that says why, or no champion was before.
        DatabaseUnavailable: Postgres is away; nothing was changed.
    """
    if not note.strip():
        raise Refused('a rollback needs a reason: add --note "…"')
    with begin(engine) as tx:
        back = registry.rollback(tx, policy_name=policy.name, approved_by=approved_by, note=note)
    write_cards(engine, cards, policy_name=policy.name)
    log.info("rolled_back", model_version=back)
    return back
