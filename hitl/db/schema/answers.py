"""What reviewers said, and what it comes to: votes and labels."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import WHEN, metadata, now

votes = Table(
    "votes",
    metadata,
    Column("unique_id", Text, nullable=False),
    Column("updated_at", WHEN, nullable=False),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    # category -> true or false; absent where the reviewer could not tell
    Column("answers", JSONB, nullable=False),
    Column("severity", SmallInteger),
    PrimaryKeyConstraint("unique_id", "updated_at"),
    ForeignKeyConstraint(
        ["unique_id", "updated_at"], ["annotations.unique_id", "annotations.updated_at"]
    ),
)

# The highest revision of (entry, category) is current; `value` NULL takes an earlier one back.
labels = Table(
    "labels",
    metadata,
    Column("label_id", BigInteger, Identity(always=True), primary_key=True),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("category", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("value", Boolean),
    Column("weight", Double, nullable=False),
    Column("votes_for", SmallInteger, nullable=False),
    Column("votes_total", SmallInteger, nullable=False),
    Column("decided_by", Text, nullable=False),
    now("resolved_at"),
    UniqueConstraint("entry_id", "category", "revision"),
    CheckConstraint("weight >= 0", name="weight"),
)
