"""Snapshots on disk: Parquet parts, the manifest last, and a name that is their content's hash."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hitl.datasets.examples import SourcedExample, canonical, count_labels
from hitl.datasets.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Manifest,
    SnapshotDamaged,
    read_manifest,
    write_manifest,
)
from hitl.records import BatchId, Example, ItemId, PolicyId, SnapshotId, Split

ROWS_PER_PART = 50_000
_PART = re.compile(r"part-[0-9]{5}\.parquet")
_LABEL = "label_"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot in memory, checked to the last byte. Rows are in order of item id."""

    manifest: Manifest
    rows: tuple[SourcedExample, ...]

    @property
    def snapshot_id(self) -> SnapshotId:
        return self.manifest.snapshot_id

    @property
    def examples(self) -> tuple[Example, ...]:
        return tuple(row.example for row in self.rows)


@dataclass(frozen=True, slots=True)
class Frozen:
    """What writing left behind. `is_new` is False where the same snapshot lay there already."""

    folder: Path
    manifest: Manifest
    is_new: bool


def write_snapshot(
    root: Path,
    rows: Sequence[SourcedExample],
    *,
    policy_id: PolicyId,
    categories: Sequence[str],
    measuring_fraction: float,
    salt: str,
    rows_per_part: int = ROWS_PER_PART,
) -> Frozen:
    """Freeze `rows` into `root/<snapshot id>`.

    The same rows give the same name, and by the same pyarrow the same bytes. A complete folder of
    that name is checked and kept; one without a manifest is a crashed write and is replaced. Two
    writers of one snapshot at once must be kept apart by the caller.

    Raises:
        SnapshotDamaged: the snapshot lies there already and has changed since.
    """
    snapshot_id = _content_hash(rows, policy_id, categories, measuring_fraction, salt)
    root.mkdir(parents=True, exist_ok=True)
    folder = root / snapshot_id
    _remove_crashed(root, snapshot_id)
    if (folder / MANIFEST).exists():
        return Frozen(folder, read_snapshot(folder).manifest, is_new=False)

    writing = Path(tempfile.mkdtemp(dir=root, prefix=_writing_prefix(snapshot_id)))
    parts: dict[str, str] = {}
    for number, start in enumerate(range(0, len(rows), rows_per_part)):
        name = f"part-{number:05d}.parquet"
        _write_part(writing / name, rows[start : start + rows_per_part], categories)
        parts[name] = _sha256(writing / name)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        snapshot_id=snapshot_id,
        policy_id=policy_id,
        categories=tuple(categories),
        measuring_fraction=measuring_fraction,
        salt=salt,
        counts=count_labels(rows, categories),
        parts=parts,
    )
    # The manifest is written last: a snapshot without one is a crashed write, not a dataset.
    write_manifest(writing, manifest)
    for path in (*writing.iterdir(), writing):
        _flush(path)
    writing.chmod(0o755)  # mkdtemp gives 0700; training may run as another user
    writing.rename(folder)
    _flush(root)
    return Frozen(folder, manifest, is_new=True)


def read_snapshot(path: Path) -> Snapshot:
    """Read the snapshot in folder `path`, and check that every byte is as it was frozen.

    Raises:
        SnapshotMissing: no such folder, or a crashed write.
        SnapshotDamaged: a part, the manifest or the folder's name was changed.
    """
    manifest = read_manifest(path)
    rows: list[SourcedExample] = []
    for name, expected in manifest.parts.items():
        part = _inside(path, name)
        if not part.is_file():
            raise SnapshotDamaged(path, f"{name} is gone")
        if _sha256(part) != expected:
            raise SnapshotDamaged(path, f"{name} was changed after it was frozen")
        try:
            rows += _read_part(part, manifest)
        except (pa.ArrowException, KeyError, ValueError) as cause:
            raise SnapshotDamaged(path, f"{name} cannot be read: {type(cause).__name__}") from cause
    found = _content_hash(
        rows, manifest.policy_id, manifest.categories, manifest.measuring_fraction, manifest.salt
    )
    # The hash covers what no part does: the manifest's own words, and parts left out of it.
    if found != manifest.snapshot_id:
        raise SnapshotDamaged(path, "its content is not what its manifest says")
    if count_labels(rows, manifest.categories) != manifest.counts:
        raise SnapshotDamaged(path, "the counts in its manifest were changed")
    if path.resolve().name != manifest.snapshot_id:
        raise SnapshotDamaged(path, f"the folder was renamed, it holds {manifest.snapshot_id}")
    return Snapshot(manifest, tuple(rows))


