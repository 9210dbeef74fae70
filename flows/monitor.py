"""What was certified is watched on the labels that came since, and ends when they say otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine

from flows.certify import keyed, slices
from flows.rescore import champion_of
from hitl import decisions, evaluation, logs, registry
from hitl.db import begin, single_flight
from hitl.evaluation.alarms import store as alarms
from hitl.evaluation.store import read_audit, read_judged
from hitl.policy import Policy
from hitl.records import ModelVersion

log = logs.get(__name__)

FALSE_ALARMS = 0.05


@dataclass(frozen=True, slots=True)
class Watched:
    """A certificate, the labels since it was issued that speak of it, and how many kept it.

    `evidence` against it: at 20 an alarm, which a kept promise raises once in 20 at most, however
    often it is looked at.
    """

    category: str
    slice_value: str
    metric: str
    at_least: float
    labels: int
    kept: int
    evidence: float
    is_withdrawn: bool


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """The champion's certificates that stood, and which of them do no more."""

    model_version: ModelVersion
    watched: tuple[Watched, ...]

    @property
    def withdrawn(self) -> int:
        return sum(one.is_withdrawn for one in self.watched)


def monitor(engine: Engine, *, policy: Policy) -> MonitorReport:
    """Look at every standing certificate of the champion, and withdraw what does not hold.

    Only audit labels answered after the issue count, in the order in which they were answered. Each
    was drawn evenly from what no batch had drawn before, or is thinned to that: the bet is on the
    stream as it comes, so items that waited longer need not be thinned.

    Raises:
        NoChampion: nothing was promoted yet.
        AlreadyRunning: another look at this policy runs.
        DatabaseUnavailable: Postgres is away; what was withdrawn stays so.
    """
    with single_flight(engine, f"monitor {policy.name}"), begin(engine) as tx:
        champion = champion_of(tx, policy)
        alarms.end_superseded(
            tx, policy=policy, kinds=[alarms.CERTIFICATE], deciding=[champion.model_version]
        )
        standing = registry.standing_certificates(
            tx, policy=policy, model_version=champion.model_version
        )
        watched = [
            _watch(tx, one, policy, champion.model_version)
            for by_metric in standing.values()
            for one in by_metric.values()
        ]
    report = MonitorReport(champion.model_version, tuple(watched))
    log.info(
        "monitored",
        model_version=champion.model_version,
        certificates=len(watched),
        withdrawn=report.withdrawn,
    )
    return report


def _watch(
    tx: Connection, one: registry.Certificate, policy: Policy, model_version: ModelVersion
) -> Watched:
    finding, subject = one.finding, one.subject
    threshold = np.nan if finding.threshold is None else finding.threshold
    # Not mended by who answers: tomorrow's answers would choose anew among today's.
    judged = read_judged(
        tx,
        policy=policy,
        audit=read_audit(tx, policy=policy),
        model_version=model_version,
        start=one.issued_at,
        end=decisions.database_clock(tx),
    )
    k = policy.category_ids.index(subject.category)
    rows = dict(slices(judged, subject.slice_name)).get(
        subject.slice_value, np.zeros(len(judged), dtype=bool)
    )
    scores, truth = judged.probabilities[:, k], judged.truth[:, k]
    late = np.array([when > one.issued_at for when in judged.answered_at], dtype=bool)
    known = ~np.isnan(truth) & ~np.isnan(scores)
    concerns = scores >= threshold if finding.metric == "precision" else truth == 1.0
    # Even within the batch that drew it, whatever comes later: what was looked at once stays.
    numbers = keyed(judged, np.arange(len(judged)), salt=model_version)
    evenness = judged.evenness
    if finding.metric == "precision" and threshold >= policy.category[k].threshold:
        evenness = judged.evenness_flagged[:, k]  # all that concerns it is flagged
    kept_rows = np.flatnonzero(rows & late & known & concerns & (numbers < evenness))
    order = sorted(kept_rows, key=lambda at: (judged.answered_at[at], str(judged.item_ids[at])))
    held = truth == 1.0 if finding.metric == "precision" else scores >= threshold
    kept = held[order].astype(np.float64)
    watch = evaluation.watch_rate(kept, at_least=finding.at_least, alpha=FALSE_ALARMS)
    evidence = float(np.exp(watch.log_evidence.max(initial=0.0)))
    if watch.alarm_at is not None:
        seen = watch.alarm_at + 1
        alarms.raise_for_certificate(
            tx,
            policy_id=policy.policy_id,
            model_version=model_version,
            category=subject.category,
            slice_name=subject.slice_name,
            slice_value=subject.slice_value,
            metric=finding.metric,
            evidence=evidence,
            bar=1.0 / FALSE_ALARMS,
            effect=float(kept[:seen].mean()) - finding.at_least,
            labels=seen,
            issued_at=one.issued_at,
            answered_at=judged.answered_at[order[watch.alarm_at]],
        )
        registry.withdraw(
            tx,
            one.certificate_id,
            why=f"{int(kept[:seen].sum())} of {seen} audit labels since its issue kept it, "
            f"evidence {evidence:.0f} to 1 against {finding.metric} of {finding.at_least:g}",
        )
    return Watched(
        subject.category,
        subject.slice_value,
        finding.metric,
        finding.at_least,
        len(kept),
        int(kept.sum()),
        evidence,
        watch.is_alarmed,
    )
