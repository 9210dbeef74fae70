"""Figures in SQL: a window's take the place of those that stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert

from hitl.db.schema import measurements
from hitl.policy import Policy
from hitl.records import ModelVersion


@dataclass(frozen=True, slots=True)
class Measurement:
    """One stored figure: a value with its interval, or a code in its place."""

    metric: str
    category: str
    slice_name: str
    slice_value: str
    kind: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_effective: float | None
    code: str | None
    method: str
    unstable: bool = False


def record_measurements(
    tx: Connection,
    found: Sequence[Measurement],
    *,
    policy: Policy,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
) -> None:
    """Store a window's figures in place of those that stand: later labels count too."""
    tx.execute(
        delete(measurements).where(
            measurements.c.policy_id == policy.policy_id,
            measurements.c.model_version == model_version,
            measurements.c.window_start == start,
            measurements.c.window_end == end,
        )
    )
    if not found:
        return
    key = {
        "policy_id": policy.policy_id,
        "model_version": model_version,
        "window_start": start,
        "window_end": end,
    }
    rows = [
        key
        | {
            "metric": one.metric,
            "category": one.category,
            "slice_name": one.slice_name,
            "slice_value": one.slice_value,
            "kind": one.kind,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "n": one.n,
            "n_effective": one.n_effective,
            "unstable": one.unstable,
            "code": one.code,
            "method": one.method,
        }
        for one in found
    ]
    tx.execute(insert(measurements), rows)
