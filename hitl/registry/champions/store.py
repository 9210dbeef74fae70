"""Champions in SQL: promotion, rollback, and the card of one; each in the caller's transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from hitl.db.locks import take_turns
from hitl.db.schema import model_versions, policies, promotions, snapshots
from hitl.policy import policy_from
from hitl.records import ModelState, ModelVersion
from hitl.registry.card import CardFacts, learned_from, render
from hitl.registry.errors import (
    AnotherChampion,
    NeverPromoted,
    NoChampionBefore,
    NotPromotable,
    UnknownModelVersion,
)
from hitl.registry.rules import PROMOTION, ROLLBACK, Change, Verdict, check_promotion, standing
from hitl.registry.store import (
    ModelRecord,
    champion,
    evaluations_of,
    find,
)
from hitl.registry.verdicts.store import find_verdict, newest_verdict


def promote(
    tx: Connection,
    *,
    challenger: ModelVersion,
    verdict_id: int | None,
    approved_by: str,
    note: str = "",
    force: bool = False,
) -> bool:
    """Make a challenger champion and retire the one before. False: it is champion already.

    Of several promotions at once, one goes first; the others find that the champion they were
    judged beside is gone.

    Raises:
        UnknownModelVersion: no such model version.
        NotPromotable: the gate did not say so of this one beside today's champion (unless
            `force` with a note), or it is not a challenger.
    """
    _lock_policy(tx, _known(tx, challenger).policy_name)
    record = _known(tx, challenger)  # again: its state may have changed while we waited
    if record.state is ModelState.CHAMPION:
        return False
    before = champion(tx, record.policy_name)
    check_promotion(
        challenger,
        record.state,
        find_verdict(tx, verdict_id) if verdict_id is not None else None,
        champion=before.model_version if before else None,
        force=force,
        note=note,
    )
    _crown(
        tx,
        record,
        before,
        kind=PROMOTION,
        verdict_id=verdict_id,
        approved_by=approved_by,
        note=note,
    )
    return True


def rollback(
    tx: Connection,
    *,
    policy_name: str,
    approved_by: str,
    note: str,
    leaving: ModelVersion | None = None,
) -> ModelVersion:
    """Bring back the champion before this one and give its name.

    With `leaving` it is safe to repeat: if that one was rolled back already, nothing happens.

    Raises:
        NoChampionBefore: there is none.
        AnotherChampion: the champion is another than `leaving`.
    """
    _lock_policy(tx, policy_name)
    changes = list_promotions(tx, policy_name)
    line = standing(changes)
    if leaving is not None and line and line[-1] != leaving:
        if changes[-1].kind == ROLLBACK and changes[-1].previous == leaving:
            return line[-1]
        raise AnotherChampion(policy_name, leaving, line[-1])
    if len(line) < 2:
        raise NoChampionBefore(policy_name)
    back = _known(tx, line[-2])
    _crown(
        tx,
        back,
        champion(tx, policy_name),
        kind=ROLLBACK,
        verdict_id=None,
        approved_by=approved_by,
        note=note,
    )
    return back.model_version


def list_promotions(tx: Connection, policy_name: str) -> list[Change]:
    """Every change of champion of a policy, oldest first."""
    rows = tx.execute(
        select(promotions.c.kind, promotions.c.model_version, promotions.c.previous)
        .where(promotions.c.policy_name == policy_name)
        .order_by(promotions.c.promotion_id)
    )
    return [Change(*row) for row in rows]


def promoted_at(tx: Connection, model_version: ModelVersion) -> datetime:
    """Since when it is champion, or when it last became so; a rollback to it counts.

    Raises:
        NeverPromoted: it never was.
    """
    newest = select(func.max(promotions.c.promoted_at)).where(
        promotions.c.model_version == model_version
    )
    moment: datetime | None = tx.execute(newest).scalar_one()
    if moment is None:
        raise NeverPromoted(model_version)
    return moment


def first_promoted_at(tx: Connection, model_version: ModelVersion) -> datetime:
    """When it first became champion: what it decided before, it decided as a shadow.

    Raises:
        NeverPromoted: it never was.
    """
    oldest = select(func.min(promotions.c.promoted_at)).where(
        promotions.c.model_version == model_version
    )
    moment: datetime | None = tx.execute(oldest).scalar_one()
    if moment is None:
        raise NeverPromoted(model_version)
    return moment


def make_challenger(tx: Connection, model_version: ModelVersion) -> None:
    """Let a trained version stand as challenger. Safe to repeat.

    Raises:
        UnknownModelVersion: no such model version.
        NotPromotable: it is champion, or was.
    """
    record = _known(tx, model_version)
    if record.state in (ModelState.CHAMPION, ModelState.RETIRED):
        raise NotPromotable(model_version, f"is {record.state} and cannot be a challenger again")
    _set_state(tx, model_version, ModelState.CHALLENGER)


def read_card(tx: Connection, model_version: ModelVersion) -> str:
    """The model card as Markdown, from rows alone.

    Raises:
        UnknownModelVersion: no such model version.
    """
    record = _known(tx, model_version)
    body = tx.execute(
        select(policies.c.body).where(policies.c.policy_id == record.policy_id)
    ).scalar_one()
    policy = policy_from(body, where=f"stored policy {record.policy_id}")
    snapshot = tx.execute(
        select(snapshots).where(snapshots.c.snapshot_id == record.snapshot_id)
    ).one()
    change = tx.execute(
        select(promotions)
        .where(promotions.c.model_version == model_version)
        .order_by(promotions.c.promotion_id.desc())
        .limit(1)
    ).first()
    verdict = newest_verdict(tx, model_version)
    metrics = record.metrics
    counts = {"examples in the snapshot": snapshot.examples, "answers": snapshot.labels}
    counts |= {f"{side} examples": n for side, n in metrics.get("examples", {}).items()}
    counts["items with decisions of earlier models"] = metrics.get("earlier_decisions", 0)
    return render(
        CardFacts(
            model_version=model_version,
            state=record.state.value,
            policy_id=record.policy_id,
            policy_title=policy.title,
            categories=[(one.title, one.definition) for one in policy.category],
            recipe_id=record.recipe_id,
            seed=record.seed,
            snapshot_id=record.snapshot_id,
            trained_at=record.trained_at,
            counts=counts,
            learned=learned_from(metrics.get("categories", {}), policy.category_ids),
            characters_read=metrics.get("characters_read"),
            figures=evaluations_of(tx, model_version, record.snapshot_id),
            decision=verdict.decision if verdict else None,
            reasons=_told(verdict),
            judged_beside=verdict.champion if verdict else None,
            promoted_at=change.promoted_at if change else None,
            approved_by=change.approved_by if change else None,
            note=change.note if change else "",
            data_note=record.data_note,
        )
    )


def _told(verdict: Verdict | None) -> list[str]:
    """The reasons of a verdict for a page: what is only noted of a slice would fill it."""
    return [
        f"{one['outcome']}: {one['words']}"
        for one in (verdict.reasons if verdict else ())
        if not (one["outcome"] == "noted" and one.get("slice_name"))
    ]


def _lock_policy(tx: Connection, policy_name: str) -> None:
    """Changes of one policy's champion go one after the other, until the transaction ends."""
    take_turns(tx, f"champion of {policy_name}")


def _known(tx: Connection, model_version: ModelVersion) -> ModelRecord:
    record = find(tx, model_version)
    if record is None:
        raise UnknownModelVersion(model_version)
    return record


def _crown(
    tx: Connection,
    record: ModelRecord,
    before: ModelRecord | None,
    *,
    kind: str,
    verdict_id: int | None,
    approved_by: str,
    note: str,
) -> None:
    # The old one first: the database allows one champion a policy at any instant.
    if before is not None:
        _set_state(tx, before.model_version, ModelState.RETIRED)
    _set_state(tx, record.model_version, ModelState.CHAMPION)
    tx.execute(
        insert(promotions).values(
            policy_name=record.policy_name,
            kind=kind,
            model_version=record.model_version,
            previous=before.model_version if before else None,
            verdict_id=verdict_id,
            approved_by=approved_by,
            note=note,
        )
    )


def _set_state(tx: Connection, model_version: ModelVersion, state: ModelState) -> None:
    tx.execute(
        update(model_versions)
        .where(model_versions.c.model_version == model_version)
        .values(state=state.value)
    )
