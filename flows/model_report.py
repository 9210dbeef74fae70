"""`hitl report model`: one model on a page: how good, how honest, by whose word, and from what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine

from flows.measuring.window import judged_since
from flows.reporting.label_gains import (
    Effort,
    Gain,
    Step,
    effort_of,
    gains_of,
    newest_items,
    steps_of,
)
from flows.reporting.label_gains_page import gains_blocks, trainings_blocks
from flows.reporting.model_evidence import Evidence, evidence_of, live_decisions, measures_of
from flows.reporting.model_figures import figures_blocks, slices_blocks
from flows.reporting.model_pictures import Pictured, pictured, pictures_blocks
from flows.reporting.obligations import Promise, promises_of, standing_of
from flows.reporting.obligations_page import obligations_blocks
from flows.reporting.pages import SEED
from hitl import registry
from hitl.db import begin
from hitl.errors import Refused
from hitl.evaluation.store import Judged
from hitl.policy import Policy
from hitl.recipe import CertifyRecipe
from hitl.records import ModelVersion
from hitl.registry.card import learned_from
from hitl.reports import (
    AnswerTimes,
    Approval,
    Block,
    Grid,
    Heading,
    Page,
    Training,
    Words,
    answer_times,
    approvals,
    trainings,
)


class ModelOfAnotherPolicy(Refused):
    """The model answers what another policy asks."""

    def __init__(self, record: registry.ModelRecord, policy: Policy) -> None:
        super().__init__(
            f"model {record.model_version} is of policy {record.policy_name}, and the policy is "
            f"{policy.name}; set HITL_POLICY to the file of {record.policy_name}"
        )
        self.model_version = record.model_version


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The page, and the figures behind it. Without a champion, and without a version asked for, a
    page that says how to come by one; `model_version` is None then."""

    page: Page
    model_version: ModelVersion | None
    pictured: tuple[Pictured, ...] = ()
    promises: tuple[Promise, ...] = ()
    gains: tuple[Gain, ...] = ()
    effort: Effort | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class _Facts:
    """Everything that rows say of one model, read in one transaction."""

    record: registry.ModelRecord
    judged: Judged
    evidence: Evidence
    stored: Sequence[registry.Figure]
    attempts: Mapping[registry.Subject, Sequence[registry.Certificate]]
    verdict: registry.Verdict | None
    approvals: Sequence[Approval]
    trained: Sequence[Training]
    times: AnswerTimes


def model_report(
    engine: Engine,
    *,
    policy: Policy,
    recipe: CertifyRecipe,
    end: datetime,
    version: ModelVersion | None = None,
) -> ModelReport:
    """One model, the champion by default, as it stood at `end`.

    What it decided and what was audited of it counts for the `window_days` before `end`. A category
    with too few audited events is judged on the test side of the model's snapshot; the page says
    which. The same rows give the same bytes.

    Raises:
        UnknownModelVersion: no such version.
        ModelOfAnotherPolicy: it is of another policy than `policy`.
        DatabaseUnavailable: Postgres is away.
    """
    with begin(engine) as tx:
        champion = registry.champion(tx, policy.name)
        wanted = version or (champion.model_version if champion else None)
        if wanted is None:
            trained = trainings(tx, policy, until=end)
            return ModelReport(_nothing_yet(policy, trained), None)
        record = registry.find(tx, wanted)
        if record is None:
            raise registry.UnknownModelVersion(wanted)
        if record.policy_name != policy.name:
            raise ModelOfAnotherPolicy(record, policy)
        facts = _read(tx, record, policy, recipe, end)
    standing = standing_of(facts.attempts, at=end)
    promises = promises_of(facts.judged, facts.attempts, policy=policy, by=recipe.by, at=end)
    gains = gains_of(facts.judged, promises, policy=policy, seed=SEED)
    effort = effort_of(facts.times)
    steps = steps_of(facts.trained)
    drawn = pictured(facts.evidence, standing, policy=policy, seed=SEED)
    measures = measures_of(facts.evidence, facts.stored, policy=policy, seed=SEED)
    page = Page(
        f"Model {wanted}",
        f"Policy {policy.policy_id}; audit labels on decisions from "
        f"{end - timedelta(days=recipe.window_days):%Y-%m-%d} to {end:%Y-%m-%d} UTC",
        [
            *_in_short(facts, policy, promises),
            *pictures_blocks(drawn, facts.evidence, by=recipe.by),
            *figures_blocks(measures, facts.evidence, facts.judged, policy=policy),
            *slices_blocks(facts.judged, facts.stored, policy=policy),
            *_gate(facts),
            *obligations_blocks(
                promises, policy=policy, labels=len(facts.judged), days=recipe.window_days
            ),
            *_certificates(facts, end),
            *_learned(facts, policy),
            *gains_blocks(gains, effort, labels=len(facts.judged)),
            *trainings_blocks(facts.trained, steps),
            Heading("How to read this"),
            Words(
                "Figures on live decisions are estimates for all that it decided, from audit "
                "labels by their chances to be drawn; those on the test side count each item once. "
                "Intervals are 95 %. A code stands where labels are too few for a number. What "
                "each number means, and when not to believe it: the docs (numbers.md)."
            ),
        ],
    )
    return ModelReport(page, wanted, drawn, promises, gains, effort, steps)


def _read(
    tx: Connection,
    record: registry.ModelRecord,
    policy: Policy,
    recipe: CertifyRecipe,
    end: datetime,
) -> _Facts:
    version = record.model_version
    judged = judged_since(
        tx,
        policy=policy,
        model_version=version,
        start=end - timedelta(days=recipe.window_days),
        end=end,
    )
    snapshot = Path(registry.snapshot_path(tx, record.snapshot_id))
    return _Facts(
        record=record,
        judged=judged,
        evidence=evidence_of(live_decisions(tx, judged), record, snapshot, policy=policy),
        stored=registry.evaluations_of(tx, version, record.snapshot_id),
        attempts=registry.attempts(tx, policy=policy, model_version=version),
        verdict=registry.newest_verdict(tx, version),
        approvals=approvals(tx, version),
        trained=trainings(tx, policy, until=end),
        times=answer_times(tx, policy, newest_items(judged)),
    )


