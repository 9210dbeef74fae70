"""The loop: every table, the legal moves of an entry, the working and the dashboard views."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out here, not imported: a migration must go on meaning what it meant.
_SQL = Path(__file__).with_name("0001_the_loop.sql")


def upgrade() -> None:
    op.create_table(
        "conflicts",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload_hash", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('content', 'decision')", name=op.f("ck_conflicts_kind")),
        sa.PrimaryKeyConstraint(
            "kind", "item_id", "key", "payload_hash", name=op.f("pk_conflicts")
        ),
    )
    op.create_table(
        "entry_moves",
        sa.Column("from_state", sa.Text(), nullable=False),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("from_state", "to_state", name=op.f("pk_entry_moves")),
    )
    op.create_table(
        "items",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("content_hash", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("surface", sa.Text(), nullable=True),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("content_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(text IS NULL) = (content_hash IS NULL)", name=op.f("ck_items_hash_with_text")
        ),
        sa.CheckConstraint(
            "length(item_id) BETWEEN 1 AND 200", name=op.f("ck_items_item_id_length")
        ),
        sa.CheckConstraint(
            "text IS NULL OR content_at IS NOT NULL", name=op.f("ck_items_moment_of_text")
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_items")),
    )
    op.create_table(
        "policies",
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("policy_id", name=op.f("pk_policies")),
    )
    op.create_table(
        "recipes",
        sa.Column("recipe_id", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("recipe_id", name=op.f("pk_recipes")),
    )
    op.create_table(
        "rejects",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("source", "kind", "line", "field", name=op.f("pk_rejects")),
    )
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("recipe_id", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("plan", postgresql.JSONB(), nullable=False),
        sa.Column("size_wanted", sa.Integer(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("training_pool_size", sa.Integer(), nullable=False),
        sa.Column("measuring_pool_size", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_batches_policy_id")
        ),
        sa.ForeignKeyConstraint(
            ["recipe_id"], ["recipes.recipe_id"], name=op.f("fk_batches_recipe_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batches")),
    )
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("probabilities", postgresql.JSONB(), nullable=False),
        sa.Column("payload_hash", sa.Text(), nullable=False),
        sa.Column(
            "ingested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "action IS NULL OR action IN ('allow', 'review', 'block')",
            name=op.f("ck_decisions_action"),
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name=op.f("fk_decisions_item_id")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
        sa.UniqueConstraint(
            "item_id",
            "model_version",
            "decided_at",
            name=op.f("uq_decisions_item_id_model_version_decided_at"),
        ),
    )
    op.create_table(
        "labelling_projects",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("interface_hash", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "stage IN ('review', 'adjudication')", name=op.f("ck_labelling_projects_stage")
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_labelling_projects_policy_id")
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_labelling_projects")),
        sa.UniqueConstraint(
            "policy_id", "stage", name=op.f("uq_labelling_projects_policy_id_stage")
        ),
    )
    op.create_table(
        "measurements",
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("slice_name", sa.Text(), nullable=False),
        sa.Column("slice_value", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_effective", sa.Double(), nullable=True),
        sa.Column("unstable", sa.Boolean(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column(
            "measured_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(value IS NULL) = (code IS NOT NULL)", name=op.f("ck_measurements_value_or_code")
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_measurements_policy_id")
        ),
        sa.PrimaryKeyConstraint(
            "policy_id",
            "model_version",
            "window_start",
            "window_end",
            "metric",
            "category",
            "slice_name",
            "slice_value",
            "kind",
            name=op.f("pk_measurements"),
        ),
    )
    op.create_table(
        "policy_categories",
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_policy_categories_policy_id")
        ),
        sa.PrimaryKeyConstraint("policy_id", "category", name=op.f("pk_policy_categories")),
    )
    op.create_index(
        "ix_policy_categories_meaning", "policy_categories", ["category", "meaning"], unique=False
    )
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("last_label_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_snapshots_policy_id")
        ),
        sa.PrimaryKeyConstraint("snapshot_id", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "collect_cursors",
        sa.Column("project_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("watermark", sa.DateTime(timezone=True), nullable=True),
        sa.Column("swept_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["labelling_projects.project_id"],
            name=op.f("fk_collect_cursors_project_id"),
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_collect_cursors")),
    )
    op.create_table(
        "model_versions",
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("policy_name", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("recipe_id", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("metrics", postgresql.JSONB(), nullable=False),
        sa.Column("data_note", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "trained_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state IN ('trained', 'challenger', 'champion', 'retired')",
            name=op.f("ck_model_versions_state"),
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_model_versions_policy_id")
        ),
        sa.ForeignKeyConstraint(
            ["recipe_id"], ["recipes.recipe_id"], name=op.f("fk_model_versions_recipe_id")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_model_versions_snapshot_id")
        ),
        sa.PrimaryKeyConstraint("model_version", name=op.f("pk_model_versions")),
        sa.UniqueConstraint(
            "snapshot_id",
            "recipe_id",
            "seed",
            name=op.f("uq_model_versions_snapshot_id_recipe_id_seed"),
        ),
    )
    op.create_index(
        "uq_model_versions_one_champion_a_policy",
        "model_versions",
        ["policy_name"],
        unique=True,
        postgresql_where=sa.text("state = 'champion'"),
    )
    op.create_table(
        "picks",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("share", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "inclusion_probability IS NULL OR (inclusion_probability > 0 AND inclusion_probability <= 1)",
            name=op.f("ck_picks_inclusion_probability"),
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.batch_id"], name=op.f("fk_picks_batch_id")),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name=op.f("fk_picks_item_id")),
        sa.PrimaryKeyConstraint("batch_id", "item_id", name=op.f("pk_picks")),
    )
    op.create_table(
        "pushes",
        sa.Column("push_id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column(
            "intended_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["labelling_projects.project_id"], name=op.f("fk_pushes_project_id")
        ),
        sa.PrimaryKeyConstraint("push_id", name=op.f("pk_pushes")),
    )
    op.create_table(
        "entries",
        sa.Column("entry_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("priority", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("votes_wanted", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'dispatched', 'adjudicating', 'done', 'withdrawn', 'dead')",
            name=op.f("ck_entries_state"),
        ),
        sa.CheckConstraint("votes_wanted BETWEEN 1 AND 9", name=op.f("ck_entries_votes_wanted")),
        sa.ForeignKeyConstraint(
            ["batch_id", "item_id"],
            ["picks.batch_id", "picks.item_id"],
            name=op.f("fk_entries_batch_id_item_id"),
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_entries_policy_id")
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_entries")),
        sa.UniqueConstraint("batch_id", "item_id", name=op.f("uq_entries_batch_id_item_id")),
    )
    op.create_index(
        "ix_entries_waiting",
        "entries",
        [sa.literal_column("priority DESC"), "entry_id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "uq_entries_one_open_an_item",
        "entries",
        ["item_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('waiting', 'dispatched', 'adjudicating')"),
    )
    op.create_table(
        "evaluations",
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("slice_name", sa.Text(), nullable=False),
        sa.Column("slice_value", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_positive", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(value IS NULL) = (code IS NOT NULL)", name=op.f("ck_evaluations_value_or_code")
        ),
        sa.ForeignKeyConstraint(
            ["model_version"],
            ["model_versions.model_version"],
            name=op.f("fk_evaluations_model_version"),
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_evaluations_snapshot_id")
        ),
        sa.PrimaryKeyConstraint(
            "model_version",
            "snapshot_id",
            "metric",
            "category",
            "slice_name",
            "slice_value",
            name=op.f("pk_evaluations"),
        ),
    )
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("challenger", sa.Text(), nullable=False),
        sa.Column("champion", sa.Text(), nullable=True),
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("recipe_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(), nullable=False),
        sa.Column(
            "judged_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["challenger"], ["model_versions.model_version"], name=op.f("fk_verdicts_challenger")
        ),
        sa.ForeignKeyConstraint(
            ["champion"], ["model_versions.model_version"], name=op.f("fk_verdicts_champion")
        ),
        sa.ForeignKeyConstraint(
            ["recipe_id"], ["recipes.recipe_id"], name=op.f("fk_verdicts_recipe_id")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_verdicts_snapshot_id")
        ),
        sa.PrimaryKeyConstraint("verdict_id", name=op.f("pk_verdicts")),
        sa.UniqueConstraint(
            "challenger",
            "champion",
            "snapshot_id",
            "recipe_id",
            name=op.f("uq_verdicts_challenger_champion_snapshot_id_recipe_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "annotations",
        sa.Column("unique_id", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=False),
        sa.Column("lead_seconds", sa.Double(), nullable=True),
        sa.Column(
            "collected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "kind IN ('submitted', 'skipped', 'deleted')", name=op.f("ck_annotations_kind")
        ),
        sa.CheckConstraint(
            "stage IN ('review', 'adjudication')", name=op.f("ck_annotations_stage")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.entry_id"], name=op.f("fk_annotations_entry_id")
        ),
        sa.PrimaryKeyConstraint("unique_id", "updated_at", name=op.f("pk_annotations")),
    )
    op.create_index(op.f("ix_annotations_entry_id"), "annotations", ["entry_id"], unique=False)
    op.create_index(
        "ix_annotations_project_id_task_id", "annotations", ["project_id", "task_id"], unique=False
    )
    op.create_table(
        "entry_events",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column(
            "happened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.entry_id"], name=op.f("fk_entry_events_entry_id")
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_entry_events")),
    )
    op.create_index(op.f("ix_entry_events_entry_id"), "entry_events", ["entry_id"], unique=False)
    op.create_table(
        "labels",
        sa.Column("label_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("value", sa.Boolean(), nullable=True),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("votes_for", sa.SmallInteger(), nullable=False),
        sa.Column("votes_total", sa.SmallInteger(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column(
            "resolved_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("weight >= 0", name=op.f("ck_labels_weight")),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.entry_id"], name=op.f("fk_labels_entry_id")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name=op.f("fk_labels_item_id")),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.policy_id"], name=op.f("fk_labels_policy_id")
        ),
        sa.PrimaryKeyConstraint("label_id", name=op.f("pk_labels")),
        sa.UniqueConstraint(
            "entry_id", "category", "revision", name=op.f("uq_labels_entry_id_category_revision")
        ),
    )
    op.create_index(op.f("ix_labels_item_id"), "labels", ["item_id"], unique=False)
    op.create_table(
        "promotions",
        sa.Column("promotion_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("policy_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("verdict_id", sa.BigInteger(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "promoted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('promotion', 'rollback')", name=op.f("ck_promotions_kind")),
        sa.ForeignKeyConstraint(
            ["model_version"],
            ["model_versions.model_version"],
            name=op.f("fk_promotions_model_version"),
        ),
        sa.ForeignKeyConstraint(
            ["previous"], ["model_versions.model_version"], name=op.f("fk_promotions_previous")
        ),
        sa.ForeignKeyConstraint(
            ["verdict_id"], ["verdicts.verdict_id"], name=op.f("fk_promotions_verdict_id")
        ),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f("pk_promotions")),
    )
    op.create_table(
        "tasks",
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("push_id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("stage IN ('review', 'adjudication')", name=op.f("ck_tasks_stage")),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.entry_id"], name=op.f("fk_tasks_entry_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["labelling_projects.project_id"], name=op.f("fk_tasks_project_id")
        ),
        sa.ForeignKeyConstraint(["push_id"], ["pushes.push_id"], name=op.f("fk_tasks_push_id")),
        sa.PrimaryKeyConstraint("entry_id", "stage", name=op.f("pk_tasks")),
        sa.UniqueConstraint("project_id", "task_id", name=op.f("uq_tasks_project_id_task_id")),
    )
    op.create_index(op.f("ix_tasks_push_id"), "tasks", ["push_id"], unique=False)
    op.create_table(
        "annotation_rejects",
        sa.Column("unique_id", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["unique_id", "updated_at"],
            ["annotations.unique_id", "annotations.updated_at"],
            name=op.f("fk_annotation_rejects_unique_id_updated_at"),
        ),
        sa.PrimaryKeyConstraint("unique_id", "updated_at", name=op.f("pk_annotation_rejects")),
    )
    op.create_table(
        "votes",
        sa.Column("unique_id", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("answers", postgresql.JSONB(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.entry_id"], name=op.f("fk_votes_entry_id")),
        sa.ForeignKeyConstraint(
            ["unique_id", "updated_at"],
            ["annotations.unique_id", "annotations.updated_at"],
            name=op.f("fk_votes_unique_id_updated_at"),
        ),
        sa.PrimaryKeyConstraint("unique_id", "updated_at", name=op.f("pk_votes")),
    )
    op.create_index(op.f("ix_votes_entry_id"), "votes", ["entry_id"], unique=False)
    for statement in _SQL.read_text(encoding="utf-8").split("\n-- next --\n"):
        op.execute(sa.text(statement))


def downgrade() -> None:
    op.execute("DROP SCHEMA dashboard CASCADE")
    for view in (
        "examples",
        "related_policies",
        "labels_by_policy",
        "current_labels",
        "current_votes",
    ):
        op.execute(f"DROP VIEW {view}")
    for table in [
        "votes",
        "annotation_rejects",
        "tasks",
        "promotions",
        "labels",
        "entry_events",
        "annotations",
        "verdicts",
        "evaluations",
        "entries",
        "pushes",
        "picks",
        "model_versions",
        "collect_cursors",
        "snapshots",
        "policy_categories",
        "measurements",
        "labelling_projects",
        "decisions",
        "batches",
        "rejects",
        "recipes",
        "policies",
        "items",
        "entry_moves",
        "conflicts",
    ]:
        op.drop_table(table)
    for function in ("check_entry_move", "log_entry_move", "refuse_change"):
        op.execute(f"DROP FUNCTION {function}()")
