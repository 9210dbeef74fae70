"""Near copies: forms of items, the pivot that stands for each, and the buckets where they meet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TWIN_CLUSTERS = """
        SELECT s.name AS scheme, coalesce(sum(c.items), 0)::bigint AS items,
               coalesce(sum(c.forms), 0)::bigint AS forms, count(c.pivot_id) AS clusters,
               count(*) FILTER (WHERE c.items > 1) AS shared,
               coalesce(max(c.items), 0) AS largest
        FROM twin_schemes s
        LEFT JOIN (
            SELECT f.scheme_id, f.pivot_id, count(*) AS items,
                   count(DISTINCT f.form_id) AS forms
            FROM twin_items t JOIN twin_forms f USING (form_id) GROUP BY f.scheme_id, f.pivot_id
        ) c USING (scheme_id)
        GROUP BY s.name
"""


def upgrade() -> None:
    op.create_table(
        "twin_buckets",
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("is_pivot", sa.Boolean(), nullable=False),
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "is_pivot", "form_id", name=op.f("pk_twin_buckets")),
    )
    op.create_table(
        "twin_schemes",
        sa.Column("scheme_id", sa.SmallInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("scheme_id", name=op.f("pk_twin_schemes")),
        sa.UniqueConstraint("name", name=op.f("uq_twin_schemes_name")),
    )
    op.create_table(
        "twin_forms",
        sa.Column("form_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("scheme_id", sa.SmallInteger(), nullable=False),
        sa.Column("pivot_id", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["scheme_id"], ["twin_schemes.scheme_id"], name=op.f("fk_twin_forms_scheme_id")
        ),
        sa.PrimaryKeyConstraint("form_id", name=op.f("pk_twin_forms")),
    )
    op.create_index(op.f("ix_twin_forms_pivot_id"), "twin_forms", ["pivot_id"], unique=False)
    op.create_table(
        "twin_items",
        sa.Column("scheme_id", sa.SmallInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("form_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["form_id"], ["twin_forms.form_id"], name=op.f("fk_twin_items_form_id")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name=op.f("fk_twin_items_item_id")),
        sa.ForeignKeyConstraint(
            ["scheme_id"], ["twin_schemes.scheme_id"], name=op.f("fk_twin_items_scheme_id")
        ),
        sa.PrimaryKeyConstraint("scheme_id", "item_id", name=op.f("pk_twin_items")),
    )
    op.create_index(op.f("ix_twin_items_form_id"), "twin_items", ["form_id"], unique=False)
    op.execute(f"CREATE VIEW dashboard.twin_clusters AS {_TWIN_CLUSTERS}")
    op.execute("GRANT SELECT ON dashboard.twin_clusters TO hitl_dashboard")


def downgrade() -> None:
    op.execute("DROP VIEW dashboard.twin_clusters")
    for table in ("twin_items", "twin_forms", "twin_schemes", "twin_buckets"):
        op.drop_table(table)
