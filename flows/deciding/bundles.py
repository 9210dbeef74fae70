"""Registered models from disk, each bound to the bytes that were registered."""

from __future__ import annotations

from pathlib import Path

from hitl import registry, training
from hitl.errors import Refused


class BundleLost(Refused):
    """The bundle of a registered model is gone, damaged, or not the one that was registered."""

    def __init__(self, record: registry.ModelRecord, reason: str) -> None:
        super().__init__(
            f"model {record.model_version}: {reason}. Put its folder back at {record.path}, or "
            f"make it again with `hitl train --snapshot {record.snapshot_id} --seed {record.seed}` "
            f"(policy {record.policy_id}, recipe {record.recipe_id})"
        )
        self.model_version = record.model_version


def load_registered(record: registry.ModelRecord) -> training.Model:
    """The model of a row, from where the row says that it lies.

    Raises:
        BundleLost: it cannot be read, or its bytes are not those that were registered and judged.
    """
    try:
        model = training.load(Path(record.path))
    except training.BadBundle as bad:
        raise BundleLost(record, str(bad)) from bad
    if model.digest != record.digest:
        raise BundleLost(record, "the bundle in its folder is another than the one registered")
    return model
