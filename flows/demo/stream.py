"""The demo's own stream: content, the right answers, and a weak production model's decisions.

SYNTHETIC from the first to the last row, and said so wherever it is shown. What makes real
traffic hard is in it on purpose: rules are broken by one post in thirty or fewer, the same words
stand on both sides of the line, spam comes in waves of near copies, and the second half brings a
language, a surface, groups and goods that the production model never saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from flows.demo.grammar import (
    CATEGORIES,
    Speaker,
    copy_with_edits,
    roughen,
)
from flows.demo.production import BROKEN_ROWS, decide, train_production
from flows.demo.scene import Judged, Scene
from hitl.policy import Policy
from hitl.recipe import Recipe

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 60
DRIFT_DAY = 30
"""The day on which German, podcasts, the late groups and the late goods arrive."""

# How many posts in a hundred break each rule, and how many only look as if they did.
_VIOLATING = {"hate": 2.6, "harassment": 2.8, "spam": 4.0, "selfharm": 1.8}
_LOOK_ALIKE = {"hate": 5.0, "harassment": 5.0, "spam": 4.5, "selfharm": 4.0}
_BOTH = 0.12  # of the hate and harassment, the part that is both
_IN_WAVES = 0.6  # of the spam
_HOURS = np.array([1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 7, 6, 6, 6, 6, 7, 7, 7, 6, 5, 3, 2]) / 100


@dataclass(frozen=True)
class Stream:
    """A synthetic stream.

    `content`: content_id, text, language, surface, created_at, creator. `gold`: content_id and one
    0/1 column a category. `decisions`: content_id, created_at, model_version, predicted_action,
    score_<category>, surface, language; some items have two. `broken` are lines of a decision log
    that no reader should accept as they are. `test_*` likewise, with scores of the newest model.
    """

    content: pd.DataFrame
    gold: pd.DataFrame
    decisions: pd.DataFrame
    broken: tuple[str, ...]
    test_content: pd.DataFrame
    test_gold: pd.DataFrame
    test_decisions: pd.DataFrame


@dataclass(frozen=True)
class StreamFiles:
    """Where `write_stream` put things. Only the first two are for the pipeline's eyes."""

    content: Path
    decisions: Path
    gold: Path
    test: Path


def make_stream(*, items: int = 8_000, test_items: int = 3_000, seed: int = 20260101) -> Stream:
    """Invent a stream. The same arguments give the same rows.

    The test side is drawn from the same days by its own generator: other posts, other waves.

    Raises:
        ValueError: fewer than 200 items, which would leave a rule without a violation.
    """
    if items < 200 or test_items < 200:
        raise ValueError(f"a stream needs 200 items or more; got {items} and {test_items}")
    pool_rng, test_rng, model_rng = (np.random.default_rng([seed, which]) for which in range(3))
    content, gold = _posts(pool_rng, items, prefix="syn")
    test_content, test_gold = _posts(test_rng, test_items, prefix="held")
    seen, seen_gold = _posts(model_rng, 4_000, prefix="seed")
    models = train_production(model_rng, seen, seen_gold, categories=CATEGORIES)
    decisions = decide(model_rng, models, content, categories=CATEGORIES, rescored=0.1)
    newest = decide(model_rng, models[-1:], test_content, categories=CATEGORIES, rescored=0.0)
    return Stream(content, gold, decisions, BROKEN_ROWS, test_content, test_gold, newest)


