"""A file of labelled items as arrays: read whole, checked, refused in words that quote nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.replaying.errors import BadColumn, NoSuchColumn, TooFewToReplay, TooMuchToReplay
from hitl.decisions import Column, MissingColumns, find_sources, shown
from hitl.decisions.chunks import Block, Reject, Row

ITEM_LIMIT = 200_000
CHARACTER_LIMIT = 200_000_000
CLASS_LIMIT = 50
"""More values than this are no classes; most likely the column holds something else."""

_ANSWERS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}
_TRAIN, _TEST = frozenset({"train", "training"}), frozenset({"test", "testing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column of the file says what. One label column that is not 0/1 names classes.

    `text` and `split` None: a column of that name; it may be missing where there is an
    `embedding`, and `split` in any case.
    """

    labels: tuple[str, ...]
    text: str | None = None
    embedding: str | None = None
    seconds: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """N items with their labels.

    `labels` is (N, C) of 0/1, or (N,) class numbers where `is_exclusive`; `categories` are the
    label columns or the classes. `is_train` and `is_test`, each (N,), stand where the file says
    which items measure. `set_aside` rows could not be read or have no text.
    """

    source: str
    categories: tuple[str, ...]
    labels: NDArray[np.float64]
    is_exclusive: bool
    texts: tuple[str, ...] | None
    embeddings: NDArray[np.float32] | None
    seconds: NDArray[np.float64] | None
    groups: tuple[str | None, ...] | None
    is_train: NDArray[np.bool_] | None
    is_test: NDArray[np.bool_] | None
    set_aside: int

    def __len__(self) -> int:
        return len(self.labels)


def read_labelled(source: str, columns: Columns, *, hold_out: bool = False) -> LabelledSet:
    """Every row of a Parquet, CSV, TSV or JSON Lines file (or folder, glob, URL) of labelled items.

    Args:
        hold_out: pay no attention to a split column.

    Raises:
        NoSuchColumn, BadColumn, TooFewToReplay, TooMuchToReplay: see there.
        SourceRefused, SourceUnavailable: nothing readable is there.
    """
    name = shown(source)
    rows = _Rows(name, columns, hold_out=hold_out)
    for one in find_sources(source):
        try:
            for read in one.read(rows.wanted):
                rows.take(read)
        except MissingColumns as missing:
            listed = str(missing).partition("\n")[0].removeprefix(f"{one.name}: ")
            raise NoSuchColumn(
                name, [(rows.option_of[column], column) for column in missing.missing], listed
            ) from None
    return rows.gathered()


