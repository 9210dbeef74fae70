"""A window's audit labels made ready: the questions, the slices, and the counts beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from hitl.evaluation import speaks_of, usable_counts
from hitl.evaluation.audit import after_one_more_draw
from hitl.evaluation.store import Audit, Judged, read_audit, read_judged
from hitl.evaluation.window import (
    FlagCounts,
    Responses,
    count_flags,
    largest_views,
    read_asked,
    read_texts,
    respond,
)
from hitl.policy import Policy
from hitl.records import ModelVersion

ANY = "any"
COLUMNS = ("surface", "language", "market")
IDENTITY_TERM = "identity_term"

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Question = tuple[str, FloatArray, BoolArray]


@dataclass(frozen=True, slots=True)
class Window:
    """What the audit says of one model's decisions in a window.

    The chances of `judged` have in them who answers (`responses`). `most_views` is of any item
    that the model decided on; `flags` is None where the labels rest on nothing that was counted.
    `identity_terms` (N,) by name.
    """

    judged: Judged
    responses: Responses
    flags: FlagCounts | None
    most_views: float | None
    identity_terms: Mapping[str, BoolArray]


@dataclass(frozen=True, slots=True)
class Slicing:
    """Values of a slice: `group` (M,) numbers them, for those rows of the labels, `rows` (N,)."""

    name: str
    values: tuple[str, ...]
    group: NDArray[np.int64]
    rows: BoolArray


def read_window(
    tx: Connection,
    *,
    policy: Policy,
    audit: Audit,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
    identity_terms: Mapping[str, Sequence[str]],
    with_counts: bool = True,
) -> Window:
    """The labels, with their chances mended by who answers. `with_counts`: flags and views too."""
    given = {"model_version": model_version, "start": start, "end": end}
    judged, responses = _mended(tx, policy=policy, audit=audit, **given)  # type: ignore[arg-type]
    flags = views = None
    if with_counts and len(judged):
        flags = count_flags(tx, policy=policy, audit=audit, **given)  # type: ignore[arg-type]
        views = largest_views(tx, **given)  # type: ignore[arg-type]
    matches: dict[str, BoolArray] = {}
    if identity_terms and len(judged):
        texts = read_texts(tx, judged.item_ids)
        matches = speaks_of([texts.get(one, "") for one in judged.item_ids], identity_terms)
    return Window(judged, responses, flags, views, matches)


def judged_since(
    tx: Connection,
    *,
    policy: Policy,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
) -> Judged:
    """What the audit says of this model's decisions in a window, mended by who answers."""
    audit = read_audit(tx, policy=policy)
    given = {"model_version": model_version, "start": start, "end": end}
    return _mended(tx, policy=policy, audit=audit, **given)[0]  # type: ignore[arg-type]


def _mended(
    tx: Connection,
    *,
    policy: Policy,
    audit: Audit,
    model_version: ModelVersion,
    start: datetime,
    end: datetime,
) -> tuple[Judged, Responses]:
    given = {"model_version": model_version, "start": start, "end": end}
    judged = read_judged(tx, policy=policy, audit=audit, **given)  # type: ignore[arg-type]
    asked = read_asked(tx, policy=policy, audit=audit, **given)  # type: ignore[arg-type]
    responses = respond(
        asked.score, asked.language, asked.surface,
        expected=asked.expected, is_answered=asked.is_answered,
    )  # fmt: skip
    factor = dict(zip(asked.item_ids.tolist(), responses.factor.tolist(), strict=True))
    return by_response(judged, factor), responses


def by_response(judged: Judged, factor: Mapping[str, float]) -> Judged:
    """The labels with the chance of each times its cell's factor: answering is one more draw.

    What is thinned to an even draw afterwards is even among all that were asked.
    """
    own = np.array([factor.get(one, 1.0) for one in judged.item_ids.tolist()])
    if not len(own) or (own == 1.0).all():
        return judged
    largest, least = judged.largest_weight, min(1.0, *factor.values())
    chance, spread = after_one_more_draw(judged.inclusion_probability, judged.variance_weight, own)
    return replace(
        judged,
        inclusion_probability=chance,
        variance_weight=spread,
        least_chance=judged.least_chance * least,
        evenness=judged.evenness * least / own,
        least_flagged=judged.least_flagged * least,
        evenness_flagged=judged.evenness_flagged * least / own[:, None],
        largest_weight=None if largest is None else largest / least,
        largest_flagged=judged.largest_flagged / least,
    )


