"""Datasets: which side an item is on, what is known of it, and the frozen copy that trains."""

from hitl.datasets.examples import SourcedExample
from hitl.datasets.files import Frozen, Snapshot, read_snapshot, write_snapshot
from hitl.datasets.groups import group_key, group_keys
from hitl.datasets.leaks import on_one_side
from hitl.datasets.manifest import Manifest, SnapshotDamaged, SnapshotMissing
from hitl.datasets.splits import SALT, side, sides
from hitl.datasets.store import (
    SnapshotRow,
    find_snapshot,
    last_label_id,
    newest_snapshot,
    read_examples,
    record_snapshot,
)

__all__ = [
    "SALT",
    "Frozen",
    "Manifest",
    "Snapshot",
    "SnapshotDamaged",
    "SnapshotMissing",
    "SnapshotRow",
    "SourcedExample",
    "find_snapshot",
    "group_key",
    "group_keys",
    "last_label_id",
    "newest_snapshot",
    "on_one_side",
    "read_examples",
    "read_snapshot",
    "record_snapshot",
    "side",
    "sides",
    "write_snapshot",
]