def _content_hash(
    rows: Sequence[SourcedExample],
    policy_id: PolicyId,
    categories: Sequence[str],
    measuring_fraction: float,
    salt: str,
) -> SnapshotId:
    """Over the content and not over the files, which differ between versions of pyarrow."""
    head = {
        "schema_version": SCHEMA_VERSION,
        "policy_id": policy_id,
        "categories": list(categories),
        "measuring_fraction": measuring_fraction,
        "salt": salt,
    }
    hashed = hashlib.sha256(_line(head))
    for row in rows:
        hashed.update(_line(canonical(row)))
    return SnapshotId(hashed.hexdigest()[:32])


def _line(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _arrow_schema(categories: Sequence[str]) -> Any:
    words = ("item_id", "text", "language", "surface", "group_id", "split")
    origin = ("share", "strategy", "batch_id", "policy_id")
    return pa.schema(
        [pa.field(name, pa.string()) for name in words]
        + [pa.field("example_weight", pa.float64())]
        + [pa.field("inclusion_probability", pa.float64())]
        + [pa.field(name, pa.string()) for name in origin]
        # NULL: nobody answered. It is not a no.
        + [pa.field(_LABEL + category, pa.bool_()) for category in categories]
    )


def _write_part(path: Path, rows: Sequence[SourcedExample], categories: Sequence[str]) -> None:
    records = []
    for row in rows:
        record = canonical(row)
        answers = record.pop("labels")
        record["example_weight"] = record.pop("weight")
        record |= {_LABEL + category: answers.get(category) for category in categories}
        records.append(record)
    # Every setting is written out: a default that changes must not change our bytes.
    pq.write_table(
        pa.Table.from_pylist(records, schema=_arrow_schema(categories)),
        path,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=True,
        write_statistics=True,
        data_page_version="1.0",
        row_group_size=ROWS_PER_PART,
        store_schema=False,
    )


def _read_part(path: Path, manifest: Manifest) -> Iterator[SourcedExample]:
    table = pq.ParquetFile(path).read()
    if set(table.column_names) != set(_arrow_schema(manifest.categories).names):
        raise ValueError("columns")
    for one in table.to_pylist():
        answers = {category: one[_LABEL + category] for category in manifest.categories}
        yield SourcedExample(
            example=Example(
                item_id=ItemId(one["item_id"]),
                text=one["text"],
                labels={
                    name: float(value)
                    for name, value in sorted(answers.items())
                    if value is not None
                },
                group_id=one["group_id"],
                split=Split(one["split"]),
                weight=one["example_weight"],
                inclusion_probability=one["inclusion_probability"],
                language=one["language"],
                surface=one["surface"],
            ),
            batch_id=BatchId(one["batch_id"]),
            policy_id=PolicyId(one["policy_id"]),
            share=one["share"],
            strategy=one["strategy"],
        )


def _inside(folder: Path, name: str) -> Path:
    """A part's path. Only our own names, and no link that leads out of the folder."""
    path = folder / name
    if not _PART.fullmatch(name) or path.resolve().parent != folder.resolve():
        raise SnapshotDamaged(folder, f"its manifest names {name!r}, which is not a part of it")
    return path


def _writing_prefix(snapshot_id: SnapshotId) -> str:
    return f".{snapshot_id}.writing-"


def _remove_crashed(root: Path, snapshot_id: SnapshotId) -> None:
    folder = root / snapshot_id
    if folder.is_dir() and not (folder / MANIFEST).exists():
        shutil.rmtree(folder)
    for left in root.glob(_writing_prefix(snapshot_id) + "*"):
        shutil.rmtree(left)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk: rename alone does not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
