"""What the registry says no with."""

from __future__ import annotations

from hitl.errors import Refused
from hitl.records import ModelVersion, SnapshotId


class UnknownModelVersion(Refused):
    """No such model version."""

    def __init__(self, model_version: ModelVersion) -> None:
        super().__init__(f"model {model_version}: not known; see `hitl models`")
        self.model_version = model_version


class UnknownSnapshot(Refused):
    """No such snapshot."""

    def __init__(self, snapshot_id: SnapshotId) -> None:
        super().__init__(f"snapshot {snapshot_id}: not known; run `hitl freeze` to make one")
        self.snapshot_id = snapshot_id


class VersionTaken(Refused):
    """The name stands for another training."""

    def __init__(self, model_version: ModelVersion) -> None:
        super().__init__(
            f"model {model_version}: exists with another snapshot, recipe or seed; "
            "give this training a name of its own"
        )
        self.model_version = model_version


class VerdictStands(Refused):
    """The gate said something else of the same models, by the same rules, before."""

    def __init__(self, challenger: ModelVersion, verdict_id: int, *, was: str, now: str) -> None:
        super().__init__(
            f"model {challenger}: the gate said {was} before and says {now} now, of the same "
            "models on the same snapshot by the same recipe; a verdict is never changed. Another "
            "version of hitl may judge otherwise: label more and train again, or take it on "
            'yourself with --force --note "…"'
        )
        self.challenger = challenger
        self.verdict_id = verdict_id


class NotPromotable(Refused):
    """This model version cannot become champion so."""

    def __init__(self, model_version: ModelVersion, why: str) -> None:
        super().__init__(f"model {model_version}: {why}")
        self.model_version = model_version


class NeverPromoted(Refused):
    """It never was champion."""

    def __init__(self, model_version: ModelVersion) -> None:
        super().__init__(f"model {model_version}: was never promoted; see `hitl models`")
        self.model_version = model_version


class NoChampionBefore(Refused):
    """There is nothing to go back to."""

    def __init__(self, policy_name: str) -> None:
        super().__init__(
            f"policy {policy_name}: no champion before this one to go back to; "
            "train and promote another model"
        )
        self.policy_name = policy_name


class AnotherChampion(Refused):
    """The champion that was to be rolled back is not the champion any more."""

    def __init__(self, policy_name: str, expected: ModelVersion, is_now: ModelVersion) -> None:
        super().__init__(
            f"policy {policy_name}: the champion is {is_now}, not {expected}; "
            "see `hitl models`, then roll back the one you mean"
        )
        self.policy_name = policy_name
        self.is_now = is_now