def _nothing_yet(policy: Policy, trained: Sequence[Training]) -> Page:
    words = (
        "Nothing was trained yet. Label some hundreds of items, then run hitl freeze, "
        "hitl train and hitl promote; this page then tells of the champion."
        if not trained
        else f"Trained so far: {len(trained)}, and none was promoted. hitl gate says what the "
        "newest lacks, hitl promote promotes it, and hitl report model VERSION tells of one "
        "of those below."
    )
    blocks: list[Block] = [Words(words)]
    if trained:
        blocks += trainings_blocks(trained, steps_of(trained))
    return Page(f"No champion of {policy.name} yet", f"Policy {policy.policy_id}", blocks)


def _in_short(facts: _Facts, policy: Policy, promises: Sequence[Promise]) -> Iterator[Block]:
    record = facts.record
    if record.data_note:
        yield Words(f"Note on the data: {record.data_note}")
    kept = sum(one.certificate is not None for one in promises)
    rows = [("state", record.state.value)]
    if record.policy_id != policy.policy_id:
        rows.append(("trained under", f"{record.policy_id}, and measured under today's policy"))
    rows.append(("gate", _decided(facts.verdict)))
    rows.append(("approved by", _approved(facts.approvals)))
    rows.append(
        ("certified obligations", f"{kept} of {len(promises)}" if promises else "none asked")
    )
    rows.append(("audit labels on its decisions", f"{len(facts.judged):,}"))
    rows.append(("trained", f"{record.trained_at:%Y-%m-%d %H:%M} UTC"))
    yield Grid(("in short", ""), rows)


def _decided(verdict: registry.Verdict | None) -> str:
    if verdict is None:
        return "not judged yet: hitl gate judges it"
    beside = f"beside {verdict.champion}" if verdict.champion else "without a champion"
    return f"{verdict.decision}, judged {beside}"


def _approved(given: Sequence[Approval]) -> str:
    if not given:
        return "nobody: never promoted"
    last = given[-1]
    note = f": {last.note}" if last.note else ""
    kind = "" if last.kind == "promotion" else f" ({last.kind})"
    return f"{last.approved_by}{kind} on {last.promoted_at:%Y-%m-%d}{note}"


def _gate(facts: _Facts) -> Iterator[Block]:
    yield Heading("What the gate said")
    yield Words(
        f"{_decided(facts.verdict).capitalize()}. Approved by {_approved(facts.approvals)}."
    )
    reasons = facts.verdict.reasons if facts.verdict else ()
    yield Grid(
        ("rule", "outcome", "what it found"),
        [
            (str(one.get("rule", "")), str(one.get("outcome", "")), str(one.get("words", "")))
            for one in reasons
        ],
        empty="no rule was looked at",
    )


def _certificates(facts: _Facts, end: datetime) -> Iterator[Block]:
    yield Heading("Every attempt at a certificate")
    tries = [
        (subject, one) for subject, of in facts.attempts.items() for one in of
        if one.issued_at <= end
    ]  # fmt: skip
    yield Grid(
        ("about", "attempt", "on", "threshold", "labels", "errors", "confidence", "until"),
        [
            (
                f"{subject.category} {one.finding.metric} of {one.finding.at_least:g}"
                + (f", {subject.slice_value}" if subject.slice_name else ""),
                f"{one.attempt}",
                f"{one.issued_at:%Y-%m-%d}",
                "none" if one.finding.threshold is None else f"{one.finding.threshold:.4g}",
                f"{one.finding.n:,}",
                "-" if one.finding.threshold is None else f"{one.finding.n_errors:,}",
                f"{one.finding.confidence:.1%}",
                _ended(one, end),
            )
            for subject, one in tries
        ],
        empty="none was tried for: hitl certify does, where the policy has an obligation",
    )


def _ended(one: registry.Certificate, end: datetime) -> str:
    if one.finding.threshold is None:
        return "-"
    if one.withdrawn_at is not None and one.withdrawn_at <= end:
        return f"withdrawn {one.withdrawn_at:%Y-%m-%d}: {one.withdrawn_why}"
    over = " (over)" if one.expires_at <= end else ""
    return f"{one.expires_at:%Y-%m-%d}{over}"


def _learned(facts: _Facts, policy: Policy) -> Iterator[Block]:
    record = facts.record
    own = next((t for t in facts.trained if t.model_version == record.model_version), None)
    metrics = record.metrics
    sides = metrics.get("examples", {})
    rows = [
        ("snapshot", record.snapshot_id),
        ("recipe", record.recipe_id),
        ("seed", f"{record.seed}"),
        ("policy", record.policy_id),
        ("bundle", record.digest),
        *((f"{side} examples", f"{count:,}") for side, count in sides.items()),
        ("items with decisions of earlier models", f"{metrics.get('earlier_decisions', 0):,}"),
    ]
    if own is not None:
        rows.append(("answers in the snapshot", f"{own.answers:,} on {own.examples:,} examples"))
    yield Heading("What it learned from")
    yield Grid(("what", "which"), rows)
    yield Grid(
        ("category", "training answers", "violating", "remark"),
        [
            (one.category, f"{one.answers:,}", f"{one.violating:,}", one.remark or "-")
            for one in learned_from(metrics.get("categories", {}), policy.category_ids)
        ],
        empty="the training kept no counts of its categories",
    )
