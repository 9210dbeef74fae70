"""Backlogs: fixed populations, the looks at what nobody reviewed of them, and what these show."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE backlogs (
    backlog_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    category TEXT NOT NULL,
    at_least DOUBLE PRECISION NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,
    rule JSONB NOT NULL,
    items BIGINT NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_backlogs PRIMARY KEY (backlog_id),
    CONSTRAINT uq_backlogs_name UNIQUE (name),
    CONSTRAINT ck_backlogs_at_least CHECK (at_least > 0 AND at_least < 1),
    CONSTRAINT ck_backlogs_confidence CHECK (confidence > 0 AND confidence < 1),
    CONSTRAINT fk_backlogs_policy_id FOREIGN KEY (policy_id) REFERENCES policies (policy_id)
);
CREATE TABLE backlog_items (
    backlog_id INTEGER NOT NULL,
    item_id TEXT NOT NULL,
    CONSTRAINT pk_backlog_items PRIMARY KEY (backlog_id, item_id)
);
CREATE TABLE backlog_looks (
    backlog_id INTEGER NOT NULL,
    look INTEGER NOT NULL,
    seed BIGINT NOT NULL,
    upto_label_id BIGINT NOT NULL,
    unreviewed BIGINT NOT NULL,
    found_before BIGINT NOT NULL,
    drawn INTEGER NOT NULL,
    alpha DOUBLE PRECISION NOT NULL,
    drawn_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    violating_in_draw INTEGER,
    lost INTEGER,
    found_since BIGINT,
    found BIGINT,
    missed_at_most BIGINT,
    recall_at_least DOUBLE PRECISION,
    is_certified BOOLEAN,
    certified_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_backlog_looks PRIMARY KEY (backlog_id, look),
    CONSTRAINT ck_backlog_looks_drawn CHECK (drawn BETWEEN 0 AND unreviewed),
    CONSTRAINT ck_backlog_looks_whole_result CHECK
        (num_nulls(violating_in_draw, lost, found_since, found, missed_at_most, recall_at_least,
         is_certified, certified_at) IN (0, 8)),
    CONSTRAINT fk_backlog_looks_backlog_id FOREIGN KEY (backlog_id)
        REFERENCES backlogs (backlog_id)
);
CREATE UNIQUE INDEX uq_backlog_looks_one_open ON backlog_looks (backlog_id)
    WHERE certified_at IS NULL;
CREATE TABLE backlog_draws (
    backlog_id INTEGER NOT NULL,
    look INTEGER NOT NULL,
    item_id TEXT NOT NULL,
    rank INTEGER NOT NULL,
    CONSTRAINT pk_backlog_draws PRIMARY KEY (backlog_id, look, item_id),
    CONSTRAINT fk_backlog_draws_backlog_id_look FOREIGN KEY (backlog_id, look)
        REFERENCES backlog_looks (backlog_id, look)
)
"""
_NEVER = "backlogs", "backlog_items", "backlog_draws"
_KEPT = (
    "backlog_id", "look", "seed", "upto_label_id", "unreviewed", "found_before", "drawn", "alpha",
    "drawn_at",
)  # fmt: skip
_ONCE = (
    "violating_in_draw", "lost", "found_since", "found", "missed_at_most", "recall_at_least",
    "is_certified", "certified_at",
)  # fmt: skip
_VIEW = """
        SELECT b.name AS backlog, b.policy_id, b.category, b.at_least, b.confidence, b.items,
               b.opened_at, l.look, l.alpha, l.drawn_at, l.unreviewed, l.drawn, l.found_before,
               l.violating_in_draw, l.lost, l.found_since, l.found, l.missed_at_most,
               l.recall_at_least, l.is_certified, l.certified_at
        FROM backlogs b LEFT JOIN backlog_looks l USING (backlog_id)
    """
_EXAMPLES = """
CREATE OR REPLACE VIEW examples AS
SELECT DISTINCT ON (item_id, policy_id) * FROM (
    SELECT l.item_id, l.for_policy_id AS policy_id, l.entry_id, e.batch_id,
           i.text, i.language, i.surface,
           coalesce(i.group_id, i.content_hash, i.item_id) AS group_id,
           jsonb_object_agg(l.category, l.value ORDER BY l.category) AS labels,
           min(l.weight) AS example_weight,
           p.inclusion_probability, p.share, p.strategy,
           max(l.label_id) AS last_label_id
    FROM labels_by_policy l
    JOIN entries e USING (entry_id)
    JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
    JOIN items i ON i.item_id = l.item_id
    WHERE i.text IS NOT NULL
    GROUP BY l.item_id, l.for_policy_id, l.entry_id, e.batch_id, i.text, i.language,
             i.surface, i.group_id, i.content_hash, i.item_id,
             p.inclusion_probability, p.share, p.strategy
) every ORDER BY item_id, policy_id, {first} entry_id DESC
"""


def _triggers() -> list[str]:
    made = [
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        for table in _NEVER
    ]
    once = ", ".join(f"'{name}'" for name in _ONCE)
    old, new = (", ".join(f"{row}.{name}" for name in _KEPT) for row in ("OLD", "NEW"))
    made += [
        "CREATE TRIGGER backlog_looks_append_only BEFORE UPDATE ON backlog_looks FOR EACH ROW "
        f"WHEN (({old}) IS DISTINCT FROM ({new})) "
        f"EXECUTE FUNCTION refuse_change({once})",
        "CREATE TRIGGER backlog_looks_never_deleted BEFORE DELETE ON backlog_looks "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    ]
    made += [
        f"CREATE TRIGGER {table}_never_emptied BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        for table in (*_NEVER, "backlog_looks")
    ]
    return made


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        op.execute(statement)
    for trigger in _triggers():
        op.execute(trigger)
    op.execute(_EXAMPLES.format(first="share = 'elusion_apart',"))
    op.execute(f"CREATE VIEW dashboard.backlog_certificates AS {_VIEW}")
    op.execute("GRANT SELECT ON dashboard.backlog_certificates TO hitl_dashboard")


def downgrade() -> None:
    op.execute("DROP VIEW dashboard.backlog_certificates")
    op.execute(_EXAMPLES.format(first=""))
    for table in ("backlog_draws", "backlog_looks", "backlog_items", "backlogs"):
        op.drop_table(table)