def _posts(rng: Generator, count: int, *, prefix: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    waves = _waves(rng, round(count * _VIOLATING["spam"] / 100 * _IN_WAVES))
    rows = waves + [_post(rng) for _ in range(count - len(waves))]
    rows.sort(key=lambda row: (row[0], row[1]))
    content = pd.DataFrame(
        {
            "content_id": [f"{prefix}-{k:06d}" for k in range(len(rows))],
            "text": [row[1] for row in rows],
            "language": [row[2] for row in rows],
            "surface": [row[3] for row in rows],
            "created_at": pd.to_datetime([_moment(row[0]) for row in rows], utc=True),
            "creator": [row[4] for row in rows],
        }
    )
    gold = pd.DataFrame({"content_id": content["content_id"]})
    for category in CATEGORIES:
        gold[category] = [int(category in row[5]) for row in rows]
    return content, gold


_Row = tuple[float, str, str, str, str, frozenset[str]]
"""day, text, language, surface, creator, violated categories."""


def _moment(day: float) -> datetime:
    return datetime.fromtimestamp(round(START.timestamp() + day * 86_400), tz=UTC)


def _when(rng: Generator, first_day: float = 0.0) -> float:
    day = int(rng.integers(int(first_day), DAYS))
    return day + (int(rng.choice(24, p=_HOURS)) + rng.random()) / 24


def _setting(rng: Generator, day: float) -> tuple[Speaker, str]:
    """Who writes and where, on this day: half of the drift is new traffic, half new talk."""
    is_late = day >= DRIFT_DAY
    languages = (("en", 0.5), ("pt", 0.2), ("de", 0.3)) if is_late else (("en", 0.7), ("pt", 0.3))
    surfaces = (
        (("comments", 0.5), ("bios", 0.15), ("playlists", 0.15), ("podcasts", 0.2))
        if is_late
        else (("comments", 0.6), ("bios", 0.2), ("playlists", 0.2))
    )
    return Speaker(_weighted(rng, languages), is_late), _weighted(rng, surfaces)


def _weighted(rng: Generator, options: tuple[tuple[str, float], ...]) -> str:
    mark = rng.random()
    for name, weight in options:
        mark -= weight
        if mark < 0:
            return name
    return options[-1][0]


def _post(rng: Generator) -> _Row:
    day = _when(rng)
    speaker, surface = _setting(rng, day)
    kind = _kind(rng)
    violated: frozenset[str] = frozenset()
    if kind is None:
        text = speaker.benign(rng, surface=surface)
        if surface == "comments" and rng.random() < 0.3:
            text = f"{text}. {speaker.benign(rng, surface='comments')}"
    else:
        category, breaks = kind
        make = speaker.violating if breaks else speaker.look_alike
        text = make(rng, category=category)
        violated = frozenset({category}) if breaks else violated
        if breaks and category in ("hate", "harassment") and rng.random() < _BOTH:
            other = "harassment" if category == "hate" else "hate"
            text = f"{text}. {speaker.violating(rng, category=other)}"
            violated = violated | {other}
        text = _set_among(rng, text, speaker, surface)
    text = roughen(rng, text, strength=0.4 if violated else 0.15)
    return day, text, speaker.language, surface, f"u{int(rng.integers(5_000)):04d}", violated


def _kind(rng: Generator) -> tuple[str, bool] | None:
    """(category, does it break the rule), or None for a post that touches no rule."""
    mark = rng.random() * 100
    for category in CATEGORIES:
        singles = _VIOLATING[category] * (1 - _IN_WAVES if category == "spam" else 1.0)
        for breaks, share in ((True, singles), (False, _LOOK_ALIKE[category])):
            mark -= share
            if mark < 0:
                return category, breaks
    return None


def _set_among(rng: Generator, text: str, speaker: Speaker, surface: str) -> str:
    """Put a sentence where it was said: behind a bio's facts, in a longer description."""
    around = speaker.benign(rng, surface=surface)
    mark = rng.random()
    if surface in ("bios", "playlists"):
        return f"{around} | {text}" if mark < 0.6 else text
    if surface == "podcasts":
        return f"{around}. {text}" if mark < 0.5 else f"{text}. {around}"
    if mark < 0.25:
        return f"{around}. {text}"
    return f"{text}. {around}" if mark < 0.5 else text


def _waves(rng: Generator, count: int) -> list[_Row]:
    """Spam in bursts: one text, dozens of near copies within hours, from a few accounts."""
    rows: list[_Row] = []
    while len(rows) < count:
        begins = _when(rng, DRIFT_DAY if rng.random() < 0.55 else 0.0)
        speaker, surface = _setting(rng, begins)
        first = speaker.violating(rng, category="spam")
        accounts = [f"s{int(rng.integers(900)):03d}" for _ in range(int(rng.integers(1, 5)))]
        size = min(int(rng.integers(8, 41)), count - len(rows))
        for _ in range(size):
            text = copy_with_edits(rng, first, speaker)
            day = min(begins + rng.exponential(0.05), DAYS - 0.001)
            account = accounts[int(rng.integers(len(accounts)))]
            row = (day, text, speaker.language, surface, account, frozenset({"spam"}))
            rows.append(row)
    return rows


def write_stream(folder: Path, stream: Stream) -> StreamFiles:
    """Write what is ingested apart from what is known: `intake/` never holds a right answer.

    Content goes to Parquet, decisions to JSON lines with the broken lines among them.
    """
    intake = folder / "intake"
    intake.mkdir(parents=True, exist_ok=True)
    files = StreamFiles(
        content=intake / "content.parquet",
        decisions=intake / "decisions.jsonl",
        gold=folder / "gold.parquet",
        test=folder / "test.parquet",
    )
    stream.content.to_parquet(files.content, index=False)
    lines = stream.decisions.to_json(
        orient="records", lines=True, date_format="iso", force_ascii=False, double_precision=6
    ).splitlines()
    step = max(1, len(lines) // (len(stream.broken) + 1))
    for place, line in enumerate(stream.broken, start=1):
        lines.insert(place * step, line)
    files.decisions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    stream.gold.to_parquet(files.gold, index=False)
    stream.test_content.merge(stream.test_gold, on="content_id").to_parquet(files.test, index=False)
    return files


def make_scene(
    folder: Path,
    *,
    policy: Policy,
    recipe: Recipe,
    items: int = 8_000,
    test_items: int = 3_000,
    seed: int = 20260101,
) -> Scene:
    """Invent a stream, write it under `folder`, and give the demo what it needs of it."""
    stream = make_stream(items=items, test_items=test_items, seed=seed)
    files = write_stream(folder, stream)
    return Scene(
        title=f"a synthetic stream of {items:,} posts",
        is_synthetic=True,
        policy=policy,
        recipe=recipe,
        content=files.content,
        decisions=files.decisions,
        pool=_judged(stream.content, stream.gold, stream.decisions),
        test=_judged(stream.test_content, stream.test_gold, stream.test_decisions),
    )


def _judged(content: pd.DataFrame, gold: pd.DataFrame, decisions: pd.DataFrame) -> Judged:
    newest = decisions.sort_values(["created_at"], kind="stable").drop_duplicates(
        "content_id", keep="last"
    )
    scores = newest.set_index("content_id").reindex(content["content_id"])
    columns = [f"score_{one}" for one in CATEGORIES]
    answers: NDArray[np.float64] = gold[list(CATEGORIES)].to_numpy(dtype=np.float64)
    return Judged(
        item_ids=tuple(content["content_id"]),
        texts=tuple(content["text"]),
        languages=tuple(content["language"]),
        surfaces=tuple(content["surface"]),
        gold=answers,
        production=scores[columns].to_numpy(dtype=np.float64),
    )
