"""Step 7: the challenger is judged against the champion on the same items, and promoted or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, Engine

from flows.deciding.bundles import BundleLost, load_registered
from flows.judging.evidence import read_evidence, weigh
from flows.judging.examples import slices_of, truth_of
from flows.plain import plain
from flows.reporting.model_cards import write_cards
from hitl import datasets, evaluation, logs, registry, training
from hitl.db import begin, single_flight
from hitl.errors import NotYet, Refused
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import Example, ModelVersion, Split

log = logs.get(__name__)


class NoChallenger(NotYet):
    """Nothing waits to be judged."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(
            f"policy {policy_name} has no challenger newer than its champion; run `hitl freeze` "
            "and `hitl train` first, with another --seed where the labels are still the same"
        )
        self.policy_name = policy_name


class ChallengerOfAnotherPolicy(NotYet):
    """The challenger learned, and its snapshot answers, what another version of the policy asks."""

    def __init__(self, challenger: registry.ModelRecord, policy: Policy) -> None:
        super().__init__(
            f"model {challenger.model_version} was trained under policy {challenger.policy_id}, "
            f"and the policy is now {policy.policy_id}; run `hitl freeze` and `hitl train` first"
        )
        self.model_version = challenger.model_version


@dataclass(frozen=True, slots=True)
class PromoteReport:
    """The verdict and what followed from it. Of the reasons, what decided leads; `numbers` are
    theirs, one for one. `verdict_id` is None where nothing was compared, and so nothing kept."""

    model_version: ModelVersion
    champion_before: ModelVersion | None
    decision: str
    promoted: bool
    reasons: tuple[str, ...]
    verdict_id: int | None = None
    approved_by: str | None = None
    numbers: tuple[evaluation.Reason, ...] = ()


def challenger_of(tx: Connection, policy: Policy) -> registry.ModelRecord:
    """The newest challenger that was trained after the champion, for this version of the policy.

    Raises:
        NoChallenger, ChallengerOfAnotherPolicy: there is none.
    """
    challenger = registry.challenger(tx, policy.name)
    if challenger is None:
        raise NoChallenger(policy.name)
    if challenger.policy_id != policy.policy_id:
        raise ChallengerOfAnotherPolicy(challenger, policy)
    return challenger


def gate(engine: Engine, *, policy: Policy, recipe: Recipe, seed: int) -> PromoteReport:
    """Judge the challenger and store the verdict; promotes nothing. Repeating gives the same.

    Raises:
        NoChallenger, ChallengerOfAnotherPolicy: there is nothing to judge.
        BundleLost: the challenger cannot be read. A champion that cannot is a reason, not an error.
        VerdictStands: the same question had another answer before.
        DatabaseUnavailable: Postgres is away.
    """
    return _judge(engine, policy=policy, recipe=recipe, seed=seed)


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

    The verdict is kept first. Promotion and both models' states change in one transaction; their
    cards follow from rows and are written after it.

    Raises:
        NoChallenger, ChallengerOfAnotherPolicy: there is nothing to judge.
        BundleLost: the challenger cannot be read.
        VerdictStands: the same question had another answer before; `force` goes by that one.
        Refused: `force` without a note that says why.
        AlreadyRunning: another promotion of this policy runs.
        DatabaseUnavailable: Postgres is away; nothing was promoted.
    """
    if force and not note.strip():
        raise Refused('promoting against the gate needs a reason: add --note "…"')
    with single_flight(engine, f"promote {policy.name}"):
        # A run that was killed right after its promotion left old cards behind.
        write_cards(engine, cards, policy_name=policy.name)
        report = _judge(engine, policy=policy, recipe=recipe, seed=seed, force=force)
        if report.decision == "promote" or force:
            with begin(engine) as tx:
                registry.promote(
                    tx,
                    challenger=report.model_version,
                    verdict_id=report.verdict_id,
                    approved_by=approved_by,
                    force=force,
                    note=note,
                )
            report = replace(report, promoted=True, approved_by=approved_by)
            write_cards(engine, cards, policy_name=policy.name)
    log.info(
        "judged",
        model_version=report.model_version,
        decision=report.decision,
        promoted=report.promoted,
    )
    return report


def _judge(
    engine: Engine, *, policy: Policy, recipe: Recipe, seed: int, force: bool = False
) -> PromoteReport:
    with begin(engine) as tx:
        challenger = challenger_of(tx, policy)
        champion = registry.champion(tx, policy.name)
        snapshot_path = registry.snapshot_path(tx, challenger.snapshot_id)
        evidence = read_evidence(
            tx,
            policy=policy,
            recipe=recipe,
            champion=champion.model_version if champion else None,
            challenger=challenger.model_version,
        )
    test = [
        one
        for one in datasets.read_snapshot(Path(snapshot_path)).examples
        if one.split is Split.TEST
    ]
    models = [load_registered(challenger)]
    verdict_id = None
    try:
        models += [load_registered(champion)] if champion else []
    except BundleLost as lost:
        # Not kept: once the champion can be read again, there will be a verdict of the two.
        verdict = evaluation.cannot_compare(str(lost))
    else:
        compared = _compare(models, test, policy=policy, recipe=recipe, seed=seed)
        beside, digest = weigh(
            evidence, models[0], test,
            policy=policy, recipe=recipe, challenger=challenger.model_version,
        )  # fmt: skip
        verdict = evaluation.verdict_of([*compared.reasons, *beside])
        verdict_id = _keep_verdict(
            engine, verdict, champion, challenger, recipe, evidence=digest, force=force
        )
    return PromoteReport(
        model_version=challenger.model_version,
        champion_before=champion.model_version if champion else None,
        decision=verdict.decision,
        promoted=False,
        reasons=tuple(str(one) for one in verdict.reasons),
        verdict_id=verdict_id,
        numbers=verdict.reasons,
    )


def _compare(
    models: Sequence[training.Model],
    test: list[Example],
    *,
    policy: Policy,
    recipe: Recipe,
    seed: int,
) -> evaluation.Verdict:
    """The challenger, and the champion if there is one, on the same examples."""
    texts = [one.text for one in test]
    new, *old = (training.probabilities_for(one, texts, policy.category_ids) for one in models)
    return evaluation.judge(
        old[0] if old else None,
        new,
        truth_of(test, policy),
        policy.category_ids,
        rules=evaluation.GateRules(**recipe.gate.model_dump()),
        thresholds=[one.threshold for one in policy.category],
        groups=[one.group_id for one in test],
        obligations=_promised(policy),
        slices=slices_of(test),
        seed=seed,
    )


def _promised(policy: Policy) -> dict[str, list[evaluation.PromisedRate]]:
    return {
        one.id: [rate for rate in evaluation.RATES if getattr(one.obligation, rate, None)]
        for one in policy.category
    }


def _keep_verdict(
    engine: Engine,
    verdict: evaluation.Verdict,
    champion: registry.ModelRecord | None,
    challenger: registry.ModelRecord,
    recipe: Recipe,
    *,
    evidence: str,
    force: bool,
) -> int:
    try:
        with begin(engine) as tx:
            return registry.save_verdict(
                tx,
                challenger=challenger.model_version,
                champion=champion.model_version if champion else None,
                snapshot_id=challenger.snapshot_id,
                recipe=recipe,
                decision=verdict.decision,
                reasons=[plain(one) for one in verdict.reasons],
                evidence=evidence,
            )
    except registry.VerdictStands as stands:
        if not force:
            raise
        return stands.verdict_id
