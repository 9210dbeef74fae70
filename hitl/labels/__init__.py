"""Votes become labels: who said what, when it is decided, and what is written down of it."""

from hitl.labels.resolution import (
    Answer,
    Dispute,
    NeedsAdjudication,
    NeedsVote,
    Resolution,
    Resolved,
    resolve,
)
from hitl.labels.store import (
    ResolveCounts,
    UnknownEntries,
    count_since,
    count_since_snapshot,
    resolve_entries,
)

__all__ = [
    "Answer",
    "Dispute",
    "NeedsAdjudication",
    "NeedsVote",
    "Resolution",
    "ResolveCounts",
    "Resolved",
    "UnknownEntries",
    "count_since",
    "count_since_snapshot",
    "resolve",
    "resolve_entries",
]
