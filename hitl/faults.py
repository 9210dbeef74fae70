"""What may be told of an error that is not ours: its kind and its place, never its words."""

from __future__ import annotations

import traceback
from pathlib import Path


def place_of(error: BaseException) -> str:
    """`ValueError at mapping.py:31 in read`. The message is left out, as it may quote a row."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return f"{type(error).__name__} at an unknown place"
    last = frames[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} in {last.name}"
