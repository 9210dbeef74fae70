"""What has changed since: alarms, and whether to train anew because of them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import WHEN, metadata, now

# What moved, or no longer holds: from its first window until it passes, or until its model decides
# no more. Mutable: how long it has gone on, who took note of it, and its end.
alarms = Table(
    "alarms",
    metadata,
    Column("alarm_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    # No foreign key: models of others decide too. Empty: of all decisions, whoever made them.
    Column("model_version", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("metric", Text, nullable=False),  # of a certificate; else empty
    Column("statistic", Double, nullable=False),
    Column("bar", Double, nullable=False),  # what the statistic had to reach to matter
    Column("p_value", Double),  # corrected for all that the run asked
    Column("level", Double),  # what that had to be at most
    Column("evidence", Double),  # of an e-process, in place of a p-value
    Column("effect", Double, nullable=False),
    Column("effect_low", Double),
    Column("effect_high", Double),
    Column("n_reference", Integer),
    Column("n_window", Integer, nullable=False),
    Column("reference_start", WHEN),
    Column("window_start", WHEN, nullable=False),
    Column("window_end", WHEN, nullable=False),
    now("raised_at"),
    Column("last_above", WHEN, nullable=False),  # end of the newest window that was above
    Column("watched_until", WHEN, nullable=False),  # end of the newest window that was looked at
    Column("acknowledged_at", WHEN),
    Column("acknowledged_by", Text),
    Column("note", Text),
    Column("ended_at", WHEN),
    Column("ended_why", Text),
    UniqueConstraint(
        "policy_id",
        "model_version",
        "kind",
        "category",
        "slice_name",
        "slice_value",
        "metric",
        "window_end",
        name="uq_alarms_subject_window",
    ),
    CheckConstraint(
        "kind IN ('scores', 'mix', 'labels', 'embeddings', 'certificate')", name="kind"
    ),
    CheckConstraint("(p_value IS NULL) = (evidence IS NOT NULL)", name="p_value_or_evidence"),
    CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged"),
    CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="ended_with_why"),
    CheckConstraint("ended_why IN ('passed', 'superseded')", name="ended_why"),
)
Index("ix_alarms_standing", alarms.c.policy_id, postgresql_where=text("ended_at IS NULL"))

# Whether to train anew, each time it was asked and something had changed.
retrain_decisions = Table(
    "retrain_decisions",
    metadata,
    Column("decision_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),  # by which rules
    # the newest model then; NULL: there was none
    Column("model_version", Text, ForeignKey("model_versions.model_version")),
    Column("retrain", Boolean, nullable=False),
    # a list: rule, whether it fired, its numbers or a code, and the words that say so
    Column("reasons", JSONB, nullable=False),
    Column("last_label_id", BigInteger, nullable=False),  # what was labelled by then
    Column("new_labels", Integer, nullable=False),
    Column("evidence", Text, nullable=False),  # digest of all that it rests on
    now("decided_at"),
)
Index("ix_retrain_decisions_policy_id", retrain_decisions.c.policy_id)
