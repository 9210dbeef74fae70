"""A backlog is opened: a fixed population of which a share of what violates shall be found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from hitl import evaluation, logs, queue
from hitl.db import begin, keep_policy
from hitl.errors import Refused
from hitl.evaluation import backlogs
from hitl.evaluation.backlogs import ANY, Backlog, Facts, Rule
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import UNROUTED

log = logs.get(__name__)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class CannotOpen(Refused):
    """The backlog cannot be opened as asked."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"backlog {name!r}: {problem}")
        self.name = name


@dataclass(frozen=True, slots=True)
class OpenReport:
    """The backlog that stands. `is_new` is False where it was opened before, by the same rule."""

    name: str
    items: int
    reviewed: int
    found: int
    opened_at: datetime
    is_new: bool


def open_backlog(
    engine: Engine,
    *,
    name: str,
    policy: Policy,
    recipe: Recipe,
    category: str,
    at_least: float,
    confidence: float,
    rule: Rule,
) -> OpenReport:
    """Fix the items of a backlog: all with content, now, that the rule takes.

    What comes later is not in it, and nothing leaves it. Safe to repeat: the same name with the
    same rule is the same backlog.

    Raises:
        CannotOpen: the name stands for another backlog, or nothing is taken by the rule, or a
            category or lane does not exist.
        BadLevel: a share that is not between 0 and 1.
        DatabaseUnavailable: Postgres is away; nothing was opened.
    """
    evaluation.alpha_of_look(1, alpha=1.0 - confidence)  # refuses what is no share
    _check(name, policy, recipe, category, at_least, rule)
    with begin(engine) as tx:
        keep_policy(tx, policy)
        known = backlogs.find(tx, name)
        if known is not None:
            _same(known, policy, category, at_least, confidence, rule)
        backlog = known or backlogs.open_backlog(
            tx,
            name=name,
            policy=policy,
            category=category,
            at_least=at_least,
            confidence=confidence,
            rule=rule,
            in_lane=_in_lane(tx, policy, recipe, rule),
        )
        if not backlog.items:
            raise CannotOpen(name, "no item with content is like that; widen the rule")
        counts = backlogs.read_reviewed(tx, backlog)
    log.info("backlog_opened", backlog=name, items=backlog.items, new=known is None)
    return OpenReport(
        name, backlog.items, counts.reviewed, counts.violating, backlog.opened_at, known is None
    )


def _check(
    name: str, policy: Policy, recipe: Recipe, category: str, at_least: float, rule: Rule
) -> None:
    if not _NAME.fullmatch(name):
        raise CannotOpen(name, "use lower-case letters, digits and -, 40 at most, for its name")
    if category != ANY and category not in policy.category_ids:
        raise CannotOpen(
            name,
            f"policy {policy.name} has no category {category!r}; write any, or one of: "
            f"{', '.join(policy.category_ids)}",
        )
    if not 0.0 < at_least < 1.0:
        raise CannotOpen(name, f"at least {at_least} cannot be shown; write a share such as 0.9")
    lanes = [lane.name for lane in recipe.queue.lanes]
    if rule.lane is not None and rule.lane not in (*lanes, UNROUTED):
        raise CannotOpen(
            name, f"the recipe has no lane {rule.lane!r}; it has {', '.join([*lanes, UNROUTED])}"
        )


def _same(
    known: Backlog, policy: Policy, category: str, at_least: float, confidence: float, rule: Rule
) -> None:
    asked = {
        "rule": (known.rule, rule.body),
        "category": (known.category, category),
        "share": (known.at_least, at_least),
        "confidence": (known.confidence, confidence),
        "policy": (known.policy_id, policy.policy_id),
    }
    for what, (before, now) in asked.items():
        if before != now:
            raise CannotOpen(
                known.name, f"it was opened with another {what}; choose another name for this one"
            )


def _in_lane(tx: Connection, policy: Policy, recipe: Recipe, rule: Rule) -> Sequence[Facts] | None:
    if rule.lane is None:
        return None

    def lane_of(facts: Facts) -> str:
        language, modality, market, surface = facts
        found = queue.lane_of(
            queue.Facts(language, modality, market, surface),
            recipe.queue.lanes,
            policy_name=policy.name,
        )
        return found.name if found else UNROUTED

    return [one for one in backlogs.distinct_facts(tx) if lane_of(one) == rule.lane]
