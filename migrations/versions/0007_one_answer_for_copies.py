"""Picks stand for near copies that were drawn with them, and these are written down."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "picks",
        sa.Column("stands_for", sa.Integer(), server_default=sa.text("1"), nullable=False),
    )
    op.create_check_constraint(op.f("ck_picks_stands_for"), "picks", "stands_for >= 1")
    op.create_table(
        "stood_aside",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("for_item_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id", "for_item_id"],
            ["picks.batch_id", "picks.item_id"],
            name=op.f("fk_stood_aside_batch_id_for_item_id"),
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.item_id"], name=op.f("fk_stood_aside_item_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "item_id", name=op.f("pk_stood_aside")),
    )
    op.create_index(op.f("ix_stood_aside_item_id"), "stood_aside", ["item_id"], unique=False)
    op.execute(
        "CREATE TRIGGER stood_aside_append_only BEFORE UPDATE OR DELETE ON stood_aside "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER stood_aside_never_emptied BEFORE TRUNCATE ON stood_aside "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("stood_aside")
    op.drop_column("picks", "stands_for")
