"""Whether to train anew: what is known is gathered, decided on, and kept with its reasons."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from flows.plain import plain
from hitl import datasets, decisions, evaluation, labels, logs, registry
from hitl.db import begin, single_flight
from hitl.errors import NotYet
from hitl.evaluation import Measured, RetrainRules, Standing, Why
from hitl.evaluation.alarms import store as alarms
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import ModelVersion

log = logs.get(__name__)

_STANDARD_ERRORS = 2 * 1.96  # in a 95 % interval


class NotDecided(NotYet):
    """No decision to train waits to be carried out."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(
            f"policy {policy_name}: nothing was decided that calls for a new model; "
            "`hitl retrain` says why, and `hitl freeze` freezes all the same"
        )
        self.policy_name = policy_name


@dataclass(frozen=True, slots=True)
class RetrainReport:
    """Whether to train, and why. `is_new` False: it was decided before, on the same."""

    model_version: ModelVersion | None
    retrain: bool
    reasons: tuple[Why, ...]
    new_labels: int
    decided_at: datetime
    is_new: bool


def decide_retrain(engine: Engine, *, policy: Policy, recipe: Recipe) -> RetrainReport:
    """Look at labels, alarms, the policy and the newest model, and write down what follows.

    A yes stands until a model was trained after it; on the same facts nothing is written anew.

    Raises:
        AlreadyRunning: another decision for this policy is being made.
        DatabaseUnavailable: Postgres is away; nothing was kept.
    """
    with single_flight(engine, f"retrain {policy.name}"), begin(engine) as tx:
        pending = registry.pending_retrain(tx, policy)
        if pending is not None:
            return _report(pending, is_new=False)
        newest = next(iter(registry.list_versions(tx, policy.name)), None)
        standing = _standing(tx, policy, newest)
        decided = evaluation.decide_retraining(
            standing, rules_of(recipe), seed=recipe.training.seed
        )
        before = registry.newest_retrain_decision(tx, policy)
        evidence = _digest(standing, decided, policy, recipe)
        if before is not None and before.evidence == evidence:
            return _report(before, is_new=False)
        kept = registry.save_retrain_decision(
            tx,
            policy=policy,
            recipe=recipe,
            model_version=newest.model_version if newest else None,
            retrain=decided.retrain,
            reasons=[plain(one) for one in decided.reasons],
            last_label_id=datasets.last_label_id(tx, policy.policy_id),
            new_labels=standing.new_labels,
            evidence=evidence,
        )
    log.info("retrain_decided", retrain=kept.retrain, fired=[str(one) for one in decided.fired])
    return _report(kept, is_new=True)


def rules_of(recipe: Recipe) -> RetrainRules:
    """The recipe's numbers as the decision takes them."""
    return RetrainRules(
        least_labels=recipe.training.retrain_after_labels,
        first_labels=recipe.training.min_labels,
        share_of_training=recipe.retrain.share_of_training,
        least_gain=recipe.retrain.least_gain,
        most_age=timedelta(days=recipe.retrain.most_days),
        cool_down=timedelta(hours=recipe.retrain.cool_down_hours),
        windows_in_a_row=recipe.drift.windows_in_a_row,
    )


def _standing(tx: Connection, policy: Policy, newest: registry.ModelRecord | None) -> Standing:
    now = decisions.database_clock(tx)
    if newest is None:
        return Standing(now, labels.count_since(tx, policy.policy_id, 0))
    upto = registry.last_label_of(tx, newest.snapshot_id)
    fired = registry.newest_retrain_decision(tx, policy, to_train=True)
    open_alarms = [
        one for one in alarms.list_alarms(tx, policy=policy) if one.acknowledged_by is None
    ]
    champion = registry.champion(tx, policy.name)
    certified = (
        registry.standing_certificates(tx, policy=policy, model_version=champion.model_version)
        if champion
        else {}
    )
    # What was certified anew since is mended.
    withdrawn = [
        one.subject
        for one in open_alarms
        if one.kind == alarms.CERTIFICATE
        and one.metric
        not in certified.get(registry.Subject(one.category, one.slice_name, one.slice_value), {})
    ]
    return Standing(
        now,
        labels.count_since(tx, policy.policy_id, upto),
        trained_at=newest.trained_at,
        training_labels=int(newest.metrics.get("examples", {}).get("training", 0)),
        is_of_this_policy=newest.policy_id == policy.policy_id,
        withdrawn=sorted(withdrawn),
        drifts=sorted(
            (one.subject, one.windows) for one in open_alarms if one.kind != alarms.CERTIFICATE
        ),
        measured=_measured(tx, policy),
        last_fired_at=fired.decided_at if fired else None,
    )


def _measured(tx: Connection, policy: Policy) -> list[Measured]:
    """Earlier models with their error on the measuring side, oldest first."""
    found = []
    for model in registry.list_versions(tx, policy.name)[: 2 * evaluation.NEWEST_MODELS]:
        if model.policy_id != policy.policy_id:
            continue
        for one in registry.evaluations_of(tx, model.model_version, model.snapshot_id):
            if (one.metric, one.category, one.slice_name) != (
                "average_precision", evaluation.MACRO, "",
            ) or one.value is None or one.low is None or one.high is None:  # fmt: skip
                continue
            size = int(model.metrics.get("examples", {}).get("training", 0))
            if size:
                spread = (one.high - one.low) / _STANDARD_ERRORS
                found.append(Measured(size, 1.0 - one.value, spread))
    return found[::-1]


def _digest(
    standing: Standing, decided: evaluation.RetrainDecision, policy: Policy, recipe: Recipe
) -> str:
    """Of what a decision rests on, all that is no clock: that alone makes no other decision."""
    rests_on = [
        policy.policy_id, recipe.recipe_id, str(standing.trained_at), standing.new_labels,
        list(standing.withdrawn), list(standing.drifts), decided.retrain,
        [str(one) for one in decided.fired],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()


def _report(kept: registry.RetrainRecord, *, is_new: bool) -> RetrainReport:
    return RetrainReport(
        kept.model_version,
        kept.retrain,
        tuple(Why(**{**one, "rule": evaluation.RetrainRule(one["rule"])}) for one in kept.reasons),
        kept.new_labels,
        kept.decided_at,
        is_new,
    )
