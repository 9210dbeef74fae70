"""The model card: what a model is for, what it learned from, how good it is, where it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

INTENDED_USE = (
    "Deciding which content a person should look at, and ordering what they look at, under the "
    "policy named above.",
    "Not for deciding alone: without a certificate for a threshold every decision is a review.",
    "Not for judging people, and not for content under another policy.",
)
LIMITS = (
    "It knows what reviewers labelled. Kinds of violation that were never labelled are unknown "
    "to it, and languages or surfaces with few labels are where it is weakest.",
    "It sees text alone: no images, no conversation, no author.",
    "Figures count each audited item of the measuring side once, whatever its chance of being "
    "chosen was, and judge the model, not the stream: what its decisions are worth in the stream, "
    "weighted by those chances, is `hitl measure`'s to say. When the stream changes, they age.",
    "A code in place of a value means that there are too few labels to say a number.",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its interval, or a code in place of a value."""

    metric: str
    category: str
    slice_name: str
    slice_value: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_positive: int
    code: str | None
    method: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model learned one category from; `remark` is where that was too little."""

    category: str
    answers: int
    violating: int
    remark: str


@dataclass(frozen=True, slots=True)
class CardFacts:
    """Everything a card says. Moments are in UTC; `data_note` is shown above all else.

    `categories` are (title, definition) in the policy's order; `counts` are what the model
    learned from and was measured on, by name. Of a text it reads the first `characters_read`.
    """

    model_version: str
    state: str
    policy_id: str
    policy_title: str
    categories: Sequence[tuple[str, str]]
    recipe_id: str
    seed: int
    snapshot_id: str
    trained_at: datetime
    counts: Mapping[str, int]
    figures: Sequence[Figure]
    learned: Sequence[Learned] = ()
    characters_read: int | None = None
    decision: str | None = None
    reasons: Sequence[str] = ()
    judged_beside: str | None = None
    promoted_at: datetime | None = None
    approved_by: str | None = None
    note: str = ""
    data_note: str = ""
    intended_use: Sequence[str] = INTENDED_USE
    limits: Sequence[str] = LIMITS


def learned_from(
    metrics: Mapping[str, Mapping[str, Any]], categories: Iterable[str]
) -> list[Learned]:
    """From what training said of itself; of those categories that it said something of."""
    return [
        Learned(
            one, int(metrics[one]["known"]), int(metrics[one]["positives"]), _remark(metrics[one])
        )
        for one in categories
        if one in metrics
    ]


def _remark(metrics: Mapping[str, Any]) -> str:
    if metrics["constant"]:
        return "every answer was the same: it says one number of any text"
    if metrics["calibrated_by"] == "pooled":
        return "too few of one kind to calibrate alone: calibrated with the others together"
    return "" if metrics["calibrated_by"] == "own" else "not calibrated"


def render(facts: CardFacts) -> str:
    """The card as Markdown. Equal facts give equal bytes, in whatever order figures come."""
    parts = [f"# Model card: {_plain(facts.model_version)}"]
    if facts.data_note.strip():
        parts.append(f"> **Note on the data.** {_plain(facts.data_note)}")
    parts += [
        _table(("What", "Which"), _identity(facts)),
        "## Intended use",
        _bullets(facts.intended_use),
        "## Policy",
        _table(("Category", "Definition shown to reviewers"), facts.categories),
        "## Labels",
        _table(("What", "Count"), [(name, f"{count}") for name, count in facts.counts.items()]),
    ]
    if facts.learned:
        head = ("Category", "Training answers", "Violating", "Remark")
        rows = [(o.category, str(o.answers), str(o.violating), o.remark) for o in facts.learned]
        parts.append(_table(head, rows))
    parts += [
        "## Figures",
        _figures([one for one in facts.figures if not one.slice_name], by_slice=False),
    ]
    slices = [one for one in facts.figures if one.slice_name]
    if slices:
        parts += ["## By slice", _figures(slices, by_slice=True)]
    limits = [*facts.limits]
    if facts.characters_read is not None:
        limits.append(f"Of a text it reads the first {facts.characters_read:,} characters.")
    parts += ["## Gate", _gate(facts), "## Limits", _bullets(limits)]
    return "\n\n".join(parts) + "\n"


def _identity(facts: CardFacts) -> list[tuple[str, str]]:
    rows = [
        ("Model version", facts.model_version),
        ("State", facts.state),
        ("Policy", f"{facts.policy_title} ({facts.policy_id})"),
        ("Recipe", facts.recipe_id),
        ("Seed", str(facts.seed)),
        ("Snapshot", facts.snapshot_id),
        ("Trained", _moment(facts.trained_at)),
    ]
    if facts.promoted_at is not None:
        since = "Champion since" if facts.state == "champion" else "Was made champion"
        rows.append((since, _moment(facts.promoted_at)))
        rows.append(("Approved by", facts.approved_by or ""))
    if facts.note:
        rows.append(("Note", facts.note))
    return rows


def _figures(figures: Iterable[Figure], *, by_slice: bool) -> str:
    ordered = sorted(
        figures,
        key=lambda f: (f.slice_name, f.slice_value, f.metric, f.category != "macro", f.category),
    )
    if not ordered:
        return "None: nothing was measured yet."
    rows = []
    for one in ordered:
        where = (f"{one.slice_name} {one.slice_value}",) if by_slice else ()
        rows.append(
            (
                *where,
                one.metric,
                one.category,
                f"{one.value:.3f}" if one.value is not None else f"({one.code})",
                _interval(one),
                str(one.n),
                str(one.n_positive),
                one.method,
            )
        )
    head = ("Metric", "Category", "Value", "Interval", "n", "positive", "Method")
    return _table(("Slice", *head) if by_slice else head, rows)


def _interval(one: Figure) -> str:
    if one.value is None or one.low is None or one.high is None:
        return ""
    return f"{one.low:.3f} to {one.high:.3f}"


def _gate(facts: CardFacts) -> str:
    if facts.decision is None:
        return "Not judged yet."
    beside = f"beside {facts.judged_beside}" if facts.judged_beside else "without a champion"
    said = f"Judged {beside}: **{_plain(facts.decision)}**."
    return "\n\n".join([said, _bullets(facts.reasons)]) if facts.reasons else said


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(one) for one in line) + " |" for line in lines)


def _cell(value: str) -> str:
    return _plain(value).replace("|", "\\|")


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _plain(value: str) -> str:
    """On one line and without HTML: notes and definitions are written by people."""
    return " ".join(value.split()).replace("<", "&lt;")


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
