"""What people read: pages, and the reconciliation of the loop's books."""

from hitl.reports.models.store import (
    AnswerTimes,
    Approval,
    Training,
    answer_times,
    approvals,
    groups_of,
    trainings,
)
from hitl.reports.page import (
    Block,
    Gallery,
    Grid,
    Heading,
    Page,
    Picture,
    Words,
    as_html,
    as_markdown,
)
from hitl.reports.reconciliation import (
    Account,
    Counts,
    Here,
    TaskKey,
    There,
    accounts,
    accounts_with_label_studio,
)
from hitl.reports.store import Event, Work, count_loop, events_of, held, work_of

__all__ = [
    "Account",
    "AnswerTimes",
    "Approval",
    "Block",
    "Counts",
    "Event",
    "Gallery",
    "Grid",
    "Heading",
    "Here",
    "Page",
    "Picture",
    "TaskKey",
    "There",
    "Training",
    "Words",
    "Work",
    "accounts",
    "accounts_with_label_studio",
    "answer_times",
    "approvals",
    "as_html",
    "as_markdown",
    "count_loop",
    "events_of",
    "groups_of",
    "held",
    "trainings",
    "work_of",
]
