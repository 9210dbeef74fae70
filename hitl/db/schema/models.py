"""What is learned from, the models, how they were judged, and what they may decide alone."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import WHEN, metadata, now, one_of
from hitl.records import ModelState

# Mutable: `path`, `last_label_id`, when the same content is frozen again.
snapshots = Table(
    "snapshots",
    metadata,
    Column("snapshot_id", Text, primary_key=True),  # the content hash
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("examples", Integer, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("last_label_id", BigInteger, nullable=False),
    now("created_at"),
)

# Mutable: `state`; `path`, where the same bytes lie now.
model_versions = Table(
    "model_versions",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("policy_name", Text, nullable=False),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),
    Column("snapshot_id", Text, ForeignKey("snapshots.snapshot_id"), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),  # of the bundle's bytes: what was judged decides
    Column("metrics", JSONB, nullable=False),
    # Shown above all else on its card, such as that its data was made up.
    Column("data_note", Text, nullable=False, server_default=""),
    now("trained_at"),
    UniqueConstraint("snapshot_id", "recipe_id", "seed"),
    CheckConstraint(one_of("state", ModelState), name="state"),
)
Index(
    "uq_model_versions_one_champion_a_policy",
    model_versions.c.policy_name,
    unique=True,
    postgresql_where=text("state = 'champion'"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("model_version", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("snapshot_id", Text, ForeignKey("snapshots.snapshot_id"), nullable=False),
    Column("metric", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("value", Double),
    Column("low", Double),
    Column("high", Double),
    Column("n", Integer, nullable=False),
    Column("n_positive", Integer, nullable=False),
    Column("code", Text),  # in place of a value, such as too_few_events
    Column("method", Text, nullable=False),
    PrimaryKeyConstraint(
        "model_version", "snapshot_id", "metric", "category", "slice_name", "slice_value"
    ),
    CheckConstraint("(value IS NULL) = (code IS NOT NULL)", name="value_or_code"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("verdict_id", BigInteger, Identity(always=True), primary_key=True),
    Column("challenger", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("champion", Text, ForeignKey("model_versions.model_version")),
    Column("snapshot_id", Text, ForeignKey("snapshots.snapshot_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),  # by which rules
    Column("decision", Text, nullable=False),
    # a list: rule, outcome, category, its numbers, and the words that say so
    Column("reasons", JSONB, nullable=False),
    now("judged_at"),
    # digest of what it rests on beside the snapshot: certificates, and what was decided live
    Column("evidence", Text, nullable=False, server_default=""),
    UniqueConstraint(
        "challenger",
        "champion",
        "snapshot_id",
        "recipe_id",
        "evidence",
        postgresql_nulls_not_distinct=True,
    ),
)

promotions = Table(
    "promotions",
    metadata,
    Column("promotion_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("model_version", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("previous", Text, ForeignKey("model_versions.model_version")),
    Column("verdict_id", BigInteger, ForeignKey("verdicts.verdict_id")),
    Column("approved_by", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    now("promoted_at"),
    CheckConstraint("kind IN ('promotion', 'rollback')", name="kind"),
)

# What a model may decide without a person, or why it may not yet: one row an obligation and
# attempt. Mutable: the withdrawal. The same evidence again makes no new row.
certificates = Table(
    "certificates",
    metadata,
    Column("certificate_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("model_version", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("attempt", Integer, nullable=False),  # each spends some of what may be wrong
    Column("evidence", Text, nullable=False),  # digest of the labels and scores it rests on
    Column("at_least", Double, nullable=False),
    Column("confidence", Double, nullable=False),  # of this attempt alone
    Column("threshold", Double),
    Column("n", Integer, nullable=False),
    Column("n_errors", Integer, nullable=False),
    Column("shortfall", Text),  # in place of a threshold
    Column("more_labels", Integer),
    now("issued_at"),
    Column("expires_at", WHEN, nullable=False),
    Column("withdrawn_at", WHEN),
    Column("withdrawn_why", Text),
    UniqueConstraint(
        "policy_id",
        "model_version",
        "category",
        "slice_name",
        "slice_value",
        "metric",
        "attempt",
        name="uq_certificates_attempt",
    ),
    CheckConstraint("metric IN ('precision', 'recall')", name="metric"),
    CheckConstraint("(threshold IS NULL) = (shortfall IS NOT NULL)", name="threshold_or_shortfall"),
    CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_why IS NULL)", name="withdrawn_with_why"),
)
Index("ix_certificates_model_version", certificates.c.model_version)
