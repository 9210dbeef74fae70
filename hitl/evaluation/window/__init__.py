"""A window of decisions beside its audit labels: how many items were flagged, and who answered."""

from hitl.evaluation.window.responses import Response, Responses, respond
from hitl.evaluation.window.store import (
    Asked,
    FlagCounts,
    count_flags,
    largest_views,
    read_asked,
    read_texts,
)

__all__ = [
    "Asked",
    "FlagCounts",
    "Response",
    "Responses",
    "count_flags",
    "largest_views",
    "read_asked",
    "read_texts",
    "respond",
]
