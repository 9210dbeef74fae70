"""Intake: sources become items and decisions; what is malformed is set aside with its reason."""

from hitl.decisions.chunks import Chunk, Column, Reject
from hitl.decisions.errors import (
    BadQuery,
    BadValue,
    EmptySource,
    MissingColumns,
    NoProbabilityColumns,
    SourceNotFound,
    SourceUnavailable,
    StoreRefused,
    UnknownCategory,
    UnknownFormat,
    UnreadableSource,
)
from hitl.decisions.mapping import (
    Kind,
    Mapped,
    map_chunk,
    map_contents,
    map_decisions,
    wanted_columns,
)
from hitl.decisions.scoring.store import ScorableItem, count_scorable, read_scorable
from hitl.decisions.sources import FORMATS, FileSource, Source, find_sources, read_chunks, shown
from hitl.decisions.sql_source.store import SqlSource
from hitl.decisions.store import (
    Counts,
    StoredReject,
    count_rejects,
    list_rejects,
    merge_decisions,
    merge_items,
    payload_hash,
    record_rejects,
)
from hitl.decisions.values import content_hash

__all__ = [
    "FORMATS",
    "BadQuery",
    "BadValue",
    "Chunk",
    "Column",
    "Counts",
    "EmptySource",
    "FileSource",
    "Kind",
    "Mapped",
    "MissingColumns",
    "NoProbabilityColumns",
    "Reject",
    "ScorableItem",
    "Source",
    "SourceNotFound",
    "SourceUnavailable",
    "SqlSource",
    "StoreRefused",
    "StoredReject",
    "UnknownCategory",
    "UnknownFormat",
    "UnreadableSource",
    "content_hash",
    "count_rejects",
    "count_scorable",
    "find_sources",
    "list_rejects",
    "map_chunk",
    "map_contents",
    "map_decisions",
    "merge_decisions",
    "merge_items",
    "payload_hash",
    "read_chunks",
    "read_scorable",
    "record_rejects",
    "shown",
    "wanted_columns",
]
