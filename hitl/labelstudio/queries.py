"""Label Studio's ways of writing: filters and moments out, tasks in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hitl.labelstudio.payloads import moment
from hitl.labelstudio.server import SeenTask


def condition(field: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {
        "filter": f"filter:tasks:{field}",
        "operator": operator,
        "type": kind,
        "value": value,
    }


def as_set(value: Any) -> Any:
    # It gives a webhook's actions in an order of its own.
    return frozenset(value) if isinstance(value, list) else value


def written(when: datetime) -> str:
    # It answers 500 to a time without a fraction, which isoformat() leaves out at zero.
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seen(body: Mapping[str, Any]) -> SeenTask:
    return SeenTask(
        task_id=int(body["id"]),
        updated_at=moment(body["updated_at"]),
        is_labelled=bool(body.get("is_labeled")),
        data=body.get("data") or {},
        annotations=tuple(body.get("annotations") or ()),
    )
