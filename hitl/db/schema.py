"""Every table on one page, in the order an item meets them. Append-only unless said.

Triggers see to it (`APPEND_ONLY` in hitl/db/moves.py), but for annotations, which an erasure
must reach.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, UUID

from hitl.records import UNROUTED, Action, AnnotationKind, EntryState, ModelState, Stage

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_WHEN = DateTime(timezone=True)
_A_DAY_ON = text("now() + interval '1 day'")


def _now(name: str) -> Column[datetime]:
    """A moment by the database's clock, so that workers' clocks may differ."""
    return Column(name, _WHEN, nullable=False, server_default=func.clock_timestamp())


def _one_of(
    column: str, values: type[Action | AnnotationKind | EntryState | ModelState | Stage]
) -> str:
    listed = ", ".join(f"'{one.value}'" for one in values)
    return f"{column} IN ({listed})"


# 1 · what came in ---------------------------------------------------------------------------

# `text` is NULL while only decisions of the item have arrived; content may come later, once.
# Mutable: what is NULL is filled.
items = Table(
    "items",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("text", Text),
    Column("content_hash", Text),
    Column("language", Text),
    Column("surface", Text),
    Column("market", Text),
    Column("modality", Text),  # NULL: text
    Column("group_id", Text),
    Column("created_at", _WHEN),
    _now("ingested_at"),
    Column("content_at", _WHEN),  # when the text arrived: from then on it can be picked
    CheckConstraint("length(item_id) BETWEEN 1 AND 200", name="item_id_length"),
    CheckConstraint("(text IS NULL) = (content_hash IS NULL)", name="hash_with_text"),
    CheckConstraint("text IS NULL OR content_at IS NOT NULL", name="moment_of_text"),
)
Index("ix_items_ingested_at", items.c.ingested_at, postgresql_using="brin")

# Partitioned by month (hitl/db/months.py). That an item is there is not a foreign key, which would
# cost as much as the row: the merge makes items first, in the same transaction, and no item goes.
decisions = Table(
    "decisions",
    metadata,
    Column("item_id", Text, nullable=False),
    Column("model_version", Text, nullable=False),
    Column("decided_at", _WHEN, nullable=False),
    Column("action", Text),
    # category -> probability; a category the model does not know is absent, never zero
    Column("probabilities", JSONB, nullable=False),
    # by a model that only ran along: nobody acted on it
    Column("is_shadow", Boolean, nullable=False, server_default=text("false")),
    _now("ingested_at"),
    PrimaryKeyConstraint("item_id", "decided_at", "model_version"),  # an item's newest is its last
    CheckConstraint("action IS NULL OR " + _one_of("action", Action), name="action"),
    postgresql_partition_by="RANGE (decided_at)",
)
Index("ix_decisions_shadow", decisions.c.decided_at, postgresql_where=text("is_shadow"))

# The newest of each model, so that none need look through all. Mutable: it moves on.
newest_decisions = Table(
    "newest_decisions",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("decided_at", _WHEN, nullable=False),
)

# What was dropped for its age; nothing before `kept_from` comes in any more. Mutable: the counts,
# which come last.
retentions = Table(
    "retentions",
    metadata,
    Column("month", Date, primary_key=True),
    Column("kept_from", _WHEN, nullable=False),
    Column("dropped", BigInteger),
    Column("kept", BigInteger),  # of items that were picked
    Column("done_at", _WHEN),  # NULL: closed, and not yet looked through
)

# How far a file was taken in. Mutable: a changed file, or recipe, begins anew.
intake_chunks = Table(
    "intake_chunks",
    metadata,
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # of the file, and of how it was read
    Column("chunk", Integer, nullable=False),
    Column("begun_at", _WHEN, nullable=False),  # when the reading of this file began
    Column("line", BigInteger, nullable=False),  # the last one that is covered
    Column("rows", BigInteger, nullable=False),
    Column("report", JSONB, nullable=False),  # its counts, and columns that are absent
    Column("is_last", Boolean, nullable=False),
    PrimaryKeyConstraint("source", "kind", "fingerprint", "chunk"),
)

# How many people see an item an hour. Mutable: what was measured last stands, whenever it came in.
reaches = Table(
    "reaches",
    metadata,
    Column("item_id", Text, ForeignKey("items.item_id"), primary_key=True),
    Column("views_per_hour", Double, nullable=False),
    Column("measured_at", _WHEN, nullable=False),
    CheckConstraint("views_per_hour >= 0 AND views_per_hour < 'infinity'", name="views_per_hour"),
)

# The same key with another payload: the first one stands, the other is kept for a person to see.
conflicts = Table(
    "conflicts",
    metadata,
    Column("kind", Text, nullable=False),  # 'content' or 'decision'
    Column("item_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload_hash", Text, nullable=False),
    Column("source", Text, nullable=False),
    _now("seen_at"),
    PrimaryKeyConstraint("kind", "item_id", "key", "payload_hash"),
    CheckConstraint("kind IN ('content', 'decision')", name="kind"),
)

# Rows that could not be read. Never holds content: line, field and reason are enough to find it.
# Mutable: what a complete reading of the same source no longer finds is deleted.
rejects = Table(
    "rejects",
    metadata,
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),  # what it was read for: 'content', 'decisions', 'both'
    Column("line", BigInteger, nullable=False),
    Column("field", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _now("seen_at"),
    PrimaryKeyConstraint("source", "kind", "line", "field"),
)

# 2 · by which rules, and how ----------------------------------------------------------------

policies = Table(
    "policies",
    metadata,
    Column("policy_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    _now("created_at"),
)

# What each version asks of a reviewer. Labels of one version count for every other that asks the
# same: a moved threshold or hotkey costs no label, a reworded definition costs its category's.
policy_categories = Table(
    "policy_categories",
    metadata,
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("category", Text, nullable=False),
    Column("meaning", Text, nullable=False),
    PrimaryKeyConstraint("policy_id", "category"),
)
Index("ix_policy_categories_meaning", policy_categories.c.category, policy_categories.c.meaning)

recipes = Table(
    "recipes",
    metadata,
    Column("recipe_id", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    _now("created_at"),
)

# 3 · what was chosen, and with which probability -------------------------------------------

batches = Table(
    "batches",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),
    Column("model_version", Text),  # whose probabilities and embeddings; NULL: cold start
    Column("seed", BigInteger, nullable=False),
    Column("plan", JSONB, nullable=False),
    Column("size_wanted", Integer, nullable=False),
    Column("read_at", _WHEN, nullable=False),  # what had content by then could be picked
    Column("training_pool_size", Integer, nullable=False),
    Column("measuring_pool_size", Integer, nullable=False),
    _now("created_at"),
)

picks = Table(
    "picks",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.batch_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("share", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    # NULL: the strategy has none. Such a label trains and never measures.
    Column("inclusion_probability", Double),
    # Items that were drawn and have one answer between them: this one and its near copies.
    Column("stands_for", Integer, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("batch_id", "item_id"),
    CheckConstraint("stands_for >= 1", name="stands_for"),
    CheckConstraint(
        "inclusion_probability IS NULL "
        "OR (inclusion_probability > 0 AND inclusion_probability <= 1)",
        name="inclusion_probability",
    ),
)

# Drawn for audit beside a near copy that is asked for both. It is not drawn again.
stood_aside = Table(
    "stood_aside",
    metadata,
    Column("batch_id", Text, nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("for_item_id", Text, nullable=False),
    PrimaryKeyConstraint("batch_id", "item_id"),
    ForeignKeyConstraint(["batch_id", "for_item_id"], ["picks.batch_id", "picks.item_id"]),
)

# What a lane's quota did not let in: not asked, recorded, a candidate again.
overflows = Table(
    "overflows",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.batch_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("share", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("inclusion_probability", Double),
    Column("lane", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _now("recorded_at"),
    PrimaryKeyConstraint("batch_id", "item_id"),
)

# A trigger checks moves, and which columns may change (hitl/db/moves.py).
entries = Table(
    "entries",
    metadata,
    Column("entry_id", BigInteger, Identity(always=True), primary_key=True),
    Column("item_id", Text, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("state", Text, nullable=False, server_default=EntryState.WAITING.value),
    Column("lane", Text, nullable=False, server_default=UNROUTED),
    Column("tier", SmallInteger, nullable=False, server_default=text("1")),  # 2 up: escalated
    # What asking teaches, (0, 1]. NULL: an audit, whose place owes nothing to any score.
    Column("worth", Double),
    # severity x reach x P(violation) x worth, by the newest decision
    Column("priority", Double, nullable=False, server_default=text("0")),
    # Served in the order of `turn_at`, then `due_at`: the deadline, brought forward by priority
    # (docs/adr). Neither moves while time passes.
    Column("due_at", _WHEN, nullable=False, server_default=_A_DAY_ON),
    Column("turn_at", _WHEN, nullable=False, server_default=_A_DAY_ON),
    Column("votes_wanted", SmallInteger, nullable=False),
    # Who has it, if a tool claimed it. No foreign key: it would look up the lease of every row.
    Column("lease_id", BigInteger),
    Column("failures", SmallInteger, nullable=False, server_default=text("0")),  # leases run out
    Column("reason", Text),  # why dead, withdrawn or escalated
    _now("opened_at"),
    Column("closed_at", _WHEN),
    ForeignKeyConstraint(["batch_id", "item_id"], ["picks.batch_id", "picks.item_id"]),
    UniqueConstraint("batch_id", "item_id"),
    CheckConstraint(_one_of("state", EntryState), name="state"),
    CheckConstraint("votes_wanted BETWEEN 1 AND 9", name="votes_wanted"),
    CheckConstraint("tier BETWEEN 1 AND 9", name="tier"),
    CheckConstraint("lease_id IS NULL OR state = 'dispatched'", name="leased"),
)
Index(
    "uq_entries_one_open_an_item",
    entries.c.item_id,
    unique=True,
    postgresql_where=text("state IN ('waiting', 'dispatched', 'adjudicating')"),
)
Index(
    "ix_entries_waiting",
    entries.c.turn_at,
    entries.c.due_at,
    entries.c.entry_id,
    postgresql_where=text("state = 'waiting' AND tier = 1"),
)
Index(
    "ix_entries_waiting_lane",
    entries.c.lane,
    entries.c.turn_at,
    entries.c.due_at,
    entries.c.entry_id,
    postgresql_where=text("state = 'waiting' AND tier = 1"),
)
Index(
    "ix_entries_escalated",
    entries.c.tier,
    entries.c.turn_at,
    entries.c.due_at,
    entries.c.entry_id,
    postgresql_where=text("state = 'waiting' AND tier > 1"),
)

entry_moves = Table(
    "entry_moves",
    metadata,
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    PrimaryKeyConstraint("from_state", "to_state"),
)

# Written by the trigger alone: the log that every queue figure can be counted again from. A row
# where the state, the lane or the tier changed. No foreign key: no entry is ever deleted.
entry_events = Table(
    "entry_events",
    metadata,
    Column("event_id", BigInteger, Identity(always=True), nullable=False),
    Column("entry_id", BigInteger, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("lane", Text, nullable=False, server_default=UNROUTED),
    Column("tier", SmallInteger, nullable=False, server_default=text("1")),
    Column("lease_id", BigInteger),
    Column("reason", Text),
    _now("happened_at"),
    PrimaryKeyConstraint("entry_id", "event_id"),
)

# What a tool that pulls work holds: up to so many entries at once, until a moment. One row a
# claim, so that a heartbeat touches one. Mutable: `expires_at`, `held`, `ended_at`.
leases = Table(
    "leases",
    metadata,
    Column("lease_id", BigInteger, Identity(always=True), primary_key=True),
    Column("token", UUID(as_uuid=True), nullable=False, server_default=func.gen_random_uuid()),
    Column("holder", Text, nullable=False),
    Column("entry_ids", ARRAY(BigInteger), nullable=False),
    Column("held", Integer, nullable=False),  # of these, how many were not given back yet
    _now("claimed_at"),
    Column("expires_at", _WHEN, nullable=False),
    Column("ended_at", _WHEN),
    CheckConstraint("length(holder) BETWEEN 1 AND 200", name="holder"),
)
Index("ix_leases_running", leases.c.expires_at, postgresql_where=text("ended_at IS NULL"))
Index("ix_leases_holder_claimed_at", leases.c.holder, leases.c.claimed_at)

# Who has had an entry and is not given it again: skipped it, or gave one of several answers.
handled = Table(
    "handled",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("holder", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    _now("happened_at"),
    PrimaryKeyConstraint("entry_id", "holder"),
    CheckConstraint("outcome IN ('skipped', 'answered')", name="outcome"),
)
Index("ix_handled_holder_happened_at", handled.c.holder, handled.c.happened_at)

# Which lanes a person may take, and up to which tier. '*' is every lane. Mutable.
skills = Table(
    "skills",
    metadata,
    Column("holder", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("holder", "lane"),
    CheckConstraint("tier BETWEEN 1 AND 9", name="tier"),
)

# Deadlines that passed while their entry was open, each told once.
breaches = Table(
    "breaches",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("due_at", _WHEN, nullable=False),
    Column("lane", Text, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    _now("seen_at"),
    PrimaryKeyConstraint("entry_id", "due_at"),
)

# 4 · Label Studio ---------------------------------------------------------------------------

# A project that is gone from Label Studio is deleted, with its pushes, tasks and cursor.
labelling_projects = Table(
    "labelling_projects",
    metadata,
    Column("project_id", Integer, primary_key=True, autoincrement=False),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("interface_hash", Text, nullable=False),
    _now("created_at"),
    UniqueConstraint("policy_id", "stage"),
    CheckConstraint(_one_of("stage", Stage), name="stage"),
)

pushes = Table(
    "pushes",
    metadata,
    Column("push_id", UUID(as_uuid=True), primary_key=True),
    Column("project_id", Integer, ForeignKey("labelling_projects.project_id"), nullable=False),
    _now("intended_at"),
    Column("confirmed_at", _WHEN),  # mutable, once
)

# A row is the intent to have a task; `task_id` arrives once Label Studio says it (mutable, once).
# `archived_at`: we took the finished task out of Label Studio; all of it is kept here (mutable).
tasks = Table(
    "tasks",
    metadata,
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("push_id", UUID(as_uuid=True), ForeignKey("pushes.push_id"), nullable=False, index=True),
    Column("project_id", Integer, ForeignKey("labelling_projects.project_id"), nullable=False),
    Column("task_id", BigInteger),
    Column("archived_at", _WHEN),
    PrimaryKeyConstraint("entry_id", "stage"),
    UniqueConstraint("project_id", "task_id"),
    CheckConstraint(_one_of("stage", Stage), name="stage"),
)
Index(
    "ix_tasks_not_archived",
    tasks.c.project_id,
    tasks.c.task_id,
    postgresql_where=text("archived_at IS NULL"),
)

# Mutable: one row a project, moved in the transaction that stores what it covers.
collect_cursors = Table(
    "collect_cursors",
    metadata,
    Column(
        "project_id",
        Integer,
        ForeignKey("labelling_projects.project_id"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("watermark", _WHEN),
    Column("swept_at", _WHEN),
)

annotations = Table(
    "annotations",
    metadata,
    Column("unique_id", Text, nullable=False),
    Column("updated_at", _WHEN, nullable=False),
    Column("created_at", _WHEN, nullable=False),
    Column("kind", Text, nullable=False),
    Column("project_id", Integer, nullable=False),
    Column("task_id", BigInteger, nullable=False),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("result", JSONB, nullable=False),
    Column("lead_seconds", Double),
    _now("collected_at"),
    PrimaryKeyConstraint("unique_id", "updated_at"),
    CheckConstraint(_one_of("kind", AnnotationKind), name="kind"),
    CheckConstraint(_one_of("stage", Stage), name="stage"),
    Index("ix_annotations_project_id_task_id", "project_id", "task_id"),
)

# Annotations that the interface cannot have produced: kept above, never counted.
annotation_rejects = Table(
    "annotation_rejects",
    metadata,
    Column("unique_id", Text, nullable=False),
    Column("updated_at", _WHEN, nullable=False),
    Column("reason", Text, nullable=False),
    _now("seen_at"),
    PrimaryKeyConstraint("unique_id", "updated_at"),
    ForeignKeyConstraint(
        ["unique_id", "updated_at"], ["annotations.unique_id", "annotations.updated_at"]
    ),
)

# 5 · what reviewers said, and what it comes to -----------------------------------------------

votes = Table(
    "votes",
    metadata,
    Column("unique_id", Text, nullable=False),
    Column("updated_at", _WHEN, nullable=False),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    # category -> true or false; absent where the reviewer could not tell
    Column("answers", JSONB, nullable=False),
    Column("severity", SmallInteger),
    PrimaryKeyConstraint("unique_id", "updated_at"),
    ForeignKeyConstraint(
        ["unique_id", "updated_at"], ["annotations.unique_id", "annotations.updated_at"]
    ),
)

# The highest revision of (entry, category) is current; `value` NULL takes an earlier one back.
labels = Table(
    "labels",
    metadata,
    Column("label_id", BigInteger, Identity(always=True), primary_key=True),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("category", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("value", Boolean),
    Column("weight", Double, nullable=False),
    Column("votes_for", SmallInteger, nullable=False),
    Column("votes_total", SmallInteger, nullable=False),
    Column("decided_by", Text, nullable=False),
    _now("resolved_at"),
    UniqueConstraint("entry_id", "category", "revision"),
    CheckConstraint("weight >= 0", name="weight"),
)

# 6 · models ---------------------------------------------------------------------------------

# Mutable: `path`, `last_label_id`, when the same content is frozen again.
snapshots = Table(
    "snapshots",
    metadata,
    Column("snapshot_id", Text, primary_key=True),  # the content hash
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("examples", Integer, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("last_label_id", BigInteger, nullable=False),
    _now("created_at"),
)

# Mutable: `state`; `path`, where the same bytes lie now.
model_versions = Table(
    "model_versions",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("policy_name", Text, nullable=False),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),
    Column("snapshot_id", Text, ForeignKey("snapshots.snapshot_id"), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),  # of the bundle's bytes: what was judged decides
    Column("metrics", JSONB, nullable=False),
    # Shown above all else on its card, such as that its data was made up.
    Column("data_note", Text, nullable=False, server_default=""),
    _now("trained_at"),
    UniqueConstraint("snapshot_id", "recipe_id", "seed"),
    CheckConstraint(_one_of("state", ModelState), name="state"),
)
Index(
    "uq_model_versions_one_champion_a_policy",
    model_versions.c.policy_name,
    unique=True,
    postgresql_where=text("state = 'champion'"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("model_version", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("snapshot_id", Text, ForeignKey("snapshots.snapshot_id"), nullable=False),
    Column("metric", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("value", Double),
    Column("low", Double),
    Column("high", Double),
    Column("n", Integer, nullable=False),
    Column("n_positive", Integer, nullable=False),
    Column("code", Text),  # in place of a value, such as too_few_events
    Column("method", Text, nullable=False),
    PrimaryKeyConstraint(
        "model_version", "snapshot_id", "metric", "category", "slice_name", "slice_value"
    ),
    CheckConstraint("(value IS NULL) = (code IS NOT NULL)", name="value_or_code"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("verdict_id", BigInteger, Identity(always=True), primary_key=True),
    Column("challenger", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("champion", Text, ForeignKey("model_versions.model_version")),
    Column("snapshot_id", Text, ForeignKey("snapshots.snapshot_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),  # by which rules
    Column("decision", Text, nullable=False),
    # a list: rule, outcome, category, its numbers, and the words that say so
    Column("reasons", JSONB, nullable=False),
    _now("judged_at"),
    # digest of what it rests on beside the snapshot: certificates, and what was decided live
    Column("evidence", Text, nullable=False, server_default=""),
    UniqueConstraint(
        "challenger",
        "champion",
        "snapshot_id",
        "recipe_id",
        "evidence",
        postgresql_nulls_not_distinct=True,
    ),
)

promotions = Table(
    "promotions",
    metadata,
    Column("promotion_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("model_version", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("previous", Text, ForeignKey("model_versions.model_version")),
    Column("verdict_id", BigInteger, ForeignKey("verdicts.verdict_id")),
    Column("approved_by", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    _now("promoted_at"),
    CheckConstraint("kind IN ('promotion', 'rollback')", name="kind"),
)

# What a model may decide without a person, or why it may not yet: one row an obligation and
# attempt. Mutable: the withdrawal. The same evidence again makes no new row.
certificates = Table(
    "certificates",
    metadata,
    Column("certificate_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("model_version", Text, ForeignKey("model_versions.model_version"), nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("attempt", Integer, nullable=False),  # each spends some of what may be wrong
    Column("evidence", Text, nullable=False),  # digest of the labels and scores it rests on
    Column("at_least", Double, nullable=False),
    Column("confidence", Double, nullable=False),  # of this attempt alone
    Column("threshold", Double),
    Column("n", Integer, nullable=False),
    Column("n_errors", Integer, nullable=False),
    Column("shortfall", Text),  # in place of a threshold
    Column("more_labels", Integer),
    _now("issued_at"),
    Column("expires_at", _WHEN, nullable=False),
    Column("withdrawn_at", _WHEN),
    Column("withdrawn_why", Text),
    UniqueConstraint(
        "policy_id",
        "model_version",
        "category",
        "slice_name",
        "slice_value",
        "metric",
        "attempt",
        name="uq_certificates_attempt",
    ),
    CheckConstraint("metric IN ('precision', 'recall')", name="metric"),
    CheckConstraint("(threshold IS NULL) = (shortfall IS NOT NULL)", name="threshold_or_shortfall"),
    CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_why IS NULL)", name="withdrawn_with_why"),
)
Index("ix_certificates_model_version", certificates.c.model_version)

# 7 · what we can say of the decisions that were made ------------------------------------------

# Mutable: a window that is measured again takes the place of what stood there.
measurements = Table(
    "measurements",
    metadata,
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("model_version", Text, nullable=False),
    Column("window_start", _WHEN, nullable=False),
    Column("window_end", _WHEN, nullable=False),
    Column("metric", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Double),
    Column("low", Double),
    Column("high", Double),
    Column("n", Integer, nullable=False),
    Column("n_effective", Double),
    Column("unstable", Boolean, nullable=False),
    Column("code", Text),
    Column("method", Text, nullable=False),
    _now("measured_at"),
    PrimaryKeyConstraint(
        "policy_id",
        "model_version",
        "window_start",
        "window_end",
        "metric",
        "category",
        "slice_name",
        "slice_value",
        "kind",
    ),
    CheckConstraint("(value IS NULL) = (code IS NOT NULL)", name="value_or_code"),
)

# A fixed population, and what is to be shown of it. Who is in is said once, at its opening.
backlogs = Table(
    "backlogs",
    metadata,
    Column("backlog_id", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("category", Text, nullable=False),  # or `any`
    Column("at_least", Double, nullable=False),
    Column("confidence", Double, nullable=False),  # of all looks together
    Column("rule", JSONB, nullable=False),  # by which its items were taken
    Column("items", BigInteger, nullable=False),
    _now("opened_at"),
    CheckConstraint("at_least > 0 AND at_least < 1", name="at_least"),
    CheckConstraint("confidence > 0 AND confidence < 1", name="confidence"),
)

# No foreign keys, which would cost as much as the rows: these come with their backlog, and an item
# that is forgotten for its age stays counted as one that nobody reviewed.
backlog_items = Table(
    "backlog_items",
    metadata,
    Column("backlog_id", Integer, nullable=False),
    Column("item_id", Text, nullable=False),
    PrimaryKeyConstraint("backlog_id", "item_id"),
)

# A draw from what nobody had reviewed when `upto_label_id` was the newest label; and, once it is
# answered, what that shows. Mutable, once: the second half.
backlog_looks = Table(
    "backlog_looks",
    metadata,
    Column("backlog_id", Integer, ForeignKey("backlogs.backlog_id"), nullable=False),
    Column("look", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("upto_label_id", BigInteger, nullable=False),
    Column("unreviewed", BigInteger, nullable=False),
    Column("found_before", BigInteger, nullable=False),
    Column("drawn", Integer, nullable=False),
    Column("alpha", Double, nullable=False),  # what this look may err
    _now("drawn_at"),
    Column("violating_in_draw", Integer),
    Column("lost", Integer),  # drawn and without an answer: counted as violating and missed
    Column("found_since", BigInteger),  # beside the draw
    Column("found", BigInteger),  # in all
    Column("missed_at_most", BigInteger),
    Column("recall_at_least", Double),
    Column("is_certified", Boolean),
    Column("certified_at", _WHEN),
    PrimaryKeyConstraint("backlog_id", "look"),
    CheckConstraint("drawn BETWEEN 0 AND unreviewed", name="drawn"),
    CheckConstraint(
        "num_nulls(violating_in_draw, lost, found_since, found, missed_at_most, recall_at_least,"
        " is_certified, certified_at) IN (0, 8)",
        name="whole_result",
    ),
)
Index(
    "uq_backlog_looks_one_open",
    backlog_looks.c.backlog_id,
    unique=True,
    postgresql_where=text("certified_at IS NULL"),
)

backlog_draws = Table(
    "backlog_draws",
    metadata,
    Column("backlog_id", Integer, nullable=False),
    Column("look", Integer, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    PrimaryKeyConstraint("backlog_id", "look", "item_id"),
    ForeignKeyConstraint(
        ["backlog_id", "look"], ["backlog_looks.backlog_id", "backlog_looks.look"]
    ),
)

# What moved, or no longer holds: from its first window until it passes, or until its model decides
# no more. Mutable: how long it has gone on, who took note of it, and its end.
alarms = Table(
    "alarms",
    metadata,
    Column("alarm_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    # No foreign key: models of others decide too. Empty: of all decisions, whoever made them.
    Column("model_version", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("slice_name", Text, nullable=False),
    Column("slice_value", Text, nullable=False),
    Column("metric", Text, nullable=False),  # of a certificate; else empty
    Column("statistic", Double, nullable=False),
    Column("bar", Double, nullable=False),  # what the statistic had to reach to matter
    Column("p_value", Double),  # corrected for all that the run asked
    Column("level", Double),  # what that had to be at most
    Column("evidence", Double),  # of an e-process, in place of a p-value
    Column("effect", Double, nullable=False),
    Column("effect_low", Double),
    Column("effect_high", Double),
    Column("n_reference", Integer),
    Column("n_window", Integer, nullable=False),
    Column("reference_start", _WHEN),
    Column("window_start", _WHEN, nullable=False),
    Column("window_end", _WHEN, nullable=False),
    _now("raised_at"),
    Column("last_above", _WHEN, nullable=False),  # end of the newest window that was above
    Column("watched_until", _WHEN, nullable=False),  # end of the newest window that was looked at
    Column("acknowledged_at", _WHEN),
    Column("acknowledged_by", Text),
    Column("note", Text),
    Column("ended_at", _WHEN),
    Column("ended_why", Text),
    UniqueConstraint(
        "policy_id",
        "model_version",
        "kind",
        "category",
        "slice_name",
        "slice_value",
        "metric",
        "window_end",
        name="uq_alarms_subject_window",
    ),
    CheckConstraint(
        "kind IN ('scores', 'mix', 'labels', 'embeddings', 'certificate')", name="kind"
    ),
    CheckConstraint("(p_value IS NULL) = (evidence IS NOT NULL)", name="p_value_or_evidence"),
    CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by IS NULL)", name="acknowledged"),
    CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name="ended_with_why"),
    CheckConstraint("ended_why IN ('passed', 'superseded')", name="ended_why"),
)
Index("ix_alarms_standing", alarms.c.policy_id, postgresql_where=text("ended_at IS NULL"))

# Whether to train anew, each time it was asked and something had changed.
retrain_decisions = Table(
    "retrain_decisions",
    metadata,
    Column("decision_id", BigInteger, Identity(always=True), primary_key=True),
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("recipe_id", Text, ForeignKey("recipes.recipe_id"), nullable=False),  # by which rules
    # the newest model then; NULL: there was none
    Column("model_version", Text, ForeignKey("model_versions.model_version")),
    Column("retrain", Boolean, nullable=False),
    # a list: rule, whether it fired, its numbers or a code, and the words that say so
    Column("reasons", JSONB, nullable=False),
    Column("last_label_id", BigInteger, nullable=False),  # what was labelled by then
    Column("new_labels", Integer, nullable=False),
    Column("evidence", Text, nullable=False),  # digest of all that it rests on
    _now("decided_at"),
)
Index("ix_retrain_decisions_policy_id", retrain_decisions.c.policy_id)

# 8 · what comes over HTTP ---------------------------------------------------------------------

# What producers pushed and we answered, so that the same request again gives the same answer.
# Deleted after some weeks; the answer names positions and fields, never content.
api_requests = Table(
    "api_requests",
    metadata,
    Column("producer", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("body_hash", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("answer", JSON, nullable=False),  # not JSONB: given again byte for byte
    _now("accepted_at"),
    PrimaryKeyConstraint("producer", "idempotency_key"),
    Index("ix_api_requests_accepted_at", "accepted_at"),
)

# Something may have changed in Label Studio: a hint, deleted once it was followed. `task_id` 0 is
# the whole project. Mutable: `asked_at`, when the same is said again.
wakeups = Table(
    "wakeups",
    metadata,
    Column(
        "project_id",
        Integer,
        ForeignKey("labelling_projects.project_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("task_id", BigInteger, nullable=False),
    _now("asked_at"),
    PrimaryKeyConstraint("project_id", "task_id"),
)

# 9 · near copies ------------------------------------------------------------------------------

# How items of one kind are compared; a changed bar is another scheme, which links them anew.
twin_schemes = Table(
    "twin_schemes",
    metadata,
    Column("scheme_id", SmallInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("body", JSONB, nullable=False),
    _now("created_at"),
)

# A signature that items have, each once; its number is a hash of it. Mutable: `pivot_id`, the form
# that stands for it.
twin_forms = Table(
    "twin_forms",
    metadata,
    Column("form_id", BigInteger, primary_key=True, autoincrement=False),
    Column("scheme_id", SmallInteger, ForeignKey("twin_schemes.scheme_id"), nullable=False),
    Column("pivot_id", BigInteger, nullable=False, index=True),
    Column("signature", LargeBinary, nullable=False),
)

# Where forms meet that may be alike. Pivots stand first in each bucket: most are looked for alone.
# Mutable: `is_pivot`.
twin_buckets = Table(
    "twin_buckets",
    metadata,
    Column("bucket", BigInteger, nullable=False),
    Column("is_pivot", Boolean, nullable=False),
    Column("form_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("bucket", "is_pivot", "form_id"),
)

twin_items = Table(
    "twin_items",
    metadata,
    Column("scheme_id", SmallInteger, ForeignKey("twin_schemes.scheme_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("form_id", BigInteger, ForeignKey("twin_forms.form_id"), nullable=False, index=True),
    PrimaryKeyConstraint("scheme_id", "item_id"),
)

# The labels of an entry, offered to a near copy of its item. What they say follows the entry's
# current labels (the view `proposal_answers`); they are nobody's labels and never measure a model.
proposals = Table(
    "proposals",
    metadata,
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False, index=True),
    Column("similarity", Double, nullable=False),
    Column("audit_probability", Double, nullable=False),
    Column("is_audited", Boolean, nullable=False),  # drawn, by that chance, to be checked
    _now("offered_at"),
    PrimaryKeyConstraint("item_id", "entry_id"),
    CheckConstraint("similarity BETWEEN 0 AND 1", name="similarity"),
    CheckConstraint("audit_probability > 0 AND audit_probability <= 1", name="audit_probability"),
)
