"""Step 7: the challenger is judged against the champion on the same items, and promoted or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from flows.plain import plain
from flows.train_challenger import truth_of
from hitl import datasets, evaluation, logs, registry, training
from hitl.db import begin, single_flight
from hitl.errors import NotYet, Refused
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import ModelVersion, Split

log = logs.get(__name__)


class NoChallenger(NotYet):
    """Nothing waits to be judged."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(
            f"policy {policy_name} has no challenger; run `hitl freeze` and `hitl train` first"
        )
        self.policy_name = policy_name


@dataclass(frozen=True, slots=True)
class PromoteReport:
    """The verdict and what followed from it."""

    model_version: ModelVersion
    champion_before: ModelVersion | None
    decision: str
    promoted: bool
    reasons: tuple[str, ...]


def gate(engine: Engine, *, policy: Policy, recipe: Recipe, seed: int) -> PromoteReport:
    """Judge the challenger and store the verdict; promotes nothing. Repeating gives the same.

    Raises:
        NoChallenger: nothing was trained since the last promotion.
        DatabaseUnavailable: Postgres is away.
    """
    return _judge(engine, policy=policy, recipe=recipe, seed=seed)[0]


def promote_champion(
    engine: Engine,
    *,
    policy: Policy,
    recipe: Recipe,
    cards: Path,
    seed: int,
    approved_by: str,
    force: bool = False,
    note: str = "",
) -> PromoteReport:
    """Judge the challenger, and promote it if the gate says so or a person takes it on themselves.

    Verdict, promotion and the champion's state change in one transaction; the model card follows
    from rows and is written after it.

    Raises:
        NoChallenger: nothing was trained since the last promotion.
        Refused: `force` without a note that says why.
        AlreadyRunning: another promotion of this policy runs.
        DatabaseUnavailable: Postgres is away; nothing was promoted.
    """
    if force and not note.strip():
        raise Refused('promoting against the gate needs a reason: add --note "…"')
    with single_flight(engine, f"promote {policy.name}"):
        # A run that was killed right after its promotion left no card behind.
        _keep_card(engine, cards, policy)
        report, verdict_id = _judge(engine, policy=policy, recipe=recipe, seed=seed)
        if report.decision == "promote" or force:
            with begin(engine) as tx:
                registry.promote(
                    tx,
                    challenger=report.model_version,
                    verdict_id=verdict_id,
                    approved_by=approved_by,
                    force=force,
                    note=note,
                )
            report = PromoteReport(
                report.model_version, report.champion_before, report.decision, True, report.reasons
            )
            _keep_card(engine, cards, policy)
    log.info(
        "judged",
        model_version=report.model_version,
        decision=report.decision,
        promoted=report.promoted,
    )
    return report


def _keep_card(engine: Engine, cards: Path, policy: Policy) -> None:
    """Write the champion's card, whole or not at all, unless it is there."""
    with begin(engine) as tx:
        champion = registry.champion(tx, policy.name)
        if champion is None:
            return
        path = cards / f"{champion.model_version}.md"
        if path.exists():
            return
        card = registry.read_card(tx, champion.model_version)
    cards.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(card, encoding="utf-8")
    draft.replace(path)


def _judge(
    engine: Engine, *, policy: Policy, recipe: Recipe, seed: int
) -> tuple[PromoteReport, int]:
    with begin(engine) as tx:
        challenger = registry.challenger(tx, policy.name)
        champion = registry.champion(tx, policy.name)
        if challenger is None:
            raise NoChallenger(policy.name)
        snapshot_path = registry.snapshot_path(tx, challenger.snapshot_id)
    test = [
        one
        for one in datasets.read_snapshot(Path(snapshot_path)).examples
        if one.split is Split.TEST
    ]
    texts = [one.text for one in test]
    rule = recipe.gate
    verdict = evaluation.judge(
        training.load(Path(champion.path)).predict(texts) if champion else None,
        training.load(Path(challenger.path)).predict(texts),
        truth_of(test, policy),
        policy.category_ids,
        rules=evaluation.GateRules(
            margin=rule.margin,
            min_test_items=rule.min_test_items,
            min_category_positives=rule.min_category_positives,
            max_nll_increase=rule.max_nll_increase,
            confidence=rule.confidence,
            resamples=rule.resamples,
            require_superiority=rule.require_superiority,
        ),
        thresholds=[one.threshold for one in policy.category],
        groups=[one.group_id for one in test],
        weights=None,
        seed=seed,
    )
    with begin(engine) as tx:
        verdict_id = registry.save_verdict(
            tx,
            challenger=challenger.model_version,
            champion=champion.model_version if champion else None,
            snapshot_id=challenger.snapshot_id,
            recipe=recipe,
            decision=verdict.decision,
            reasons=[plain(one) for one in verdict.reasons],
        )
    report = PromoteReport(
        model_version=challenger.model_version,
        champion_before=champion.model_version if champion else None,
        decision=verdict.decision,
        promoted=False,
        reasons=tuple(str(one) for one in verdict.reasons),
    )
    return report, verdict_id
