DROP VIEW dashboard.shadow_comparison
-- next --
DROP VIEW dashboard.loop_lag
-- next --
ALTER TABLE decisions RENAME TO decisions_after
-- next --
ALTER INDEX pk_decisions RENAME TO pk_decisions_after
-- next --
CREATE TABLE decisions (
    decision_id bigint GENERATED ALWAYS AS IDENTITY,
    item_id text NOT NULL,
    model_version text NOT NULL,
    decided_at timestamptz NOT NULL,
    action text,
    probabilities jsonb NOT NULL,
    payload_hash text NOT NULL,
    ingested_at timestamptz DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT ck_decisions_action
        CHECK (action IS NULL OR action IN ('allow', 'review', 'block')),
    CONSTRAINT fk_decisions_item_id FOREIGN KEY (item_id) REFERENCES items (item_id),
    CONSTRAINT pk_decisions PRIMARY KEY (decision_id),
    CONSTRAINT uq_decisions_item_id_model_version_decided_at
        UNIQUE (item_id, model_version, decided_at)
)
-- next --
-- A shadow's decisions stay out: this schema would take them for what was acted on.
INSERT INTO decisions
    (item_id, model_version, decided_at, action, probabilities, payload_hash, ingested_at)
SELECT item_id, model_version, decided_at, action, probabilities,
       encode(sha256(convert_to(coalesce(action, '') || ' {' || coalesce((
           SELECT string_agg(to_json(key)::text || ': ' || value::text
                             || CASE WHEN value::text ~ '[.]' THEN '' ELSE '.0' END,
                             ', ' ORDER BY key COLLATE "C")
           FROM jsonb_each(probabilities)), '') || '}', 'UTF8')), 'hex'),
       ingested_at
FROM decisions_after WHERE NOT is_shadow ORDER BY ingested_at, item_id, decided_at
-- next --
ALTER TABLE model_versions DISABLE TRIGGER model_versions_append_only
-- next --
UPDATE model_versions m SET metrics = jsonb_set(metrics, '{decisions_upto}', to_jsonb((
    SELECT coalesce(max(decision_id), 0) FROM decisions
    WHERE ingested_at <= CAST(m.metrics ->> 'decisions_upto' AS timestamptz))))
WHERE jsonb_typeof(metrics -> 'decisions_upto') = 'string'
-- next --
ALTER TABLE model_versions ENABLE TRIGGER model_versions_append_only
-- next --
DROP TABLE decisions_after
-- next --
DROP FUNCTION make_decision_month(date)
-- next --
DROP SCHEMA months
-- next --
DROP TABLE retentions
-- next --
DROP TABLE intake_chunks
-- next --
CREATE TRIGGER decisions_append_only BEFORE UPDATE OR DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER decisions_never_emptied BEFORE TRUNCATE ON decisions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
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
GRANT SELECT ON dashboard.loop_lag TO hitl_dashboard
