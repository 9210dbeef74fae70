"""The newest decision of each model is kept at hand: no dashboard reads them all for it."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE newest_decisions (
    model_version TEXT NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_newest_decisions PRIMARY KEY (model_version)
)
"""
_FILL = """
INSERT INTO newest_decisions SELECT model_version, max(decided_at) FROM decisions GROUP BY 1
"""
# Columns of a view may only be added by replacing it; this changes none.
_LAG = """
CREATE OR REPLACE VIEW dashboard.loop_lag AS SELECT p.policy_id,
       (SELECT max(decided_at) FROM {table}) AS newest_decision,
       (SELECT max(created_at) FROM batches b WHERE b.policy_id = p.policy_id) AS newest_batch,
       (SELECT max(resolved_at) FROM labels l WHERE l.policy_id = p.policy_id) AS newest_label,
       (SELECT max(created_at) FROM snapshots s WHERE s.policy_id = p.policy_id)
           AS newest_snapshot,
       (SELECT max(promoted_at) FROM promotions m WHERE m.policy_name = p.name)
           AS newest_promotion,
       (SELECT count(DISTINCT l.entry_id) FROM labels_by_policy l
        WHERE l.for_policy_id = p.policy_id AND l.label_id > coalesce(
            (SELECT max(last_label_id) FROM snapshots s
             WHERE s.policy_id = p.policy_id), 0)) AS entries_since_snapshot
FROM policies p
"""


def upgrade() -> None:
    op.execute(_TABLE)
    op.execute(_FILL)
    op.execute(_LAG.format(table="newest_decisions"))


def downgrade() -> None:
    op.execute(_LAG.format(table="decisions"))
    op.execute("DROP TABLE newest_decisions")
