"""What was chosen, and with which probability: batches, their picks, and what stood back."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import WHEN, metadata, now

batches = Table(
    "batches",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),
    Column("model_version", Text),  # whose probabilities and embeddings; NULL: cold start
    Column("seed", BigInteger, nullable=False),
    Column("plan", JSONB, nullable=False),
    Column("size_wanted", Integer, nullable=False),
    Column("read_at", WHEN, nullable=False),  # what had content by then could be picked
    Column("training_pool_size", Integer, nullable=False),
    Column("measuring_pool_size", Integer, nullable=False),
    now("created_at"),
)

picks = Table(
    "picks",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.batch_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("share", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    # NULL: the strategy has none. Such a label trains and never measures.
    Column("inclusion_probability", Double),
    # Items that were drawn and have one answer between them: this one and its near copies.
    Column("stands_for", Integer, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("batch_id", "item_id"),
    CheckConstraint("stands_for >= 1", name="stands_for"),
    CheckConstraint(
        "inclusion_probability IS NULL "
        "OR (inclusion_probability > 0 AND inclusion_probability <= 1)",
        name="inclusion_probability",
    ),
)

# Drawn for audit beside a near copy that is asked for both. It is not drawn again.
stood_aside = Table(
    "stood_aside",
    metadata,
    Column("batch_id", Text, nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("for_item_id", Text, nullable=False),
    PrimaryKeyConstraint("batch_id", "item_id"),
    ForeignKeyConstraint(["batch_id", "for_item_id"], ["picks.batch_id", "picks.item_id"]),
)

# What a lane's quota did not let in: not asked, recorded, a candidate again.
overflows = Table(
    "overflows",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.batch_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("share", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("inclusion_probability", Double),
    Column("lane", Text, nullable=False),
    Column("reason", Text, nullable=False),
    now("recorded_at"),
    PrimaryKeyConstraint("batch_id", "item_id"),
)
