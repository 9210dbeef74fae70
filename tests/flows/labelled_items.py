"""Invented labelled items for replays: words without meaning, some of which decide the labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_REDS = ("rouge", "scarlet", "crimson", "ruby", "cherry", "maroon")
_BLUES = ("azure", "navy", "cobalt", "indigo", "teal", "sapphire")


def make_items(count: int = 600, *, seed: int = 0) -> pd.DataFrame:
    """Columns text, red (one in six), blue (one in four), kind (plain, red or blue)."""
    rng = np.random.default_rng(seed)
    # Of letters alone: near copies are told by their letters.
    words = np.array([a + b + "m" + c for a in "bdgklt" for b in "ae" for c in "aeiou"])
    red = rng.random(count) < 1 / 6
    blue = rng.random(count) < 1 / 4
    texts = []
    for is_red, is_blue in zip(red, blue, strict=True):
        chosen = list(rng.choice(words, size=rng.integers(4, 14)))
        chosen += [rng.choice(_REDS)] if is_red else []
        chosen += [rng.choice(_BLUES)] if is_blue else []
        texts.append(" ".join(rng.permutation(chosen)))
    return pd.DataFrame(
        {
            "text": texts,
            "red": red.astype(int),
            "blue": blue.astype(int),
            "kind": np.where(red, "red", np.where(blue, "blue", "plain")),
        }
    )


def write_items(path: Path, frame: pd.DataFrame | None = None, **changes: Any) -> Path:
    """The items as a file, by its ending; `changes` replace or add columns."""
    frame = (make_items() if frame is None else frame).assign(**changes)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True)
    return path
