"""How a simulated reviewer answers: from the right answers, with errors of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.random import Generator
from pydantic import SecretStr

from hitl.labelstudio.interface import CANNOT_TELL, NONE, RATIONALE, SEVERITY, VIOLATIONS
from hitl.policy import Policy
from hitl.records import Stage

# A fixed point in the space of names, so that the same answer has the same id on every machine.
_NAMESPACE = UUID("6f0c3c1e-8f7b-5d6a-9a8e-2b1d4c5e7f90")
_NAMES = ("alma", "bruno", "chidi", "dalia", "emre", "farah", "goran", "hanna", "ines", "jonas")


@dataclass(frozen=True)
class SimulatedReviewer:
    """A person who is not one: an account in Label Studio, and how often it errs.

    `sensitivity` is the chance to see a violation that is there, `specificity` the chance to see
    none where there is none; both per category. `skips` is the chance to pass an item on.
    """

    name: str
    email: str
    password: SecretStr
    seed: int
    sensitivity: float
    specificity: float
    skips: float
    seconds: float


@dataclass(frozen=True)
class Answer:
    """What a reviewer says of one item. `violations` is empty for none of these."""

    is_skip: bool
    violations: tuple[str, ...]
    cannot_tell: tuple[str, ...]
    severity: int | None
    rationale: str | None
    lead_seconds: float


def invent_reviewers(passwords: Sequence[SecretStr], *, seed: int) -> tuple[SimulatedReviewer, ...]:
    """One reviewer a password, each as careful as their seed makes them.

    Violations are rare, so even the least careful one raises a false alarm on fewer than one
    innocent item in a hundred; otherwise most of the labels would be wrong.
    """
    made = []
    for place, password in enumerate(passwords):
        rng = np.random.default_rng([seed, place])
        turn = place // len(_NAMES)
        name = _NAMES[place % len(_NAMES)] + (str(turn + 1) if turn else "")
        made.append(
            SimulatedReviewer(
                name=name,
                email=f"{name}@reviewers.example",
                password=password,
                seed=int(rng.integers(2**31)),
                sensitivity=float(rng.uniform(0.92, 0.98)),
                specificity=float(rng.uniform(0.993, 0.999)),
                skips=float(rng.uniform(0.005, 0.02)),
                seconds=float(rng.uniform(4.0, 12.0)),
            )
        )
    return tuple(made)


def answer_of(
    reviewer: SimulatedReviewer,
    item_id: str,
    gold: Mapping[str, bool],
    *,
    policy: Policy,
    stage: Stage = Stage.REVIEW,
    attempt: int = 1,
) -> Answer:
    """What this reviewer says of this item; the same whenever and in whatever order they are asked.

    Args:
        gold: category to the right answer; a category that nobody annotated is absent, and the
            reviewer cannot tell.
        stage: an adjudication is never skipped: who would decide it then?
        attempt: from the second one on nothing is skipped.
    """
    rng = _own_rng(reviewer, item_id)
    may_skip = stage is Stage.REVIEW and attempt == 1
    is_skip = bool(rng.random() < reviewer.skips) and may_skip
    lead_seconds = round(float(reviewer.seconds * rng.lognormal(0.0, 0.5)), 2)
    seen = []
    for category in policy.category_ids:
        luck = rng.random()  # one draw a category, known or not: answers do not shift
        if category not in gold:
            continue
        chance = reviewer.sensitivity if gold[category] else 1.0 - reviewer.specificity
        if luck < chance:
            seen.append(category)
    unsure = tuple(one for one in policy.category_ids if one not in gold)
    return Answer(
        is_skip=is_skip,
        violations=tuple(seen),
        cannot_tell=unsure,
        severity=_severity(rng, seen, policy),
        rationale=_rationale(rng, seen, policy),
        lead_seconds=lead_seconds,
    )


def _own_rng(reviewer: SimulatedReviewer, item_id: str) -> Generator:
    key = hashlib.sha256(f"{reviewer.seed}|{item_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:8]))


def _severity(rng: Generator, seen: Sequence[str], policy: Policy) -> int | None:
    step = int(rng.integers(-1, 2))
    if not seen or not policy.ask_severity:
        return None
    worst = max(one.severity for one in policy.category if one.id in seen)
    return min(4, max(1, worst + step))


def _rationale(rng: Generator, seen: Sequence[str], policy: Policy) -> str | None:
    writes = rng.random() < 0.1
    if not writes or not seen or not policy.ask_rationale:
        return None
    titles = [one.title for one in policy.category if one.id in seen]
    return f"Simulated reviewer: {' and '.join(titles)}, as the rule words it."


def annotation_result(answer: Answer) -> list[dict[str, Any]]:
    """The `result` of an annotation as the labelling interface would make it. Empty for a skip."""
    if answer.is_skip:
        return []
    parts = [_part(VIOLATIONS, "choices", list(answer.violations) or [NONE])]
    if answer.cannot_tell:
        parts.append(_part(CANNOT_TELL, "choices", list(answer.cannot_tell)))
    if answer.severity is not None:
        parts.append(_part(SEVERITY, "choices", [str(answer.severity)]))
    if answer.rationale is not None:
        parts.append(_part(RATIONALE, "text", [answer.rationale]))
    return parts


def _part(name: str, kind: str, values: list[str]) -> dict[str, Any]:
    return {
        "from_name": name,
        "to_name": "content",
        "type": "textarea" if kind == "text" else kind,
        "origin": "manual",
        "value": {kind: values},
    }


def annotation_id(reviewer: SimulatedReviewer, task_id: int, attempt: int) -> UUID:
    """The `unique_id` to send: a repeated request is then refused as a duplicate, not stored."""
    digest = hashlib.sha256(
        f"{_NAMESPACE}|{reviewer.email}|{reviewer.seed}|{task_id}|{attempt}".encode()
    ).digest()
    return UUID(bytes=digest[:16], version=5)
