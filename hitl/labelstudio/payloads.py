"""Between our records and Label Studio's JSON: tasks out, annotations in, votes or reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hitl.labelstudio.interface import CANNOT_TELL, NONE, RATIONALE, SEVERITY, VIOLATIONS
from hitl.labelstudio.server import SeenTask
from hitl.policy import Policy
from hitl.records import Annotation, AnnotationKind, EntryId, Stage, Vote


@dataclass(frozen=True, slots=True)
class TaskContent:
    """What a reviewer will be shown of one entry."""

    entry_id: EntryId
    item_id: str
    text: str
    surface: str | None = None
    language: str | None = None
    created_at: datetime | None = None
    opinion: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task of ours: which question it asks, as our tables have it."""

    task_id: int
    project_id: int
    entry_id: EntryId
    stage: Stage
    push_id: UUID


@dataclass(frozen=True, slots=True)
class NotCounted:
    """Why an annotation cannot be a vote. The reason never quotes what was written."""

    unique_id: str
    updated_at: datetime
    reason: str


def task_data(
    content: TaskContent, *, push_id: UUID, stage: Stage, policy: Policy
) -> dict[str, Any]:
    """The `data` of a task. Our ids lie in it, because `meta` cannot be searched.

    The model's opinion is in it only if the policy shows it: reviewers can read all of `data`.
    """
    created = _day(content.created_at)
    # A header without words would leave an empty band.
    about = " · ".join(part for part in (content.surface, content.language, created) if part)
    body: dict[str, Any] = {
        "entry_id": int(content.entry_id),
        "push_id": str(push_id),
        "stage": stage.value,
        "item_id": content.item_id,
        "text": content.text,
        "surface": content.surface or "",
        "language": content.language or "",
        "created": created,
        "about": about or "no details",
    }
    if policy.show_model_opinion:
        body["opinion"] = _opinion(content.opinion or {}, policy)
    return body


