"""Our text model beside TF-IDF and balanced logistic regression, in one run on the same rows.

    python -m benchmarks.text_model [--sets davidson,told_br] [--data FOLDER] [--on test|valid]

The peer is word 1-2 gram TF-IDF (30,000 features, sublinear, in two texts or more) with
scikit-learn's `LogisticRegression(class_weight="balanced")` for each category. Both run on one
thread. Our CPU seconds are those of the whole `fit`: held-out folds, calibration and the diversity
embedding included; the peer's are of its fit alone. The peer's probabilities come from Platt
scaling on its own out-of-fold scores over all five of the folds that we deal (we hold out as many
of them as the recipe says).
Exit 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from benchmarks.text_sets import SETS, Bar, Labels, TextSet, as_examples, data_root
from hitl.training import TextModel, TrainingRecipe, fit
from hitl.training.calibration import calibrate
from hitl.training.heads import assign_folds
from hitl.training.measure import average_precision

SEED = 20261121
RESAMPLES = 1000
SMALL = (200, 500, 1000)
SMALL_SEEDS = 5
MOST_CPU = 12.0
LEAST_RATE = 5_000.0

Scores = NDArray[np.float64]


@dataclass
class Peer:
    """TF-IDF and one balanced logistic regression a category."""

    vectoriser: TfidfVectorizer
    models: list[LogisticRegression | None]

    @classmethod
    def fit(cls, texts: list[str], labels: Labels) -> Peer:
        vectoriser = TfidfVectorizer(
            ngram_range=(1, 2), max_features=30_000, sublinear_tf=True, min_df=2
        )
        rows = vectoriser.fit_transform(texts)
        return cls(vectoriser, [cls._one(rows, y) for y in labels.T])

    @staticmethod
    def _one(rows: object, y: NDArray[np.float32]) -> LogisticRegression | None:
        if y.min() == y.max():
            return None
        return LogisticRegression(class_weight="balanced", max_iter=1000).fit(rows, y)

    def scores(self, texts: list[str]) -> Scores:
        return self._decide(self.vectoriser.transform(texts), self.models)

    @staticmethod
    def _decide(rows: object, models: list[LogisticRegression | None]) -> Scores:
        zeros = np.zeros(rows.shape[0])  # type: ignore[attr-defined]
        return np.stack([zeros if m is None else m.decision_function(rows) for m in models], 1)

    def probabilities(self, texts: list[str], train_texts: list[str], labels: Labels) -> Scores:
        """Platt's sigmoid on out-of-fold scores."""
        folds = assign_folds([f"{i:07d}" for i in range(len(labels))], folds=5, seed=SEED)
        rows = self.vectoriser.transform(train_texts)
        unseen = np.zeros(labels.shape)
        for fold in range(5):
            out = folds == fold
            models = [self._one(rows[~out], y) for y in labels[~out].T]
            unseen[out] = self._decide(rows[out], models)
        y = labels.astype(np.float64)
        return calibrate(unseen, y, np.ones_like(y), pooled_below=1).probabilities(
            self.scores(texts)
        )


def fit_ours(texts: list[str], labels: Labels, categories: tuple[str, ...]) -> TextModel:
    recipe = TrainingRecipe(categories=categories)
    return TextModel.of(fit(as_examples(texts, labels, categories), recipe, seed=SEED))


def timed(work: Callable[[], Any], *, repeats: int) -> tuple[Any, float]:
    """The result, and the fewest process CPU seconds of `repeats` runs."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def precisions(scores: Scores, labels: Labels, counts: NDArray[np.int64] | None = None) -> Scores:
    """Average precision of each category; NaN without a positive. `counts`: a resample's rows."""
    weights = np.ones(len(labels)) if counts is None else counts.astype(np.float64)
    return np.array(
        [
            average_precision(s, y, weights) if (weights * y).sum() > 0 else np.nan
            for s, y in zip(scores.T, labels.T, strict=True)
        ]
    )


def log_losses(p: Scores, labels: Labels) -> float:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return float(-np.where(labels > 0.5, np.log(p), np.log1p(-p)).mean())


