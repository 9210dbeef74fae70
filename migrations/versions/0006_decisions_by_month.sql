DROP VIEW dashboard.loop_lag
-- next --
ALTER TABLE decisions RENAME TO decisions_before
-- next --
ALTER INDEX pk_decisions RENAME TO pk_decisions_before
-- next --
CREATE TABLE decisions (
	item_id TEXT NOT NULL, 
	model_version TEXT NOT NULL, 
	decided_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	action TEXT, 
	probabilities JSONB NOT NULL, 
	is_shadow BOOLEAN DEFAULT false NOT NULL, 
	ingested_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL, 
	CONSTRAINT pk_decisions PRIMARY KEY (item_id, decided_at, model_version), 
	CONSTRAINT ck_decisions_action CHECK (action IS NULL OR action IN ('allow', 'review', 'block'))
)
 PARTITION BY RANGE (decided_at)
-- next --
CREATE INDEX ix_decisions_shadow ON decisions (decided_at) WHERE is_shadow
-- next --
CREATE TABLE retentions (
	month DATE NOT NULL, 
	kept_from TIMESTAMP WITH TIME ZONE NOT NULL, 
	dropped BIGINT NOT NULL, 
	kept BIGINT NOT NULL, 
	done_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL, 
	CONSTRAINT pk_retentions PRIMARY KEY (month)
)
-- next --
CREATE TABLE intake_chunks (
	source TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	chunk INTEGER NOT NULL, 
	begun_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	line BIGINT NOT NULL, 
	rows BIGINT NOT NULL, 
	report JSONB NOT NULL, 
	is_last BOOLEAN NOT NULL, 
	CONSTRAINT pk_intake_chunks PRIMARY KEY (source, kind, fingerprint, chunk)
)
-- next --
CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON decisions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER retentions_append_only BEFORE UPDATE OR DELETE ON retentions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER retentions_never_emptied BEFORE TRUNCATE ON retentions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE SCHEMA months
-- next --
CREATE TABLE months.decisions_other PARTITION OF decisions DEFAULT
-- next --
CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON months.decisions_other FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE FUNCTION make_decision_month(month date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name text := 'decisions_' || to_char(month, 'YYYY_MM');
    first timestamptz := month::timestamp AT TIME ZONE 'UTC';
    following timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('hitl decision months', 0));
    -- to_regclass would answer from before the lock was ours.
    IF EXISTS (SELECT FROM pg_tables WHERE schemaname = 'months' AND tablename = name) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE months.%I '
        '(LIKE decisions INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', name);
    LOCK TABLE months.decisions_other IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (
        SELECT 1 FROM months.decisions_other WHERE decided_at >= first AND decided_at < following
    ) THEN
        -- A clock ran ahead; now the month is there. The rows move, and none is changed.
        ALTER TABLE months.decisions_other DISABLE TRIGGER decisions_append_only;
        EXECUTE format('WITH moved AS (DELETE FROM months.decisions_other '
            'WHERE decided_at >= $1 AND decided_at < $2 RETURNING *) '
            'INSERT INTO months.%I SELECT * FROM moved', name) USING first, following;
        ALTER TABLE months.decisions_other ENABLE TRIGGER decisions_append_only;
    END IF;
    EXECUTE format('ALTER TABLE decisions ATTACH PARTITION months.%I FOR VALUES FROM (%L) TO (%L)',
        name, first, following);
    EXECUTE format('CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON months.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
    RETURN true;
END $$
-- next --
SELECT make_decision_month(CAST(month AS date)) FROM (
    SELECT DISTINCT date_trunc('month', decided_at AT TIME ZONE 'UTC') AS month FROM decisions_before
) held
WHERE month >= now() - interval '10 years' AND month <= now() + interval '1 month'
ORDER BY month
-- next --
INSERT INTO decisions (item_id, model_version, decided_at, action, probabilities, ingested_at)
SELECT item_id, model_version, decided_at, action, probabilities, ingested_at
FROM decisions_before ORDER BY decision_id
-- next --
-- A model says up to which decision it learned: by its number before, by its moment now.
ALTER TABLE model_versions DISABLE TRIGGER model_versions_append_only
-- next --
UPDATE model_versions m SET metrics = jsonb_set(metrics, '{decisions_upto}', to_jsonb((
    SELECT to_char(coalesce(max(ingested_at), 'epoch') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
    FROM decisions_before WHERE decision_id <= CAST(m.metrics ->> 'decisions_upto' AS bigint))))
WHERE jsonb_typeof(metrics -> 'decisions_upto') = 'number'
-- next --
ALTER TABLE model_versions ENABLE TRIGGER model_versions_append_only
-- next --
DROP TABLE decisions_before
-- next --
CREATE VIEW dashboard.loop_lag AS SELECT p.policy_id,
               (SELECT max(decided_at) FROM decisions) AS newest_decision,
               (SELECT max(created_at) FROM batches b WHERE b.policy_id = p.policy_id)
                   AS newest_batch,
               (SELECT max(resolved_at) FROM labels l WHERE l.policy_id = p.policy_id)
                   AS newest_label,
               (SELECT max(created_at) FROM snapshots s WHERE s.policy_id = p.policy_id)
                   AS newest_snapshot,
               (SELECT max(promoted_at) FROM promotions m WHERE m.policy_name = p.name)
                   AS newest_promotion,
               (SELECT count(DISTINCT l.entry_id) FROM labels_by_policy l
                WHERE l.for_policy_id = p.policy_id AND l.label_id > coalesce(
                    (SELECT max(last_label_id) FROM snapshots s
                     WHERE s.policy_id = p.policy_id), 0)) AS entries_since_snapshot
        FROM policies p
-- next --
CREATE VIEW dashboard.shadow_comparison AS SELECT date_trunc('day', s.decided_at, 'UTC') AS day, s.model_version AS shadow_model,
               p.model_version AS production_model, said.key AS category,
               count(*) AS decisions,
               count(*) FILTER (WHERE s.action IS NOT NULL AND p.action IS NOT NULL)
                   AS actions_compared,
               avg((s.action = p.action)::int)::float8 AS action_agreement,
               count(d.difference) AS scores_compared,
               avg(d.difference)::float8 AS mean_difference,
               avg(abs(d.difference))::float8 AS mean_absolute_difference,
               max(abs(d.difference))::float8 AS largest_difference
        FROM decisions s
        JOIN LATERAL (
            SELECT * FROM decisions o WHERE o.item_id = s.item_id AND NOT o.is_shadow
            ORDER BY o.decided_at DESC, o.model_version DESC LIMIT 1
        ) p ON true
        CROSS JOIN LATERAL jsonb_each(s.probabilities) said
        CROSS JOIN LATERAL (
            SELECT said.value::float8 - (p.probabilities ->> said.key)::float8 AS difference
        ) d
        WHERE s.is_shadow
        GROUP BY date_trunc('day', s.decided_at, 'UTC'), s.model_version, p.model_version, said.key
-- next --
GRANT SELECT ON dashboard.loop_lag, dashboard.shadow_comparison TO hitl_dashboard
