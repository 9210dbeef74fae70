"""What we can say of the decisions that were made: figures of a window."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from hitl.db.schema.base import WHEN, metadata, now

# Mutable: a window that is measured again takes the place of what stood there.
measurements = Table(
    "measurements",
    metadata,
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("model_version", Text, nullable=False),
    Column("window_start", WHEN, nullable=False),
    Column("window_end", WHEN, nullable=False),
    Column("metric", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Double),
    Column("low", Double),
    Column("high", Double),
    Column("n", Integer, nullable=False),
    Column("n_effective", Double),
    Column("unstable", Boolean, nullable=False),
    Column("code", Text),
    Column("method", Text, nullable=False),
    now("measured_at"),
    PrimaryKeyConstraint(
        "policy_id",
        "model_version",
        "window_start",
        "window_end",
        "metric",
        "category",
        "slice_name",
        "slice_value",
        "kind",
    ),
    CheckConstraint("(value IS NULL) = (code IS NOT NULL)", name="value_or_code"),
)