class _Rows:
    """Rows on their way in, column by column."""

    def __init__(self, source: str, columns: Columns, *, hold_out: bool) -> None:
        self.text = columns.text or "text"
        self.needs_text = columns.text is not None or columns.embedding is None
        given = [
            ("--text", self.text, self.needs_text),
            *(("--label", name, True) for name in columns.labels),
            ("--embedding", columns.embedding, True),
            ("--seconds", columns.seconds, True),
            ("--group", columns.group, True),
            ("--split", None if hold_out else columns.split or "split", columns.split is not None),
        ]
        # By name: two options may well mean one column.
        named = {name: (option, needed) for option, name, needed in given if name is not None}
        self.source, self.columns = source, columns
        self.option_of = {name: option for name, (option, _) in named.items()}
        self.wanted = [
            Column(f"replay.{option}", name, is_required=needed)
            for name, (option, needed) in named.items()
        ]
        self.values: dict[str, list[Any]] = {column.name: [] for column in self.wanted}
        self.lines: list[int] = []
        self.set_aside = self.characters = 0
        self.has_text = False

    def take(self, read: object) -> None:
        """One row, or a block of them; what cannot be read, or has no text, is set aside."""
        if isinstance(read, Reject):
            self.set_aside += 1
        elif isinstance(read, Block):
            for row in read.rows():
                self._take(row)
        elif isinstance(read, Row):
            self._take(read)

    def _take(self, read: Row) -> None:
        found = dict(zip(self.values, read.values, strict=True))
        text = found[self.text]
        if isinstance(text, str) and text.strip() and _is_unicode(text):
            self.characters += len(text)
            self.has_text = True
        elif self.needs_text:
            self.set_aside += 1
            return
        for name, value in found.items():
            # A list of Python numbers is eight times as large as the array of them.
            self.values[name].append(_vector(value) if name == self.columns.embedding else value)
        self.lines.append(read.line)
        if len(self.lines) > ITEM_LIMIT or self.characters > CHARACTER_LIMIT:
            raise TooMuchToReplay(
                self.source,
                f"holds more than {ITEM_LIMIT:,} items or {CHARACTER_LIMIT:,} characters",
            )

    def gathered(self) -> LabelledSet:
        """All of them as arrays."""
        if not self.lines:
            raise TooFewToReplay(self.source, "holds no row with content that could be read")
        of, columns = self.values, self.columns
        labels, categories, is_exclusive = self._labels()
        is_train, is_test = self._sides()
        return LabelledSet(
            source=self.source,
            categories=categories,
            labels=labels,
            is_exclusive=is_exclusive,
            texts=tuple(one if isinstance(one, str) else "" for one in of[self.text])
            if self.has_text
            else None,
            embeddings=None if columns.embedding is None else self._embeddings(columns.embedding),
            seconds=None
            if columns.seconds is None
            else self._numbers(
                columns.seconds,
                _seconds,
                "is no number of seconds above 0; give what a review took",
            ),
            groups=None
            if columns.group is None
            else tuple(None if one is None else str(one) for one in of[columns.group]),
            is_train=is_train,
            is_test=is_test,
            set_aside=self.set_aside,
        )

    def _labels(self) -> tuple[NDArray[np.float64], tuple[str, ...], bool]:
        for name in self.columns.labels:
            absent = [line for line, one in self._with_lines(name) if _is_absent(one)]
            if absent:
                problem = "has no label that can be read; label these rows or leave them out"
                raise BadColumn(self.source, name, absent, problem)
        names = tuple(dict.fromkeys(self.columns.labels))
        if len(names) == 1 and any(_answer(one) is None for one in self.values[names[0]]):
            return self._classes(names[0])
        problem = "is neither 0 nor 1; several --label columns must all be 0/1"
        table = [self._numbers(name, _answer, problem) for name in names]
        return np.stack(table, axis=1), names, False

    def _classes(self, name: str) -> tuple[NDArray[np.float64], tuple[str, ...], bool]:
        parts = [
            line
            for line, one in self._with_lines(name)
            if isinstance(one, float) and not one.is_integer()
        ]
        if parts:
            raise BadColumn(
                self.source, name, parts, "is a number between; give 0/1, or names of classes"
            )
        written = [
            str(int(one)) if isinstance(one, float) else str(one) for one in self.values[name]
        ]
        classes = sorted(set(written))
        if len(classes) > CLASS_LIMIT:
            raise BadColumn(
                self.source,
                name,
                self.lines,
                f"holds {len(classes):,} different values; at most {CLASS_LIMIT} can be classes",
            )
        number = {one: float(k) for k, one in enumerate(classes)}
        return np.array([number[one] for one in written]), tuple(classes), True

    def _embeddings(self, name: str) -> NDArray[np.float32]:
        vectors = self.values[name]
        width = max(len(one) for one in vectors)
        bad = [
            line
            for line, one in zip(self.lines, vectors, strict=True)
            if not width or len(one) != width or not np.isfinite(one).all()
        ]
        if bad:
            raise BadColumn(
                self.source, name, bad, "is no list of finite numbers as long as the others"
            )
        return np.stack(vectors)

    def _numbers(
        self, name: str, read: Callable[[Any], float | None], problem: str
    ) -> NDArray[np.float64]:
        found = [read(one) for one in self.values[name]]
        bad = [line for line, one in zip(self.lines, found, strict=True) if one is None]
        if bad:
            raise BadColumn(self.source, name, bad, problem)
        return np.array(found, dtype=np.float64)

    def _sides(self) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
        name = self.columns.split or "split"
        values = self.values.get(name, [None])
        if all(one is None for one in values):
            return None, None
        sides = [str(one).strip().lower() for one in values]
        train, test = (np.array([one in words for one in sides]) for words in (_TRAIN, _TEST))
        if not train.any() or not test.any():
            raise BadColumn(
                self.source,
                name,
                self.lines,
                "has not both train and test in it; write these, or hold a third out by chance "
                "with --hold-out",
            )
        return train, test

    def _with_lines(self, name: str) -> zip[tuple[int, Any]]:
        return zip(self.lines, self.values[name], strict=True)


def _is_absent(value: Any) -> bool:
    is_nothing = not isinstance(value, str | int | float)  # None, and what could not be decoded
    return is_nothing or (isinstance(value, float) and not math.isfinite(value))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that were not UTF-8 arrive as lone surrogates
        return False
    return True


def _answer(value: Any) -> float | None:
    return _ANSWERS.get(str(value).strip().lower())


def _seconds(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found > 0.0 else None


def _vector(value: Any) -> NDArray[np.float32]:
    """The numbers of a list, or of a JSON list as CSV holds it; none where it is neither."""
    nothing = np.empty(0, dtype=np.float32)
    try:
        numbers = json.loads(value) if isinstance(value, str) else value
        vector = np.asarray(numbers, dtype=np.float32)
    except (TypeError, ValueError, RecursionError):
        return nothing
    return vector if vector.ndim == 1 else nothing