def leads(
    ours: Scores, peer: Scores, labels: Labels, columns: list[list[int]]
) -> list[tuple[float, float]]:
    """For each group of columns the 95 % paired bootstrap interval of our lead, over test rows."""
    rng = np.random.default_rng(SEED)
    n = len(labels)
    found: list[list[float]] = [[] for _ in columns]
    for _ in range(RESAMPLES):
        counts = np.bincount(rng.integers(0, n, n), minlength=n)
        gain = precisions(ours, labels, counts) - precisions(peer, labels, counts)
        for place, group in zip(found, columns, strict=True):
            place.append(float(np.nanmean(gain[group])))
    return [tuple(np.percentile(one, [2.5, 97.5])) for one in found]  # type: ignore[misc]


@dataclass
class Outcome:
    """What is to be printed of one set."""

    name: str
    bars: list[tuple[Bar, float, float, tuple[float, float]]]
    log_loss: tuple[float, float]
    cpu: tuple[float, float]
    megabytes: float
    model: TextModel

    @property
    def missed(self) -> list[str]:
        low = [
            f"{self.name} {b.name}" for b, ours, peer, _ in self.bars if ours - peer < b.at_least
        ]
        if self.log_loss[0] > self.log_loss[1]:
            low.append(f"{self.name} log loss")
        if self.cpu[0] > MOST_CPU * self.cpu[1]:
            low.append(f"{self.name} CPU")
        return low


def compare(one: TextSet, *, repeats: int) -> Outcome:
    model, our_cpu = timed(
        lambda: fit_ours(one.train_texts, one.train, one.categories), repeats=repeats
    )
    peer, peer_cpu = timed(lambda: Peer.fit(one.train_texts, one.train), repeats=repeats)
    ours, theirs = model.predict(one.test_texts), peer.scores(one.test_texts)
    columns = [[one.categories.index(c) for c in bar.categories] for bar in one.bars]
    our_ap, peer_ap = precisions(ours, one.test), precisions(theirs, one.test)
    intervals = leads(ours, theirs, one.test, columns)
    return Outcome(
        one.name,
        [
            (bar, float(our_ap[at].mean()), float(peer_ap[at].mean()), interval)
            for bar, at, interval in zip(one.bars, columns, intervals, strict=True)
        ],
        (
            log_losses(ours, one.test),
            log_losses(peer.probabilities(one.test_texts, one.train_texts, one.train), one.test),
        ),
        (our_cpu, peer_cpu),
        sum(map(len, model.bundle.files.values())) / 1e6,
        model,
    )


def hide_half(one: TextSet) -> tuple[tuple[float, float], tuple[float, float]]:
    """Half of the training cells hidden: (AP, log loss) with them masked, and taken as negative."""
    hidden = np.random.default_rng(SEED).random(one.train.shape) < 0.5
    results = []
    for stand_in in (np.nan, 0.0):
        labels = np.where(hidden, np.float32(stand_in), one.train)
        p = fit_ours(one.train_texts, labels, one.categories).predict(one.test_texts)
        results.append((float(np.nanmean(precisions(p, one.test))), log_losses(p, one.test)))
    return results[0], results[1]


def learn_from_few(one: TextSet, n: int) -> tuple[float, float, float]:
    """Macro AP of ours and the peer from `n` training rows, and the lead's standard error."""
    ours, theirs = [], []
    for seed in range(SMALL_SEEDS):
        rows = np.random.default_rng(seed).choice(len(one.train), n, replace=False)
        texts, labels = [one.train_texts[r] for r in rows], one.train[rows]
        model = fit_ours(texts, labels, one.categories)
        ours.append(np.nanmean(precisions(model.predict(one.test_texts), one.test)))
        peer = Peer.fit(texts, labels)
        theirs.append(np.nanmean(precisions(peer.scores(one.test_texts), one.test)))
    gap = np.array(ours) - np.array(theirs)
    error = float(gap.std(ddof=1) / np.sqrt(SMALL_SEEDS))
    return float(np.mean(ours)), float(np.mean(theirs)), error


