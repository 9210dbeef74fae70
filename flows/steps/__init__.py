"""The steps over a world: what the command line and Prefect both call, by the same names.

Each step imports what it needs when it runs: torch and Label Studio's SDK take seconds, and a
dispatch every minute should not pay for what only training uses.

In the order of the loop: `intake`, `selection`, `labelling`, `training`, `promotion`; then what is
said of it, `measuring` and `reports`, and beside it `backlogs`.
"""

from flows.steps.backlogs import (
    backlog_status,
    certify_backlog,
    certify_backlogs,
    list_backlogs,
    look_at_backlog,
    open_backlog,
)
from flows.steps.intake import ingest_decisions, retain
from flows.steps.labelling import (
    collect_annotations,
    collect_tasks,
    dispatch_batch,
    labels_since_decision,
    labels_since_snapshot,
)
from flows.steps.measuring import certify, forecast, measure, monitor, watch_drift
from flows.steps.promotion import gate, promote_champion, rescore, shadow
from flows.steps.reports import (
    fairness_report,
    keep_model_page,
    keep_weekly_page,
    model_folder,
    model_report,
    weekly_report,
)
from flows.steps.selection import link_twins, offer_labels, select_batch
from flows.steps.training import NoSnapshot, decide_retrain, freeze_snapshot, train_challenger

__all__ = [
    "NoSnapshot",
    "backlog_status",
    "certify",
    "certify_backlog",
    "certify_backlogs",
    "collect_annotations",
    "collect_tasks",
    "decide_retrain",
    "dispatch_batch",
    "fairness_report",
    "forecast",
    "freeze_snapshot",
    "gate",
    "ingest_decisions",
    "keep_model_page",
    "keep_weekly_page",
    "labels_since_decision",
    "labels_since_snapshot",
    "link_twins",
    "list_backlogs",
    "look_at_backlog",
    "measure",
    "model_folder",
    "model_report",
    "monitor",
    "offer_labels",
    "open_backlog",
    "promote_champion",
    "rescore",
    "retain",
    "select_batch",
    "shadow",
    "train_challenger",
    "watch_drift",
    "weekly_report",
]
