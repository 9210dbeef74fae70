"""The way back from step 7: the champion before this one decides again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from flows.reporting.model_cards import write_cards
from hitl import logs, registry
from hitl.db import begin
from hitl.errors import Refused
from hitl.policy import Policy
from hitl.records import ModelVersion

log = logs.get(__name__)


class CameBackAlready(Refused):
    """The champion came back by a rollback, and nobody says that it should go too."""

    def __init__(self, policy: Policy, champion: ModelVersion, left: ModelVersion | None) -> None:
        super().__init__(
            f"policy {policy.name}: the last change was a rollback already, from {left} to "
            f"{champion}, and nothing was changed now. To go back further, name the version to "
            f"leave: add --leaving {champion}"
        )
        self.champion = champion


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """Who is champion again, and which version was left."""

    champion: ModelVersion
    left: ModelVersion


def rollback(
    engine: Engine,
    *,
    policy: Policy,
    cards: Path,
    approved_by: str,
    note: str,
    leaving: ModelVersion | None = None,
) -> RollbackReport:
    """Bring back the champion before this one, and write both cards anew.

    A model's calibration lies in its bundle and its certified thresholds are its own, so that both
    come back with it; whichever of its certificates expired or were withdrawn stay so.

    Safe to repeat: with `leaving` a rollback that was done is left alone, and without it the
    second of two rollbacks is refused, or one typed twice would go two champions back.

    Raises:
        Refused: without a note that says why, or no champion was before.
        CameBackAlready: the last change was a rollback, and `leaving` does not name the champion.
        AnotherChampion: the champion is another than `leaving`.
        DatabaseUnavailable: Postgres is away; nothing was changed.
    """
    if not note.strip():
        raise Refused('a rollback needs a reason: add --note "…"')
    with begin(engine) as tx:
        if leaving is None:
            changes = registry.list_promotions(tx, policy.name)
            if not changes:
                raise registry.NoChampionBefore(policy.name)
            newest = changes[-1]
            if newest.kind == registry.ROLLBACK:
                raise CameBackAlready(policy, newest.model_version, newest.previous)
            # Named, so that of two at once one goes back and the other finds it done.
            leaving = newest.model_version
        back = registry.rollback(
            tx, policy_name=policy.name, approved_by=approved_by, note=note, leaving=leaving
        )
    write_cards(engine, cards, policy_name=policy.name)
    log.info("rolled_back", model_version=back)
    return RollbackReport(back, leaving)