def questions(judged: Judged, policy: Policy) -> Iterator[Question]:
    """Each category, then whether the item violates anything: (name, truth (N,), flagged (N,))."""
    thresholds = np.array([one.threshold for one in policy.category])
    known = ~np.isnan(judged.probabilities)
    flags = np.logical_and(known, np.where(known, judged.probabilities, 0.0) >= thresholds)
    for k, category in enumerate(policy.category_ids):
        # A model that does not know a category cannot be measured on it.
        truth = np.where(known[:, k], judged.truth[:, k], np.nan)
        if known[:, k].any() or not len(judged):
            yield category, truth, flags[:, k]
    # Only items with an answer to everything. One yes would be enough to know of a violation, but
    # then partly answered items would count if they violate and be left out if not.
    answered = ~np.isnan(judged.truth).any(axis=1)
    violates = (judged.truth > 0).any(axis=1)
    truth = np.where(answered, violates.astype(np.float64), np.nan)
    yield ANY, truth, np.any(flags, axis=1)


def largest_flagged(judged: Judged, asked: Sequence[Question], policy: Policy) -> FloatArray | None:
    """The most that anything which is flagged could have counted, a question each; None if
    nothing could have been drawn."""
    if judged.largest_weight is None:
        return None
    of_category = dict(zip(policy.category_ids, judged.largest_flagged, strict=True))
    return np.array([of_category.get(name, judged.largest_flagged.max()) for name, _, _ in asked])


def slicings(window: Window) -> Iterator[Slicing]:
    """All labels; each column of which anything is known; then those of each identity term."""
    judged = window.judged
    everything = np.ones(len(judged), dtype=bool)
    yield Slicing("", ("",), np.zeros(len(judged), dtype=np.int64), everything)
    for name in COLUMNS:
        column: NDArray[Any] = getattr(judged, name)
        values, group = np.unique(column.astype(str), return_inverse=True)
        if name == "market" and values.tolist() in ([], ["unknown"]):
            continue  # most sources have none
        yield Slicing(name, tuple(values.tolist()), group.astype(np.int64), everything)
    for term, rows in window.identity_terms.items():
        # An item may be of several, so each is a slicing of its own.
        yield Slicing(IDENTITY_TERM, (term,), np.zeros(int(rows.sum()), dtype=np.int64), rows)


def known_counts(
    flags: FlagCounts | None, slicing: Slicing, asked: Sequence[Question], policy: Policy
) -> FloatArray | None:
    """How many items are not flagged and flagged, (slices, questions, 2), where that is of use
    (`usable_counts`). None where nothing was counted for such slices."""
    if flags is None or slicing.name == IDENTITY_TERM:
        return None
    column: NDArray[Any] = np.full(len(flags.items), "", dtype=object)
    if slicing.name:
        column = flags.columns[slicing.name]
    number = {value: k for k, value in enumerate(slicing.values)}
    group = np.array([number.get(one, -1) for one in column.tolist()], dtype=np.int64)
    place = {category: k for k, category in enumerate(policy.category_ids)}
    size = len(slicing.values)
    items, labels = np.zeros((2, size, len(asked), 2))
    for column_of, (name, truth, flagged) in enumerate(asked):
        if name == ANY:
            says = (flags.flags == 1.0).any(axis=1).astype(float)
        else:
            says = flags.flags[:, place[name]]
        answered = ~np.isnan(truth[slicing.rows])
        for flag in (0, 1):
            counted = (group >= 0) & (says == flag)
            here = answered & (flagged[slicing.rows] == bool(flag))
            items[:, column_of, flag] = np.bincount(group[counted], flags.items[counted], size)
            labels[:, column_of, flag] = np.bincount(slicing.group[here], minlength=size)
    return usable_counts(items, labels, asked=np.bincount(slicing.group, minlength=size))
