"""What Label Studio holds of the queue, and the annotations that came back from it."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from hitl.db.schema.base import WHEN, metadata, now, one_of
from hitl.records import AnnotationKind, Stage

# A project that is gone from Label Studio is deleted, with its pushes, tasks and cursor.
labelling_projects = Table(
    "labelling_projects",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("interface_hash", Text, nullable=False),
    now("created_at"),
    UniqueConstraint("policy_id", "stage"),
    CheckConstraint(one_of("stage", Stage), name="stage"),
)

pushes = Table(
    "pushes",
    metadata,
    Column("push_id", UUID(as_uuid=True), primary_key=True),
    Column("project_id", Integer, ForeignKey("labelling_projects.project_id"), nullable=False),
    now("intended_at"),
    Column("confirmed_at", WHEN),  # mutable, once
)

# A row is the intent to have a task; `task_id` arrives once Label Studio says it (mutable, once).
# `archived_at`: we took the finished task out of Label Studio; all of it is kept here (mutable).
tasks = Table(
    "tasks",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("push_id", UUID(as_uuid=True), ForeignKey("pushes.push_id"), nullable=False, index=True),
    Column("project_id", Integer, ForeignKey("labelling_projects.project_id"), nullable=False),
    Column("task_id", BigInteger),
    Column("archived_at", WHEN),
    PrimaryKeyConstraint("entry_id", "stage"),
    UniqueConstraint("project_id", "task_id"),
    CheckConstraint(one_of("stage", Stage), name="stage"),
)
Index(
    "ix_tasks_not_archived",
    tasks.c.project_id,
    tasks.c.task_id,
    postgresql_where=text("archived_at IS NULL"),
)

# Mutable: one row a project, moved in the transaction that stores what it covers.
collect_cursors = Table(
    "collect_cursors",
    metadata,
    Column(
        "project_id",
        Integer,
        ForeignKey("labelling_projects.project_id"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("watermark", WHEN),
    Column("swept_at", WHEN),
)

annotations = Table(
    "annotations",
    metadata,
    Column("unique_id", Text, nullable=False),
    Column("updated_at", WHEN, nullable=False),
    Column("created_at", WHEN, nullable=False),
    Column("kind", Text, nullable=False),
    Column("project_id", Integer, nullable=False),
    Column("task_id", BigInteger, nullable=False),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("result", JSONB, nullable=False),
    Column("lead_seconds", Double),
    now("collected_at"),
    PrimaryKeyConstraint("unique_id", "updated_at"),
    CheckConstraint(one_of("kind", AnnotationKind), name="kind"),
    CheckConstraint(one_of("stage", Stage), name="stage"),
    Index("ix_annotations_project_id_task_id", "project_id", "task_id"),
)

# Annotations that the interface cannot have produced: kept above, never counted.
annotation_rejects = Table(
    "annotation_rejects",
    metadata,
    Column("unique_id", Text, nullable=False),
    Column("updated_at", WHEN, nullable=False),
    Column("reason", Text, nullable=False),
    now("seen_at"),
    PrimaryKeyConstraint("unique_id", "updated_at"),
    ForeignKeyConstraint(
        ["unique_id", "updated_at"], ["annotations.unique_id", "annotations.updated_at"]
    ),
)