def _day(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if moment else ""


def _opinion(probabilities: Mapping[str, float], policy: Policy) -> str:
    named = [
        (probabilities[one.id], one.title) for one in policy.category if one.id in probabilities
    ]
    ranked = sorted(named, key=lambda pair: -pair[0])
    said = ", ".join(f"{title} {value:.0%}" for value, title in ranked[:3])
    return f"Model: {said}" if said else "Model: no opinion"


def unique_id_of(annotation_id: int, push_id: UUID) -> str:
    """The name we keep an annotation under.

    Label Studio does not show its own `unique_id` when tasks are read, and its numbers begin
    again at 1 on a new server; together with our push they never mean two things.
    """
    return f"{annotation_id}@{push_id}"


def annotations_of(task: SeenTask, known: KnownTask) -> list[Annotation]:
    """A task's annotations as records, oldest first.

    `reviewer` is Label Studio's `completed_by`, which its API lets any account set: it says who
    answered by convention, and proves nothing.
    """
    made = [_annotation(body, known) for body in task.annotations]
    return sorted(made, key=lambda one: (one.created_at, one.unique_id))


def _annotation(body: Mapping[str, Any], known: KnownTask) -> Annotation:
    result = body.get("result") or []
    skipped = bool(body.get("was_cancelled"))
    lead = body.get("lead_time")
    return Annotation(
        unique_id=unique_id_of(int(body["id"]), known.push_id),
        updated_at=moment(body["updated_at"]),
        created_at=moment(body["created_at"]),
        kind=AnnotationKind.SKIPPED if skipped else AnnotationKind.SUBMITTED,
        task_id=known.task_id,
        project_id=known.project_id,
        entry_id=known.entry_id,
        stage=known.stage,
        reviewer=_reviewer(body.get("completed_by")),
        result=[one if isinstance(one, dict) else {"unreadable": True} for one in result],
        lead_seconds=float(lead) if isinstance(lead, int | float) else None,
    )


def _reviewer(completed_by: Any) -> str:
    # A deleted account leaves null behind; some endpoints give the account in place of its id.
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("id")
    return "unknown" if completed_by is None else str(completed_by)


def deleted_version(last: Annotation, *, now: datetime) -> Annotation:
    """The version that says an annotation is gone. It lies after every version before it."""
    return Annotation(
        unique_id=last.unique_id,
        updated_at=max(now, last.updated_at + timedelta(microseconds=1)),
        created_at=last.created_at,
        kind=AnnotationKind.DELETED,
        task_id=last.task_id,
        project_id=last.project_id,
        entry_id=last.entry_id,
        stage=last.stage,
        reviewer=last.reviewer,
    )


def moment(written: str) -> datetime:
    """A time as Label Studio writes it, in UTC."""
    read = datetime.fromisoformat(written)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def claim_of(task: SeenTask) -> tuple[EntryId, UUID] | None:
    """What a task says of itself. None: it was not made by us."""
    try:
        return EntryId(int(task.data["entry_id"])), UUID(str(task.data["push_id"]))
    except (KeyError, TypeError, ValueError):
        return None


def differs(task: SeenTask, known: KnownTask, ours: dict[str, datetime]) -> bool:
    """Does Label Studio show an annotation that we lack, a later one, or lack one of ours?"""
    theirs = dict(_marks(task, known))
    return theirs.keys() != ours.keys() or any(at > ours[one] for one, at in theirs.items())


def _marks(task: SeenTask, known: KnownTask) -> Iterator[tuple[str, datetime]]:
    for body in task.annotations:
        yield unique_id_of(int(body["id"]), known.push_id), moment(str(body["updated_at"]))


def people_of(task: SeenTask) -> int:
    """How many different people answered, not counting who skipped."""
    return len(
        {str(one.get("completed_by")) for one in task.annotations if not one.get("was_cancelled")}
    )


def vote_from(annotation: Annotation, policy: Policy) -> Vote | NotCounted:
    """Count a submitted annotation, or say why not.

    Chosen categories are true, the others false; those the reviewer cannot tell are absent. What
    a hand may slip into still counts: a category beside "none of these" was chosen, and one both
    chosen and doubted is doubted. Label Studio checks none of this: its API takes any labels, so
    we do.
    """
    reason = _fault_of_shape(annotation.result, policy)
    if reason is None:
        chosen = _choices(annotation.result, VIOLATIONS)
        unsure = _choices(annotation.result, CANNOT_TELL)
        severity = _choices(annotation.result, SEVERITY)
        reason = _fault_of_answer(chosen, unsure, severity, policy)
    if reason is not None:
        return NotCounted(annotation.unique_id, annotation.updated_at, reason)
    answers = {one: one in chosen for one in policy.category_ids if one not in unsure}
    return Vote(
        unique_id=annotation.unique_id,
        updated_at=annotation.updated_at,
        entry_id=annotation.entry_id,
        stage=annotation.stage,
        reviewer=annotation.reviewer,
        answers=answers,
        severity=int(severity[0]) if severity and any(answers.values()) else None,
    )


_TYPES = {
    VIOLATIONS: "choices",
    CANNOT_TELL: "choices",
    SEVERITY: "choices",
    RATIONALE: "textarea",
}


def _fault_of_shape(result: list[dict[str, Any]], policy: Policy) -> str | None:
    asked = {SEVERITY: policy.ask_severity, RATIONALE: policy.ask_rationale}
    seen: set[str] = set()
    for part in result:
        name = part.get("from_name")
        if not isinstance(name, str) or name not in _TYPES or not asked.get(name, True):
            return "an answer to a question that the interface does not ask"
        if part.get("type") != _TYPES[name] or part.get("to_name") != "content":
            return f"the answer to {name} has another form than the interface gives it"
        if name in seen:
            return f"two answers to {name}"
        seen.add(name)
        value = part.get("value")
        if _TYPES[name] == "choices":
            choices = value.get("choices") if isinstance(value, dict) else None
            if not isinstance(choices, list) or not all(isinstance(one, str) for one in choices):
                return f"the answer to {name} has another form than the interface gives it"
            if len(set(choices)) != len(choices):
                return f"a label twice in {name}"
    return None


def _choices(result: list[dict[str, Any]], name: str) -> list[str]:
    for part in result:
        if part["from_name"] == name:
            return list(part["value"]["choices"])
    return []


def _fault_of_answer(
    chosen: list[str], unsure: list[str], severity: list[str], policy: Policy
) -> str | None:
    categories = set(policy.category_ids)
    if not chosen:
        return f"no answer to {VIOLATIONS}, which is required"
    if not set(chosen) <= categories | {NONE}:
        return f"a label in {VIOLATIONS} that the policy does not have"
    if not set(unsure) <= categories:
        return f"a label in {CANNOT_TELL} that the policy does not have"
    if severity and (len(severity) > 1 or severity[0] not in ("1", "2", "3", "4")):
        return f"{SEVERITY} is not one of 1 to 4"
    if severity and not categories & set(chosen):
        return f"{SEVERITY} without a violation"
    return None
