"""What comes over HTTP: requests that were answered, and hints that something changed."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSON

from hitl.db.schema.base import metadata, now

# What producers pushed and we answered, so that the same request again gives the same answer.
# Deleted after some weeks; the answer names positions and fields, never content.
api_requests = Table(
    "api_requests",
    metadata,
    Column("producer", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("answer", JSON, nullable=False),  # not JSONB: given again byte for byte
    now("accepted_at"),
    PrimaryKeyConstraint("producer", "idempotency_key"),
    Index("ix_api_requests_accepted_at", "accepted_at"),
)

# Something may have changed in Label Studio: a hint, deleted once it was followed. `task_id` 0 is
# the whole project. Mutable: `asked_at`, when the same is said again.
wakeups = Table(
    "wakeups",
    metadata,
    Column(
        "project_id",
        Integer,
        ForeignKey("labelling_projects.project_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("task_id", BigInteger, nullable=False),
    now("asked_at"),
    PrimaryKeyConstraint("project_id", "task_id"),
)
