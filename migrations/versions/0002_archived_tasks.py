"""Finished tasks can be taken out of Label Studio."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_tasks_not_archived",
        "tasks",
        ["project_id", "task_id"],
        unique=False,
        postgresql_where=sa.text("archived_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_tasks_not_archived", table_name="tasks")
    op.drop_column("tasks", "archived_at")
