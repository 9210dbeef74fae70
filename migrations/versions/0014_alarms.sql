CREATE TABLE alarms (
    alarm_id BIGINT GENERATED ALWAYS AS IDENTITY,
    policy_id TEXT NOT NULL,
    model_version TEXT NOT NULL,
    kind TEXT NOT NULL,
    category TEXT NOT NULL,
    slice_name TEXT NOT NULL,
    slice_value TEXT NOT NULL,
    metric TEXT NOT NULL,
    statistic DOUBLE PRECISION NOT NULL,
    bar DOUBLE PRECISION NOT NULL,
    p_value DOUBLE PRECISION,
    level DOUBLE PRECISION,
    evidence DOUBLE PRECISION,
    effect DOUBLE PRECISION NOT NULL,
    effect_low DOUBLE PRECISION,
    effect_high DOUBLE PRECISION,
    n_reference INTEGER,
    n_window INTEGER NOT NULL,
    reference_start TIMESTAMP WITH TIME ZONE,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    raised_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    last_above TIMESTAMP WITH TIME ZONE NOT NULL,
    watched_until TIMESTAMP WITH TIME ZONE NOT NULL,
    acknowledged_at TIMESTAMP WITH TIME ZONE,
    acknowledged_by TEXT,
    note TEXT,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_why TEXT,
    CONSTRAINT pk_alarms PRIMARY KEY (alarm_id),
    CONSTRAINT uq_alarms_subject_window UNIQUE (policy_id, model_version, kind, category, slice_name, slice_value, metric, window_end),
    CONSTRAINT ck_alarms_kind CHECK (kind IN ('scores', 'mix', 'labels', 'embeddings', 'certificate')),
    CONSTRAINT ck_alarms_p_value_or_evidence CHECK ((p_value IS NULL) = (evidence IS NOT NULL)),
    CONSTRAINT ck_alarms_acknowledged CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CONSTRAINT ck_alarms_ended_with_why CHECK ((ended_at IS NULL) = (ended_why IS NULL)),
    CONSTRAINT ck_alarms_ended_why CHECK (ended_why IN ('passed', 'superseded')),
    CONSTRAINT fk_alarms_policy_id FOREIGN KEY (policy_id) REFERENCES policies (policy_id)
)
-- next --
CREATE INDEX ix_alarms_standing ON alarms (policy_id) WHERE ended_at IS NULL
-- next --
CREATE TRIGGER alarms_append_only BEFORE UPDATE ON alarms FOR EACH ROW WHEN ((OLD.alarm_id, OLD.policy_id, OLD.model_version, OLD.kind, OLD.category, OLD.slice_name, OLD.slice_value, OLD.metric, OLD.statistic, OLD.bar, OLD.p_value, OLD.level, OLD.evidence, OLD.effect, OLD.effect_low, OLD.effect_high, OLD.n_reference, OLD.n_window, OLD.reference_start, OLD.window_start, OLD.window_end, OLD.raised_at) IS DISTINCT FROM (NEW.alarm_id, NEW.policy_id, NEW.model_version, NEW.kind, NEW.category, NEW.slice_name, NEW.slice_value, NEW.metric, NEW.statistic, NEW.bar, NEW.p_value, NEW.level, NEW.evidence, NEW.effect, NEW.effect_low, NEW.effect_high, NEW.n_reference, NEW.n_window, NEW.reference_start, NEW.window_start, NEW.window_end, NEW.raised_at)) EXECUTE FUNCTION refuse_change('last_above', 'watched_until', 'acknowledged_at', 'acknowledged_by', 'note', 'ended_at', 'ended_why')
-- next --
CREATE TRIGGER alarms_never_deleted BEFORE DELETE ON alarms FOR EACH ROW EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER alarms_never_emptied BEFORE TRUNCATE ON alarms FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE TABLE retrain_decisions (
    decision_id BIGINT GENERATED ALWAYS AS IDENTITY,
    policy_id TEXT NOT NULL,
    recipe_id TEXT NOT NULL,
    model_version TEXT,
    retrain BOOLEAN NOT NULL,
    reasons JSONB NOT NULL,
    last_label_id BIGINT NOT NULL,
    new_labels INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_retrain_decisions PRIMARY KEY (decision_id),
    CONSTRAINT fk_retrain_decisions_policy_id FOREIGN KEY (policy_id) REFERENCES policies (policy_id),
    CONSTRAINT fk_retrain_decisions_recipe_id FOREIGN KEY (recipe_id) REFERENCES recipes (recipe_id),
    CONSTRAINT fk_retrain_decisions_model_version FOREIGN KEY (model_version) REFERENCES model_versions (model_version)
)
-- next --
CREATE INDEX ix_retrain_decisions_policy_id ON retrain_decisions (policy_id)
-- next --
CREATE TRIGGER retrain_decisions_append_only BEFORE UPDATE OR DELETE ON retrain_decisions FOR EACH ROW EXECUTE FUNCTION refuse_change()
-- next --
CREATE TRIGGER retrain_decisions_never_emptied BEFORE TRUNCATE ON retrain_decisions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
-- next --
CREATE VIEW dashboard.alarms AS SELECT alarm_id, policy_id, model_version, kind, category, slice_name, slice_value,
               metric, statistic, bar, p_value, level, evidence, effect, effect_low, effect_high,
               n_reference, n_window, reference_start, window_start, window_end, raised_at,
               last_above,
               CASE WHEN kind = 'certificate' THEN 1 ELSE 1 + floor(
                   extract(epoch FROM last_above - window_end)
                   / extract(epoch FROM window_end - window_start)) END::integer AS windows,
               acknowledged_at, acknowledged_by, note, ended_at, ended_why,
               ended_at IS NULL AS stands
        FROM alarms
-- next --
CREATE VIEW dashboard.retrain_decisions AS SELECT d.decision_id, d.policy_id, d.recipe_id, d.model_version, d.decided_at, d.retrain,
               d.new_labels, w.place::integer AS place, w.why ->> 'rule' AS rule,
               (w.why ->> 'fired')::boolean AS fired, (w.why ->> 'value')::float8 AS value,
               (w.why ->> 'bar')::float8 AS bar, (w.why ->> 'low')::float8 AS low,
               (w.why ->> 'high')::float8 AS high, w.why ->> 'code' AS code,
               w.why ->> 'words' AS words
        FROM retrain_decisions d
        CROSS JOIN LATERAL jsonb_array_elements(d.reasons) WITH ORDINALITY w (why, place)
-- next --
GRANT SELECT ON dashboard.alarms, dashboard.retrain_decisions TO hitl_dashboard
