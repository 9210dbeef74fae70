"""Candidates become arrays to choose from, and a choice becomes a batch in the ledger."""

from hitl.selection.candidates import Candidates, fill_unknown, urgency
from hitl.selection.store import BatchExists, batch_report, read_candidates, record_batch, texts_of

__all__ = [
    "BatchExists",
    "Candidates",
    "batch_report",
    "fill_unknown",
    "read_candidates",
    "record_batch",
    "texts_of",
    "urgency",
]
