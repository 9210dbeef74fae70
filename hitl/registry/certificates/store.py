"""Certificates in SQL: issued once, never changed but for their withdrawal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from hitl.db.schema import certificates
from hitl.db.versions import keep_policy
from hitl.policy import Policy
from hitl.records import ModelVersion


@dataclass(frozen=True, slots=True)
class Subject:
    """What an obligation is about: a category, in one slice of the items or in all ("", "")."""

    category: str
    slice_name: str = ""
    slice_value: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one attempt at an obligation found: a threshold, or in its place why there is none."""

    metric: str
    at_least: float
    confidence: float
    threshold: float | None
    n: int
    n_errors: int
    shortfall: str | None
    more_labels: int | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A finding with its life: it stands until it expires or is withdrawn."""

    certificate_id: int
    subject: Subject
    finding: Finding
    attempt: int
    evidence: str
    issued_at: datetime
    expires_at: datetime
    withdrawn_at: datetime | None
    withdrawn_why: str | None


def attempts(
    tx: Connection, *, policy: Policy, model_version: ModelVersion
) -> dict[Subject, list[Certificate]]:
    """Every attempt for this model, oldest first, withdrawn and expired ones too."""
    rows = tx.execute(
        select(certificates)
        .where(
            certificates.c.policy_id == policy.policy_id,
            certificates.c.model_version == model_version,
        )
        .order_by(certificates.c.certificate_id)
    )
    found: dict[Subject, list[Certificate]] = {}
    for row in rows:
        one = _certificate(row)
        found.setdefault(one.subject, []).append(one)
    return found


def issue(
    tx: Connection,
    subject: Subject,
    findings: Sequence[Finding],
    *,
    policy: Policy,
    model_version: ModelVersion,
    attempt: int,
    evidence: str,
    valid: timedelta,
) -> None:
    """Write down what an attempt found, obligations met and not. An attempt has one number."""
    keep_policy(tx, policy)
    rows = [
        {
            "policy_id": policy.policy_id,
            "model_version": model_version,
            "category": subject.category,
            "slice_name": subject.slice_name,
            "slice_value": subject.slice_value,
            "metric": one.metric,
            "attempt": attempt,
            "evidence": evidence,
            "at_least": one.at_least,
            "confidence": one.confidence,
            "threshold": one.threshold,
            "n": one.n,
            "n_errors": one.n_errors,
            "shortfall": one.shortfall,
            "more_labels": one.more_labels,
        }
        for one in findings
    ]
    if rows:
        lives = {"expires_at": func.clock_timestamp() + valid}
        for row in rows:
            tx.execute(insert(certificates).values(**row, **lives))


def standing_certificates(
    tx: Connection, *, policy: Policy, model_version: ModelVersion
) -> dict[Subject, dict[str, Certificate]]:
    """What stands now, by metric: of each obligation the newest that has a threshold.

    A later attempt without one takes nothing away: each certificate holds for itself until it
    expires or is withdrawn.
    """
    rows = tx.execute(
        select(certificates)
        .where(
            certificates.c.policy_id == policy.policy_id,
            certificates.c.model_version == model_version,
            certificates.c.threshold.is_not(None),
            certificates.c.withdrawn_at.is_(None),
            certificates.c.expires_at > func.now(),
        )
        .order_by(certificates.c.certificate_id)
    )
    found: dict[Subject, dict[str, Certificate]] = {}
    for row in rows:
        one = _certificate(row)
        found.setdefault(one.subject, {})[one.finding.metric] = one
    return found


def changed_at(tx: Connection, *, policy: Policy, model_version: ModelVersion) -> datetime | None:
    """When what stands last changed: by an issue, a withdrawal or an expiry. None: never."""
    found: datetime | None = tx.execute(
        text("""
            SELECT max(moment) FROM certificates
            CROSS JOIN LATERAL (VALUES (issued_at), (withdrawn_at), (expires_at)) m (moment)
            WHERE policy_id = :policy_id AND model_version = :model_version
              AND threshold IS NOT NULL AND moment <= now()
        """),
        {"policy_id": policy.policy_id, "model_version": model_version},
    ).scalar_one()
    return found


def withdraw(tx: Connection, certificate_id: int, *, why: str) -> bool:
    """End a certificate before its time. False: it was withdrawn before."""
    done = tx.execute(
        update(certificates)
        .where(
            certificates.c.certificate_id == certificate_id, certificates.c.withdrawn_at.is_(None)
        )
        .values(withdrawn_at=func.clock_timestamp(), withdrawn_why=why)
    )
    return bool(done.rowcount)


def _certificate(row: Any) -> Certificate:
    told: Mapping[str, Any] = row._mapping
    return Certificate(
        certificate_id=row.certificate_id,
        subject=Subject(row.category, row.slice_name, row.slice_value),
        finding=Finding(**{name: told[name] for name in Finding.__dataclass_fields__}),
        attempt=row.attempt,
        evidence=row.evidence,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        withdrawn_at=row.withdrawn_at,
        withdrawn_why=row.withdrawn_why,
    )
