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
from hitl.reports.store import count_loop, held

__all__ = [
    "Account",
    "Block",
    "Counts",
    "Grid",
    "Heading",
    "Here",
    "Page",
    "Picture",
    "TaskKey",
    "There",
    "Words",
    "accounts",
    "accounts_with_label_studio",
    "as_html",
    "as_markdown",
    "count_loop",
    "held",
]
