"""Certificates: from which score on a model may decide without a person, and until when."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE certificates (
    certificate_id BIGINT GENERATED ALWAYS AS IDENTITY,
    policy_id TEXT NOT NULL,
    model_version TEXT NOT NULL,
    category TEXT NOT NULL,
    slice_name TEXT NOT NULL,
    slice_value TEXT NOT NULL,
    metric TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    at_least DOUBLE PRECISION NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,
    threshold DOUBLE PRECISION,
    n INTEGER NOT NULL,
    n_errors INTEGER NOT NULL,
    shortfall TEXT,
    more_labels INTEGER,
    issued_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    withdrawn_why TEXT,
    CONSTRAINT pk_certificates PRIMARY KEY (certificate_id),
    CONSTRAINT uq_certificates_attempt UNIQUE
        (policy_id, model_version, category, slice_name, slice_value, metric, attempt),
    CONSTRAINT ck_certificates_metric CHECK (metric IN ('precision', 'recall')),
    CONSTRAINT ck_certificates_threshold_or_shortfall
        CHECK ((threshold IS NULL) = (shortfall IS NOT NULL)),
    CONSTRAINT ck_certificates_withdrawn_with_why
        CHECK ((withdrawn_at IS NULL) = (withdrawn_why IS NULL)),
    CONSTRAINT fk_certificates_policy_id FOREIGN KEY (policy_id) REFERENCES policies (policy_id),
    CONSTRAINT fk_certificates_model_version
        FOREIGN KEY (model_version) REFERENCES model_versions (model_version)
)
"""
_KEPT = (
    "certificate_id", "policy_id", "model_version", "category", "slice_name", "slice_value",
    "metric", "attempt", "evidence", "at_least", "confidence", "threshold", "n", "n_errors",
    "shortfall", "more_labels", "issued_at", "expires_at",
)  # fmt: skip
_TRIGGERS = (
    "CREATE TRIGGER certificates_append_only BEFORE UPDATE ON certificates FOR EACH ROW WHEN "
    f"(({', '.join(f'OLD.{one}' for one in _KEPT)}) IS DISTINCT FROM "
    f"({', '.join(f'NEW.{one}' for one in _KEPT)})) "
    "EXECUTE FUNCTION refuse_change('withdrawn_at', 'withdrawn_why')",
    "CREATE TRIGGER certificates_never_deleted BEFORE DELETE ON certificates "
    "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER certificates_never_emptied BEFORE TRUNCATE ON certificates "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
)
_VIEW = """
        SELECT certificate_id, policy_id, model_version, category, slice_name, slice_value, metric,
               attempt, at_least, confidence, threshold, n, n_errors, shortfall, more_labels,
               issued_at, expires_at, withdrawn_at, withdrawn_why,
               threshold IS NOT NULL AND withdrawn_at IS NULL AND expires_at > now() AS stands
        FROM certificates
    """


def upgrade() -> None:
    op.execute(_TABLE)
    op.create_index("ix_certificates_model_version", "certificates", ["model_version"])
    for trigger in _TRIGGERS:
        op.execute(trigger)
    op.execute(f"CREATE VIEW dashboard.certificates AS {_VIEW}")
    op.execute("GRANT SELECT ON dashboard.certificates TO hitl_dashboard")


def downgrade() -> None:
    op.execute("DROP VIEW dashboard.certificates")
    op.drop_table("certificates")
