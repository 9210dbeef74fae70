"""The labelled text sets that the text benchmark reads, each as train and test arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hitl.records import Example, ItemId, Split

Labels = NDArray[np.float32]


@dataclass(frozen=True)
class Bar:
    """By how much our average precision must lead, over which categories."""

    name: str
    categories: tuple[str, ...]
    at_least: float


@dataclass(frozen=True)
class TextSet:
    """Where a set lies, what its categories are, and what we promise on it."""

    name: str
    path: str
    categories: tuple[str, ...]
    bars: tuple[Bar, ...]
    train_texts: list[str] = field(default_factory=list)
    test_texts: list[str] = field(default_factory=list)
    train: Labels = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    test: Labels = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def read(self, root: Path, *, measure_on: str = "test") -> TextSet:
        """The same set with its rows; `measure_on="valid"` leaves the test rows alone."""
        frame = pd.read_parquet(root / self.path / "items.parquet")
        if "label_class" in frame:
            cells = [frame["label_class"] == category for category in self.categories]
        else:
            cells = [frame[f"label_{category}"] for category in self.categories]
        labels = np.stack([np.asarray(cell, dtype=np.float32) for cell in cells], axis=1)
        split = frame["split"].to_numpy().astype(str)
        if "valid" not in split:
            # A set without a valid split lends an eighth of its training rows when we choose.
            lent = np.random.default_rng(0).random(len(split)) < 1 / 8
            if measure_on == "valid":
                split = np.where((split == "train") & lent, "valid", split)
        texts = frame["text"].to_numpy()
        train, test = split == "train", split == measure_on
        return replace(
            self,
            train_texts=texts[train].tolist(),
            test_texts=texts[test].tolist(),
            train=labels[train],
            test=labels[test],
        )


_TOLD = ("homophobia", "obscene", "insult", "racism", "misogyny", "xenophobia")
_ID = (
    *("hs", "abusive", "hs_individual", "hs_group", "hs_religion", "hs_race", "hs_physical"),
    *("hs_gender", "hs_other", "hs_weak", "hs_moderate", "hs_strong"),
)
_CLASSES = ("hate", "offensive", "neither")
_AG = ("Business", "Sci/Tech", "Sports", "World")

SETS = {
    one.name: one
    for one in (
        TextSet(
            "davidson",
            "text/davidson",
            _CLASSES,
            (Bar("macro", _CLASSES, 0.015), Bar("hate", ("hate",), 0.025)),
        ),
        TextSet(
            "told_br",
            "text/told_br",
            (*_TOLD, "toxic"),
            (Bar("six labels", _TOLD, 0.03), Bar("toxic", ("toxic",), -0.01)),
        ),
        TextSet("id_multilabel", "text/id_multilabel", _ID, (Bar("macro", _ID, 0.015),)),
        TextSet(
            "wiki_toxicity_seq",
            "text/wiki_toxicity_seq",
            ("toxic",),
            (Bar("toxic", ("toxic",), 0.05),),
        ),
        TextSet("ag_news_7600", "al_bench/ag_news_7600", _AG, (Bar("macro", _AG, 0.010),)),
    )
}


def data_root(given: Path | None) -> Path | None:
    """The folder of the sets: as given, else `HITL_SHARED_DATA`, else `../shared/data`."""
    named = os.environ.get("HITL_SHARED_DATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = given or (Path(named) if named else beside)
    return root if root.is_dir() else None


def as_examples(texts: Sequence[str], labels: Labels, categories: Sequence[str]) -> list[Example]:
    """One example a row; a NaN label is unknown. Each row is its own group."""
    return [
        Example(
            item_id=ItemId(f"{row:07d}"),
            text=text,
            labels={c: float(v) for c, v in zip(categories, values, strict=True) if v == v},
            group_id=f"{row:07d}",
            split=Split.TRAIN,
        )
        for row, (text, values) in enumerate(zip(texts, labels, strict=True))
    ]
