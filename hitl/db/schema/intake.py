"""What came in: items and decisions, how far sources were read, and what was set aside."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import WHEN, metadata, now, one_of
from hitl.records import Action

# `text` is NULL while only decisions of the item have arrived; content may come later, once.
# Mutable: what is NULL is filled.
items = Table(
    "items",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("text", Text),
    Column("content_hash", Text),
    Column("language", Text),
    Column("surface", Text),
    Column("market", Text),
    Column("modality", Text),  # NULL: text
    Column("group_id", Text),
    Column("created_at", WHEN),
    now("ingested_at"),
    Column("content_at", WHEN),  # when the text arrived: from then on it can be picked
    CheckConstraint("length(item_id) BETWEEN 1 AND 200", name="item_id_length"),
    CheckConstraint("(text IS NULL) = (content_hash IS NULL)", name="hash_with_text"),
    CheckConstraint("text IS NULL OR content_at IS NOT NULL", name="moment_of_text"),
)
Index("ix_items_ingested_at", items.c.ingested_at, postgresql_using="brin")

# Partitioned by month (hitl/db/months.py). That an item is there is not a foreign key, which would
# cost as much as the row: the merge makes items first, in the same transaction, and no item goes.
decisions = Table(
    "decisions",
    metadata,
    Column("item_id", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("decided_at", WHEN, nullable=False),
    Column("action", Text),
    # category -> probability; a category the model does not know is absent, never zero
    Column("probabilities", JSONB, nullable=False),
    # by a model that only ran along: nobody acted on it
    Column("is_shadow", Boolean, nullable=False, server_default=text("false")),
    now("ingested_at"),
    PrimaryKeyConstraint("item_id", "decided_at", "model_version"),  # an item's newest is its last
    CheckConstraint("action IS NULL OR " + one_of("action", Action), name="action"),
    postgresql_partition_by="RANGE (decided_at)",
)
Index("ix_decisions_shadow", decisions.c.decided_at, postgresql_where=text("is_shadow"))

# The newest of each model, so that none need look through all. Mutable: it moves on.
newest_decisions = Table(
    "newest_decisions",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("decided_at", WHEN, nullable=False),
)

# What was dropped for its age; nothing before `kept_from` comes in any more. Mutable: the counts,
# which come last.
retentions = Table(
    "retentions",
    metadata,
    Column("month", Date, primary_key=True),
    Column("kept_from", WHEN, nullable=False),
    Column("dropped", BigInteger),
    Column("kept", BigInteger),  # of items that were picked
    Column("done_at", WHEN),  # NULL: closed, and not yet looked through
)

# How far a file was taken in. Mutable: a changed file, or recipe, begins anew.
intake_chunks = Table(
    "intake_chunks",
    metadata,
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # of the file, and of how it was read
    Column("chunk", Integer, nullable=False),
    Column("begun_at", WHEN, nullable=False),  # when the reading of this file began
    Column("line", BigInteger, nullable=False),  # the last one that is covered
    Column("rows", BigInteger, nullable=False),
    Column("report", JSONB, nullable=False),  # its counts, and columns that are absent
    Column("is_last", Boolean, nullable=False),
    PrimaryKeyConstraint("source", "kind", "fingerprint", "chunk"),
)

# How many people see an item an hour. Mutable: what was measured last stands, whenever it came in.
reaches = Table(
    "reaches",
    metadata,
    Column("item_id", Text, ForeignKey("items.item_id"), primary_key=True),
    Column("views_per_hour", Double, nullable=False),
    Column("measured_at", WHEN, nullable=False),
    CheckConstraint("views_per_hour >= 0 AND views_per_hour < 'infinity'", name="views_per_hour"),
)

# The same key with another payload: the first one stands, the other is kept for a person to see.
conflicts = Table(
    "conflicts",
    metadata,
    Column("kind", Text, nullable=False),  # 'content' or 'decision'
    Column("item_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload_hash", Text, nullable=False),
    Column("source", Text, nullable=False),
    now("seen_at"),
    PrimaryKeyConstraint("kind", "item_id", "key", "payload_hash"),
    CheckConstraint("kind IN ('content', 'decision')", name="kind"),
)

# Rows that could not be read. Never holds content: line, field and reason are enough to find it.
# Mutable: what a complete reading of the same source no longer finds is deleted.
rejects = Table(
    "rejects",
    metadata,
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),  # what it was read for: 'content', 'decisions', 'both'
    Column("line", BigInteger, nullable=False),
    Column("field", Text, nullable=False),
    Column("reason", Text, nullable=False),
    now("seen_at"),
    PrimaryKeyConstraint("source", "kind", "line", "field"),
)
