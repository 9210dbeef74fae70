"""Alarms in SQL: raised once, followed from look to look, never rewritten."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from hitl.db.schema import alarms, policies
from hitl.errors import Refused
from hitl.evaluation.episodes import Episode, Followed, follow, windows_between
from hitl.evaluation.shifts import About, Shift, ShiftKind
from hitl.policy import Policy
from hitl.records import ModelVersion, PolicyId

CERTIFICATE = "certificate"


class UnknownAlarm(Refused):
    """There is no such alarm, or somebody took note of it before."""

    def __init__(self, alarm_id: int) -> None:
        super().__init__(
            f"alarm {alarm_id} is not there, has ended, or was acknowledged before; "
            "`hitl alarms` lists those that stand"
        )
        self.alarm_id = alarm_id


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as it is on record."""

    alarm_id: int
    model_version: ModelVersion
    kind: str
    category: str
    slice_name: str
    slice_value: str
    metric: str
    statistic: float
    bar: float
    p_value: float | None
    evidence: float | None
    effect: float
    effect_low: float | None
    effect_high: float | None
    n_reference: int | None
    n_window: int
    window_start: datetime
    window_end: datetime
    raised_at: datetime
    last_above: datetime
    acknowledged_by: str | None
    note: str | None
    ended_at: datetime | None
    ended_why: str | None

    @property
    def windows(self) -> int:
        """How many windows that share no decision it has lasted."""
        if self.kind == CERTIFICATE:
            return 1
        return windows_between(self.window_start, self.window_end, self.last_above)

    @property
    def subject(self) -> str:
        """What it is about, in a few words."""
        where = f"{self.slice_name} {self.slice_value}" if self.slice_name else "everywhere"
        told = (self.kind, self.category, self.metric, where)
        return " ".join(one for one in told if one)


def record_look(
    tx: Connection,
    shifts: Iterable[Shift],
    *,
    policy_id: PolicyId,
    start: datetime,
    middle: datetime,
    end: datetime,
) -> Followed:
    """Keep what a look at [middle, end), beside [start, middle), has found."""
    on_record = [
        _episode(row)
        for row in tx.execute(
            select(alarms)
            .where(
                alarms.c.policy_id == policy_id,
                alarms.c.kind != CERTIFICATE,
                alarms.c.ended_at.is_(None) | (alarms.c.watched_until >= end),
            )
            .order_by(alarms.c.alarm_id)
        )
    ]
    found = follow(on_record, shifts, end=end, window=end - middle)
    window = {"reference_start": start, "window_start": middle, "window_end": end}
    for one in found.begun:
        _insert(
            tx,
            window
            | {
                "policy_id": policy_id,
                "model_version": one.about.model_version,
                "kind": one.about.kind.value,
                "category": one.about.category,
                "slice_name": one.about.slice_name,
                "slice_value": one.about.slice_value,
                "metric": "",
                "statistic": one.statistic,
                "bar": one.bar,
                "p_value": one.p_value,
                "level": one.level,
                "effect": one.effect,
                "effect_low": one.low,
                "effect_high": one.high,
                "n_reference": one.n_reference,
                "n_window": one.n_window,
            },
        )
    for episodes, change in (
        (found.above, {"last_above": end, "watched_until": end}),
        (found.below, {"watched_until": end}),
        (found.passed, {"watched_until": end, "ended_why": "passed"} | _now_ended()),
    ):
        _change(tx, [one.alarm_id for one in episodes], change)
    return found


def raise_for_certificate(
    tx: Connection,
    *,
    policy_id: PolicyId,
    model_version: ModelVersion,
    category: str,
    slice_name: str,
    slice_value: str,
    metric: str,
    evidence: float,
    bar: float,
    effect: float,
    labels: int,
    issued_at: datetime,
    answered_at: datetime,
) -> None:
    """A certificate was withdrawn, on `labels` since its issue. Once for each."""
    _insert(
        tx,
        {
            "policy_id": policy_id,
            "model_version": model_version,
            "kind": CERTIFICATE,
            "category": category,
            "slice_name": slice_name,
            "slice_value": slice_value,
            "metric": metric,
            "statistic": evidence,
            "bar": bar,
            "evidence": evidence,
            "effect": effect,
            "n_window": labels,
            "window_start": issued_at,
            "window_end": answered_at,
        },
    )


def end_superseded(
    tx: Connection, *, policy: Policy, kinds: Collection[str], deciding: Collection[ModelVersion]
) -> int:
    """End what is about another version of the policy, or a model that decides no more."""
    of_name = select(policies.c.policy_id).where(policies.c.name == policy.name)
    done = tx.execute(
        update(alarms)
        .where(
            alarms.c.ended_at.is_(None),
            alarms.c.policy_id.in_(of_name),
            (alarms.c.policy_id != policy.policy_id)
            | (alarms.c.kind.in_(list(kinds)) & alarms.c.model_version.not_in(["", *deciding])),
        )
        .values(ended_why="superseded", **_now_ended())
    )
    return int(done.rowcount)


def acknowledge(tx: Connection, alarm_id: int, *, by: str, note: str) -> None:
    """Somebody has taken note: it stands until it passes, and trains no model any more.

    Raises:
        UnknownAlarm: it is not there, has ended, or was acknowledged before.
    """
    done = tx.execute(
        update(alarms)
        .where(
            alarms.c.alarm_id == alarm_id,
            alarms.c.ended_at.is_(None),
            alarms.c.acknowledged_at.is_(None),
        )
        .values(acknowledged_at=func.clock_timestamp(), acknowledged_by=by, note=note or None)
    )
    if not done.rowcount:
        raise UnknownAlarm(alarm_id)


def list_alarms(tx: Connection, *, policy: Policy, ended: bool = False) -> list[Alarm]:
    """Those that stand, newest first; with `ended` all of this policy version."""
    wanted = select(*(alarms.c[name] for name in Alarm.__dataclass_fields__)).where(
        alarms.c.policy_id == policy.policy_id
    )
    if not ended:
        wanted = wanted.where(alarms.c.ended_at.is_(None))
    rows = tx.execute(wanted.order_by(alarms.c.raised_at.desc(), alarms.c.alarm_id.desc()))
    return [Alarm(*row) for row in rows]


def _insert(tx: Connection, row: dict[str, Any]) -> None:
    moments = {"last_above": row["window_end"], "watched_until": row["window_end"]}
    tx.execute(insert(alarms).values(row | moments).on_conflict_do_nothing())


def _change(tx: Connection, alarm_ids: list[int], change: dict[str, Any]) -> None:
    if alarm_ids:
        tx.execute(update(alarms).where(alarms.c.alarm_id.in_(alarm_ids)).values(**change))


def _now_ended() -> dict[str, Any]:
    return {"ended_at": text("clock_timestamp()")}


def _episode(row: Any) -> Episode:
    return Episode(
        alarm_id=row.alarm_id,
        about=About(
            ShiftKind(row.kind), row.category, row.slice_name, row.slice_value, row.model_version
        ),
        window_start=row.window_start,
        window_end=row.window_end,
        last_above=row.last_above,
        watched_until=row.watched_until,
        is_acknowledged=row.acknowledged_at is not None,
        stands=row.ended_at is None,
    )
