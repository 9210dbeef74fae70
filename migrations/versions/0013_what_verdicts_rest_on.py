"""What a verdict rests on beside its snapshot is part of its key; verdicts for dashboards."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_KEY = "challenger, champion, snapshot_id, recipe_id"
_OLD = "uq_verdicts_challenger_champion_snapshot_id_recipe_id"
_NEW = "uq_verdicts_challenger_champion_snapshot_id_recipe_id_evidence"
_VIEW = """
        SELECT v.verdict_id, m.policy_name, v.challenger, v.champion, v.decision, v.judged_at,
               v.snapshot_id, v.recipe_id, v.reasons -> 0 ->> 'words' AS decided_by, v.reasons,
               p.promoted_at, p.approved_by, p.note,
               p.promoted_at IS NOT NULL AND v.decision <> 'promote' AS is_forced
        FROM verdicts v
        JOIN model_versions m ON m.model_version = v.challenger
        LEFT JOIN promotions p ON p.verdict_id = v.verdict_id
    """
# Of the same question once more: the one that was acted on, else the newest.
_TOLD_TWICE = f"""
    DELETE FROM verdicts WHERE verdict_id IN (
        SELECT verdict_id FROM (
            SELECT v.verdict_id, row_number() OVER (
                PARTITION BY {", ".join(f"v.{one}" for one in _KEY.split(", "))}
                ORDER BY (p.verdict_id IS NOT NULL) DESC, v.verdict_id DESC) AS place
            FROM verdicts v LEFT JOIN promotions p USING (verdict_id)
        ) ranked WHERE place > 1)
"""


def upgrade() -> None:
    op.execute("ALTER TABLE verdicts ADD COLUMN evidence TEXT DEFAULT '' NOT NULL")
    op.execute(f"ALTER TABLE verdicts DROP CONSTRAINT {_OLD}")
    op.execute(
        f"ALTER TABLE verdicts ADD CONSTRAINT {_NEW} UNIQUE NULLS NOT DISTINCT ({_KEY}, evidence)"
    )
    op.execute(f"CREATE VIEW dashboard.verdicts AS {_VIEW}")
    op.execute("GRANT SELECT ON dashboard.verdicts TO hitl_dashboard")


def downgrade() -> None:
    op.execute("DROP VIEW dashboard.verdicts")
    op.execute(f"ALTER TABLE verdicts DROP CONSTRAINT {_NEW}")
    op.execute("ALTER TABLE verdicts DISABLE TRIGGER verdicts_append_only")
    op.execute(_TOLD_TWICE)
    op.execute("ALTER TABLE verdicts ENABLE TRIGGER verdicts_append_only")
    op.execute("ALTER TABLE verdicts DROP COLUMN evidence")
    op.execute(f"ALTER TABLE verdicts ADD CONSTRAINT {_OLD} UNIQUE NULLS NOT DISTINCT ({_KEY})")
