"""A trained model on disk: plain numbers and JSON, checked byte by byte when read.

A bundle is a folder. `manifest.json` is written last, into a folder that gets its name last: a
folder without one, or under a name that starts with a dot, is a crashed write. No pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from
from safetensors.numpy import save as tensors_to

from hitl.training.errors import BadBundle

FORMAT = 1
MANIFEST = "manifest.json"
TENSORS = "tensors.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A trained model as values: arrays by name, and all that is said about them (JSON).

    `manifest` is what was read from disk, None before the first save.
    """

    tensors: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any]
    manifest: bytes | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """The order of C."""
        return tuple(self.about["categories"])

    @property
    def metrics(self) -> Mapping[str, Any]:
        """By category: counts, average precision and log loss on unseen folds, calibration."""
        metrics: Mapping[str, Any] = self.about["metrics"]
        return metrics

    @property
    def digest(self) -> str:
        """The sha256 of the manifest, which holds that of every other file: the bundle's name."""
        # As read: packed anew by another version of safetensors, the same model has other bytes.
        return _sha256(self.files[MANIFEST] if self.manifest is None else self.manifest)

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The folder's files, the manifest last. The same bundle gives the same bytes."""
        packed = tensors_to({k: np.ascontiguousarray(v) for k, v in sorted(self.tensors.items())})
        manifest = {**self.about, "format": FORMAT, "files": {TENSORS: _sha256(packed)}}
        manifest["manifest_sha256"] = _sha256(_canonical(manifest))
        return {TENSORS: packed, MANIFEST: _canonical(manifest)}

    def save(self, folder: Path, *, replace: bool = False) -> Path:
        """Write the bundle as `folder`, whole or not at all. Again with the same bundle: no-op.

        A folder without a manifest is a crashed write and is made anew; so is one that holds
        something else, with `replace`. Two writers of one folder at once must be kept apart by
        the caller.

        Raises:
            BadBundle: the folder exists and holds something else.
        """
        if all(
            (folder / name).is_file() and (folder / name).read_bytes() == content
            for name, content in self.files.items()
        ):
            return folder
        if (folder / MANIFEST).exists() and not replace:
            raise BadBundle(folder, "exists and holds something else; choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_crashed(folder)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            draft.chmod(0o755)
            for name, content in self.files.items():
                (draft / name).write_bytes(content)
            for path in (*draft.iterdir(), draft):
                _flush(path)
            if folder.exists():
                shutil.rmtree(folder)
            draft.rename(folder)
            _flush(folder.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return folder


def read(folder: Path) -> Bundle:
    """Read a bundle and check each byte against the manifest.

    Raises:
        BadBundle: no manifest, a changed or missing file, or a format newer than this code.
    """
    try:
        raw = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as missing:
        reason = "has no manifest.json, so it was never finished; train again, or copy it again"
        raise BadBundle(folder, reason) from missing
    except OSError as closed:
        reason = f"cannot be read ({type(closed).__name__}); let this user read its files"
        raise BadBundle(folder, reason) from closed
    try:
        manifest = json.loads(raw)
    except ValueError as broken:
        raise BadBundle(folder, "manifest.json is not JSON; copy the bundle again") from broken
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(found, int) or not 1 <= found <= FORMAT:
        reason = f"format {found!r} is not one of 1 to {FORMAT}; update hitl to read it"
        raise BadBundle(folder, reason)
    claimed = manifest.pop("manifest_sha256", None)
    if claimed != _sha256(_canonical(manifest)):
        raise BadBundle(folder, "manifest.json was changed after writing; copy the bundle again")
    files = {}
    for name, sha256 in manifest.get("files", {}).items():
        path = folder / name
        content = path.read_bytes() if path.is_file() else b""
        if _sha256(content) != sha256:
            raise BadBundle(folder, f"{name} is missing or was changed; copy the bundle again")
        files[name] = content
    try:
        tensors = tensors_from(files[TENSORS])
    except (SafetensorError, KeyError) as broken:
        raise BadBundle(folder, f"{TENSORS} cannot be read; train again") from broken
    about = {k: v for k, v in manifest.items() if k not in ("format", "files")}
    return Bundle(tensors, about, manifest=raw)


def _remove_crashed(folder: Path) -> None:
    """Drafts of this bundle that a killed process left."""
    for left in folder.parent.iterdir():
        if left.name.startswith(f".{folder.name}."):
            shutil.rmtree(left)


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _flush(path: Path) -> None:
    """Bring a file's bytes, or a folder's names, to the disk: rename alone does not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
