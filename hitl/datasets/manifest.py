"""The manifest: what a snapshot holds, and by which hashes its parts are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hitl.datasets.examples import CategoryCounts, SideCounts
from hitl.errors import Refused
from hitl.records import PolicyId, SnapshotId, Split

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"


class SnapshotMissing(Refused):
    """There is no complete snapshot in this folder."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"snapshot {folder}: {why}; run `hitl freeze` to make it")
        self.folder = folder


class SnapshotDamaged(Refused):
    """A snapshot is not what it was when it was frozen."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"snapshot {folder}: {why}; bring it back from a copy, "
            "or move the folder away and run `hitl freeze`"
        )
        self.folder = folder


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot holds. `parts` maps file name to SHA-256, in order."""

    schema_version: int
    snapshot_id: SnapshotId
    policy_id: PolicyId
    categories: tuple[str, ...]
    measuring_fraction: float
    salt: str
    counts: Mapping[Split, SideCounts]
    parts: Mapping[str, str]

    @property
    def examples(self) -> int:
        return sum(one.examples for one in self.counts.values())

    @property
    def labels(self) -> int:
        """Known answers, over all categories."""
        each = [one for side in self.counts.values() for one in side.categories.values()]
        return sum(one.positive + one.negative for one in each)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a snapshot folder, its form checked and its hashes not.

    Raises:
        SnapshotMissing: no such folder, or a crashed write.
        SnapshotDamaged: it is not a manifest, or one of another schema version.
    """
    try:
        body = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as cause:
        why = "a crashed write without a manifest" if folder.is_dir() else "no such folder"
        raise SnapshotMissing(folder, why) from cause
    except (ValueError, NotADirectoryError) as cause:
        raise SnapshotDamaged(folder, f"{MANIFEST} is not JSON") from cause
    try:
        version = body["schema_version"]
        if version != SCHEMA_VERSION:
            raise SnapshotDamaged(
                folder, f"schema version {version!r}, this program reads {SCHEMA_VERSION}"
            )
        return Manifest(
            schema_version=version,
            snapshot_id=SnapshotId(str(body["snapshot_id"])),
            policy_id=PolicyId(str(body["policy_id"])),
            categories=tuple(map(str, body["categories"])),
            measuring_fraction=float(body["measuring_fraction"]),
            salt=str(body["salt"]),
            counts={
                Split(split): SideCounts(
                    side["examples"],
                    {name: CategoryCounts(**one) for name, one in side["categories"].items()},
                )
                for split, side in body["counts"].items()
            },
            parts={str(name): str(digest) for name, digest in body["parts"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise SnapshotDamaged(folder, f"{MANIFEST} lacks or garbles {cause}") from cause


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it. The last step of a snapshot: a folder without one is a crashed write."""
    body = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(body + "\n", encoding="utf-8")
