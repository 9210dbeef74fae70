"""A replay's findings on disk: replay.json and one picture each against labels and minutes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.replay_strategies import Replayed
from flows.replaying.errors import CannotWrite
from flows.replaying.pictures import draw
from flows.replaying.report import as_json

JSON, LABELS, MINUTES = "replay.json", "labels.png", "minutes.png"


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, and whether one of that name was there before."""

    path: Path
    is_replaced: bool


def ready(folder: Path) -> None:
    """Make the folder, and see that results can be written there: before the long part.

    Raises:
        CannotWrite: it is no folder, or this user may not write in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".hitl-replay-"):
            pass
    except (FileExistsError, NotADirectoryError) as cause:
        raise CannotWrite(folder, "is a file or lies below one; name a folder") from cause
    except OSError as cause:
        raise CannotWrite(folder, f"{cause.strerror}; name a folder you may write in") from cause
    for name in (JSON, LABELS, MINUTES):
        if (folder / name).is_dir():
            raise CannotWrite(folder, f"{name} is a folder there; name another folder")


def write(found: Replayed, folder: Path) -> list[Written]:
    """Write the results; what has their names is replaced, each file whole or not at all."""
    made = [
        _replace(folder / JSON, lambda path: path.write_text(_text(found), encoding="utf-8")),
        _replace(folder / LABELS, lambda path: draw(found, path, by_minutes=False)),
    ]
    if found.replay.seconds is not None:
        made.append(_replace(folder / MINUTES, lambda path: draw(found, path, by_minutes=True)))
    return made


def _text(found: Replayed) -> str:
    return json.dumps(as_json(found), indent=2, ensure_ascii=False) + "\n"


def _replace(path: Path, make: Callable[[Path], object]) -> Written:
    was_there = path.exists()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".hitl-replay-") as beside:
        new = Path(beside) / path.name
        make(new)
        os.replace(new, path)
    return Written(path, was_there)
