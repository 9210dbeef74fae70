"""What people read: pages, and the reconciliation of the loop's books."""

from hitl.reports.page import (
    Block,
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
    "Block",
    "Counts",
    "Event",
    "Grid",
    "Heading",
    "Here",
    "Page",
    "Picture",
    "TaskKey",
    "There",
    "Words",
    "Work",
    "accounts",
    "accounts_with_label_studio",
    "as_html",
    "as_markdown",
    "count_loop",
    "events_of",
    "held",
    "work_of",
]