def rate(model: TextModel, one: TextSet) -> float:
    """Texts of 100 characters predicted in a CPU second."""
    long = " ".join(one.test_texts)
    texts = [long[i : i + 100] for i in range(0, len(long) - 100, 100)]
    texts = (texts * (20_000 // len(texts) + 1))[:20_000]
    _, seconds = timed(lambda: model.predict(texts), repeats=2)
    return len(texts) / seconds


def print_all(outcomes: list[Outcome], rates: dict[str, float], console: Console) -> None:
    table = Table(title="Average precision, ours and TF-IDF + balanced LR")
    for heading in ("set", "of", "ours", "peer", "lead", "95 %", "bar", ""):
        table.add_column(heading, justify="left" if heading in ("set", "of") else "right")
    for o in outcomes:
        for bar, ours, peer, (low, high) in o.bars:
            passed = "pass" if ours - peer >= bar.at_least else "MISS"
            lead = f"{ours - peer:+.3f}"
            interval = f"{low:+.3f} {high:+.3f}"
            name = (o.name, bar.name, f"{ours:.3f}", f"{peer:.3f}", lead, interval)
            table.add_row(*name, f"{bar.at_least:+.3f}", passed)
    console.print(table)
    table = Table(title="Log loss after calibration, CPU seconds to fit, texts a second")
    for heading in ("set", "NLL", "peer", "", "CPU s", "peer", "ratio", "", "texts/s", "", "MB"):
        table.add_column(heading, justify="left" if heading == "set" else "right")
    for o in outcomes:
        ratio = o.cpu[0] / o.cpu[1]
        table.add_row(
            o.name,
            f"{o.log_loss[0]:.4f}",
            f"{o.log_loss[1]:.4f}",
            "pass" if o.log_loss[0] <= o.log_loss[1] else "MISS",
            f"{o.cpu[0]:.2f}",
            f"{o.cpu[1]:.2f}",
            f"{ratio:.1f}",
            "pass" if ratio <= MOST_CPU else "MISS",
            f"{rates[o.name]:,.0f}",
            "pass" if rates[o.name] >= LEAST_RATE else "MISS",
            f"{o.megabytes:.1f}",
        )
    console.print(table)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sets", default=",".join(SETS), help="comma-separated")
    parser.add_argument("--data", type=Path, help="the folder of the sets")
    parser.add_argument("--on", choices=("test", "valid"), default="test", help="rows measured on")
    parser.add_argument("--repeats", type=int, default=2, help="fits timed; the fastest counts")
    parser.add_argument("--hide", default="id_multilabel", help="sets to hide half the cells of")
    parser.add_argument("--small", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args(arguments)
    console = Console(width=110)
    root = data_root(given.data)
    if root is None:
        console.print("no data: set HITL_SHARED_DATA or --data to the folder of the text sets")
        return 2
    sets = [SETS[name].read(root, measure_on=given.on) for name in given.sets.split(",")]
    with threadpool_limits(1):
        outcomes = [compare(one, repeats=given.repeats) for one in sets]
        rates = {o.name: rate(o.model, one) for o, one in zip(outcomes, sets, strict=True)}
        print_all(outcomes, rates, console)
        missed = [bar for o in outcomes for bar in o.missed]
        missed += [f"{name} rate" for name, found in rates.items() if found < LEAST_RATE]
        for one in sets:
            if one.name not in given.hide.split(","):
                continue
            masked, negative = hide_half(one)
            console.print(
                f"half of {one.name}'s cells hidden: masked AP {masked[0]:.3f} "
                f"NLL {masked[1]:.4f}, missing as negative AP {negative[0]:.3f} "
                f"NLL {negative[1]:.4f}"
            )
            if masked[0] <= negative[0]:
                missed.append(f"{one.name} hidden cells")
        if given.small:
            console.print(f"few labels, macro AP, mean of {SMALL_SEEDS} draws (+- standard error):")
            for one in sets:
                for n in (n for n in SMALL if n <= len(one.train)):
                    ours, peer, error = learn_from_few(one, n)
                    lead = f"{ours - peer:+.3f} +- {error:.3f}"
                    console.print(f"  {one.name} n={n}: ours {ours:.3f} peer {peer:.3f} {lead}")
    console.print("missed: " + ", ".join(missed) if missed else "every bar is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
