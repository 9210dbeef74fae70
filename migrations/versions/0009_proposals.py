"""Proposals: a reviewed item's labels, offered to its near copies, some of them to be checked."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_PROPOSAL_ANSWERS = """
        SELECT o.item_id, o.entry_id, l.for_policy_id AS policy_id, l.category,
               l.value AS offered, l.weight, l.label_id, own.value AS found
        FROM proposals o
        JOIN labels_by_policy l USING (entry_id)
        LEFT JOIN LATERAL (
            SELECT x.value FROM labels_by_policy x
            WHERE x.item_id = o.item_id AND x.for_policy_id = l.for_policy_id
              AND x.category = l.category
            ORDER BY x.entry_id DESC LIMIT 1
        ) own ON true
    """
_CHECKED_PROPOSALS = """
        SELECT o.item_id, o.entry_id, a.policy_id, o.is_audited,
               bool_or(a.found IS NOT NULL) AS is_answered,
               coalesce(bool_or(a.found <> a.offered), false) AS is_wrong
        FROM proposals o JOIN proposal_answers a USING (item_id, entry_id)
        GROUP BY o.item_id, o.entry_id, a.policy_id, o.is_audited
    """
_PROPOSALS = """
        SELECT policy_id, count(*) AS offers, count(*) FILTER (WHERE is_audited) AS audited,
               count(*) FILTER (WHERE is_audited AND is_answered) AS answered,
               count(*) FILTER (WHERE is_audited AND is_answered AND is_wrong) AS wrong
        FROM checked_proposals GROUP BY policy_id
    """


def upgrade() -> None:
    op.create_table(
        "proposals",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("audit_probability", sa.Double(), nullable=False),
        sa.Column("is_audited", sa.Boolean(), nullable=False),
        sa.Column(
            "offered_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("similarity BETWEEN 0 AND 1", name=op.f("ck_proposals_similarity")),
        sa.CheckConstraint(
            "audit_probability > 0 AND audit_probability <= 1",
            name=op.f("ck_proposals_audit_probability"),
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["entries.entry_id"], name=op.f("fk_proposals_entry_id")
        ),
        sa.ForeignKeyConstraint(["item_id"], ["items.item_id"], name=op.f("fk_proposals_item_id")),
        sa.PrimaryKeyConstraint("item_id", "entry_id", name=op.f("pk_proposals")),
    )
    op.create_index(op.f("ix_proposals_entry_id"), "proposals", ["entry_id"], unique=False)
    op.execute(
        "CREATE TRIGGER proposals_append_only BEFORE UPDATE OR DELETE ON proposals "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER proposals_never_emptied BEFORE TRUNCATE ON proposals "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"CREATE VIEW proposal_answers AS {_PROPOSAL_ANSWERS}")
    op.execute(f"CREATE VIEW checked_proposals AS {_CHECKED_PROPOSALS}")
    op.execute(f"CREATE VIEW dashboard.proposals AS {_PROPOSALS}")
    op.execute("GRANT SELECT ON dashboard.proposals TO hitl_dashboard")


def downgrade() -> None:
    op.execute("DROP VIEW dashboard.proposals")
    op.execute("DROP VIEW checked_proposals")
    op.execute("DROP VIEW proposal_answers")
    op.drop_table("proposals")
