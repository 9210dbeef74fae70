"""Every table, a page for each stretch of the loop. Append-only unless said.

In the order an item meets them: it comes in (`intake`); by the rules that hold (`rules`) it is
chosen (`selection`) and waits (`queue`); a reviewer sees it in Label Studio (`labelstudio`) and
what was said becomes labels (`answers`), from which models are made (`models`); then there is
something to say of what they decide (`measuring`, `backlog`, `watching`). Beside the loop lie what
comes over HTTP (`web`) and near copies (`twins`).

Triggers see to what is append-only (`APPEND_ONLY` in hitl/db/moves.py), but for annotations, which
an erasure must reach.
"""

# Not by the alphabet: this is the order, and `metadata.sorted_tables` keeps it where it can.
# isort: off
from hitl.db.schema.intake import (
    items,
    decisions,
    newest_decisions,
    retentions,
    intake_chunks,
    reaches,
    conflicts,
    rejects,
)
from hitl.db.schema.rules import policies, policy_categories, recipes
from hitl.db.schema.selection import batches, picks, stood_aside, overflows
from hitl.db.schema.queue import (
    entries,
    open_items,
    turns,
    entry_moves,
    entry_events,
    leases,
    handled,
    skills,
    breaches,
)
from hitl.db.schema.labelstudio import (
    labelling_projects,
    pushes,
    tasks,
    collect_cursors,
    annotations,
    annotation_rejects,
)
from hitl.db.schema.answers import votes, labels
from hitl.db.schema.models import (
    snapshots,
    model_versions,
    evaluations,
    verdicts,
    promotions,
    certificates,
)
from hitl.db.schema.measuring import measurements
from hitl.db.schema.backlog import backlogs, backlog_items, backlog_looks, backlog_draws
from hitl.db.schema.watching import alarms, retrain_decisions
from hitl.db.schema.web import api_requests, wakeups
from hitl.db.schema.twins import twin_schemes, twin_forms, twin_buckets, twin_items, proposals
from hitl.db.schema.base import metadata
# isort: on

__all__ = [
    "alarms",
    "annotation_rejects",
    "annotations",
    "api_requests",
    "backlog_draws",
    "backlog_items",
    "backlog_looks",
    "backlogs",
    "batches",
    "breaches",
    "certificates",
    "collect_cursors",
    "conflicts",
    "decisions",
    "entries",
    "entry_events",
    "entry_moves",
    "evaluations",
    "handled",
    "intake_chunks",
    "items",
    "labelling_projects",
    "labels",
    "leases",
    "measurements",
    "metadata",
    "model_versions",
    "newest_decisions",
    "open_items",
    "overflows",
    "picks",
    "policies",
    "policy_categories",
    "promotions",
    "proposals",
    "pushes",
    "reaches",
    "recipes",
    "rejects",
    "retentions",
    "retrain_decisions",
    "skills",
    "snapshots",
    "stood_aside",
    "tasks",
    "turns",
    "twin_buckets",
    "twin_forms",
    "twin_items",
    "twin_schemes",
    "verdicts",
    "votes",
    "wakeups",
]
