"""The synthetic stream: what makes it worth learning from, and what is wrong in it on purpose."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sqlalchemy import Engine

from flows.demo.grammar import CATEGORIES, LANGUAGES, SURFACES, Speaker, roughen, words_of
from flows.demo.production import BROKEN_ROWS
from flows.demo.replay import macro_average_precision
from flows.demo.stream import DRIFT_DAY, START, Stream, make_scene, make_stream, write_stream
from flows.ingest_decisions import ingest_decisions
from hitl import defaults
from hitl.policy import load_policy
from hitl.recipe import load_recipe

POLICY = load_policy(defaults.folder() / "policy.toml")
RECIPE = load_recipe(defaults.folder() / "recipe.toml")


def day_of(content: pd.DataFrame) -> pd.Series:
    return (content["created_at"] - START).dt.total_seconds() / 86_400


def test_its_categories_are_those_of_the_shipped_policy() -> None:
    assert POLICY.category_ids == CATEGORIES


def test_the_same_seed_gives_the_same_stream_and_another_seed_another() -> None:
    one, same, other = (make_stream(items=400, test_items=200, seed=s) for s in (1, 1, 2))

    pd.testing.assert_frame_equal(one.content, same.content)
    pd.testing.assert_frame_equal(one.decisions, same.decisions)
    pd.testing.assert_frame_equal(one.test_gold, same.test_gold)
    assert one.content["text"].tolist() != other.content["text"].tolist()


def test_it_has_as_many_items_as_asked_each_with_gold(stream: Stream) -> None:
    assert 3_000 == len(stream.content) == len(stream.gold)
    assert stream.content["content_id"].tolist() == stream.gold["content_id"].tolist()
    assert stream.content["content_id"].is_unique


@pytest.mark.parametrize("category", CATEGORIES)
def test_one_to_five_items_in_a_hundred_break_each_rule(stream: Stream, category: str) -> None:
    assert 0.01 <= stream.gold[category].mean() <= 0.05
    assert 0.01 <= stream.test_gold[category].mean() <= 0.05


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("category", CATEGORIES)
def test_a_violating_sentence_stands_inside_innocent_ones(language: str, category: str) -> None:
    """No list of words can be right: what is quoted or denied has the words of what is meant."""
    said: list[str] = []

    class Overheard(Speaker):
        def violating(self, rng: np.random.Generator, *, category: str) -> str:
            said.append(super().violating(rng, category=category))
            return said[-1]

    rng = np.random.default_rng(3)
    innocent = [
        Overheard(language, is_late=False).look_alike(rng, category=category) for _ in range(100)
    ]

    quoting = [text for text in innocent if any(one in text for one in said)]
    assert 30 < len(quoting) < 80


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slot_of_every_form_can_be_filled(language: str) -> None:
    words = words_of(language)
    rng = np.random.default_rng(1)
    speakers = [Speaker(language, is_late=late) for late in (False, True)]
    texts = [one.benign(rng, surface=s) for one in speakers for s in SURFACES for _ in range(200)]
    texts += [one.violating(rng, category=c) for one in speakers for c in CATEGORIES for _ in "ab"]
    texts += [one.look_alike(rng, category=c) for one in speakers for c in CATEGORIES for _ in "ab"]
    forms = [form for kinds in words.forms.values() for each in kinds.values() for form in each]
    slots = {slot for form in forms for slot in re.findall(r"\{(\w+)\}", form)}

    assert not [text for text in texts if "{" in text or "}" in text]
    assert set() == slots - set(words.slots) - {"say"}


def test_german_and_podcasts_arrive_with_the_drift(stream: Stream) -> None:
    early = stream.content[day_of(stream.content) < DRIFT_DAY]
    late = stream.content[day_of(stream.content) >= DRIFT_DAY]

    assert {"en", "pt"} == set(early["language"])
    assert {"comments", "bios", "playlists"} == set(early["surface"])
    assert set(LANGUAGES) == set(late["language"])
    assert set(SURFACES) == set(late["surface"])


def test_a_new_spam_campaign_arrives_with_the_drift(stream: Stream) -> None:
    spam = stream.content[stream.gold["spam"] == 1]
    is_new = spam["text"].str.contains("token-rocket|moonclub|badge-desk|airdrop|robo-|mondclub")

    assert 0 == is_new[day_of(spam) < DRIFT_DAY].sum()
    assert 0 < is_new[day_of(spam) >= DRIFT_DAY].sum()


def test_spam_comes_in_waves_of_near_copies_within_hours(stream: Stream) -> None:
    spam = stream.content[stream.gold["spam"] == 1]
    grams = TfidfVectorizer(analyzer="char", ngram_range=(3, 3)).fit_transform(spam["text"])
    alike = (grams @ grams.T).toarray()
    days = day_of(spam).to_numpy()
    near = np.abs(days[:, None] - days[None, :]) < 0.25
    np.fill_diagonal(alike, 0.0)

    copies = ((alike > 0.7) & near).sum(axis=1)

    assert (copies >= 3).mean() > 0.4
    assert spam["text"].nunique() > 0.6 * len(spam)


def test_the_held_out_side_shares_no_wave_with_the_pool(stream: Stream) -> None:
    pool = set(stream.content.loc[stream.gold["spam"] == 1, "text"])
    held = stream.test_content.loc[stream.test_gold["spam"] == 1, "text"]

    assert held.isin(pool).mean() < 0.05


def test_decisions_have_the_columns_of_the_shipped_recipe(stream: Stream) -> None:
    columns = RECIPE.intake.decisions
    wanted = {columns.item_id, columns.model_version, columns.decided_at, columns.action}
    wanted |= set(columns.probabilities.values())

    assert wanted <= set(stream.decisions.columns)
    assert set(stream.decisions["predicted_action"]) == {"allow", "review", "remove"}
    scores = stream.decisions[list(columns.probabilities.values())].to_numpy()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_every_item_has_a_decision_and_some_have_two_versions(stream: Stream) -> None:
    versions = stream.decisions.groupby("content_id")["model_version"].nunique()

    assert set(stream.content["content_id"]) == set(versions.index)
    assert 0.02 < (versions == 2).mean() < 0.15
    assert not stream.decisions.duplicated(["content_id", "model_version", "created_at"]).any()


def test_a_decision_comes_after_its_content(stream: Stream) -> None:
    both = stream.decisions.merge(stream.content, on="content_id", suffixes=("", "_of_content"))

    assert (both["created_at"] > both["created_at_of_content"]).all()


def test_the_bands_of_the_policy_leave_enough_to_choose_from(stream: Stream) -> None:
    scores = stream.decisions[[f"score_{one}" for one in CATEGORIES]].to_numpy()
    low = np.array([one.review_from for one in POLICY.category])
    high = np.array([one.block_from for one in POLICY.category])

    assert 0.2 < ((scores >= low) & (scores <= high)).any(axis=1).mean() < 0.8


@pytest.mark.slow
def test_it_is_worth_learning_from() -> None:
    """A few hundred labels are not enough, all of them are, and production stays far below."""
    stream = make_stream(items=6_000, test_items=2_000, seed=5)
    gold = stream.gold[list(CATEGORIES)].to_numpy(dtype=float)
    truth = stream.test_gold[list(CATEGORIES)].to_numpy(dtype=float)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), max_features=30_000, sublinear_tf=True)
    rows = vectorizer.fit_transform(stream.content["text"])
    held = vectorizer.transform(stream.test_content["text"])

    def reached(labels: int) -> float:
        chosen = np.random.default_rng(0).permutation(len(gold))[:labels]
        model = LogisticRegression(C=10, class_weight="balanced", max_iter=300)
        return macro_average_precision(
            np.column_stack(
                [
                    model.fit(rows[chosen], gold[chosen, c]).predict_proba(held)[:, 1]
                    for c in range(len(CATEGORIES))
                ]
            ),
            truth,
        )

    newest = stream.test_decisions.set_index("content_id").loc[stream.test_content["content_id"]]
    production = macro_average_precision(
        newest[[f"score_{one}" for one in CATEGORIES]].to_numpy(), truth
    )
    some, everything = reached(1_000), reached(6_000)

    assert 0.2 < production < 0.6
    assert 0.35 < some < 0.75
    assert everything > 0.85


def test_files_for_the_pipeline_hold_no_right_answer(tmp_path: Path, stream: Stream) -> None:
    files = write_stream(tmp_path, stream)

    assert {files.content, files.decisions} == set((tmp_path / "intake").iterdir())
    assert not set(CATEGORIES) & set(pd.read_parquet(files.content).columns)
    assert set(CATEGORIES) <= set(pd.read_parquet(files.test).columns)
    assert "held-" not in files.decisions.read_text(encoding="utf-8")


def test_broken_lines_lie_among_good_ones(tmp_path: Path, stream: Stream) -> None:
    lines = write_stream(tmp_path, stream).decisions.read_text(encoding="utf-8").splitlines()

    assert len(stream.decisions) + len(BROKEN_ROWS) == len(lines)
    assert set(BROKEN_ROWS) <= set(lines)
    assert stream.decisions.iloc[0].to_dict().keys() == json.loads(lines[0]).keys()


def test_a_stream_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="200 items or more"):
        make_stream(items=10)


def test_roughening_leaves_most_of_a_text() -> None:
    rng = np.random.default_rng(1)
    text = "the quick brown fox jumps over the lazy dog"

    rough = [roughen(rng, text, strength=1.0) for _ in range(200)]

    assert len(set(rough)) > 50
    assert all(sum(word in one.lower() for word in text.split()) >= 5 for one in rough)
    assert text == roughen(rng, text, strength=0.0)


def test_a_scene_holds_the_newest_score_and_gold_of_each_item(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, policy=POLICY, recipe=RECIPE, items=400, test_items=200, seed=3)

    stream = make_stream(items=400, test_items=200, seed=3)
    of_item = stream.decisions.sort_values("created_at").groupby("content_id").last()
    scores = of_item.loc[list(scene.pool.item_ids), [f"score_{one}" for one in CATEGORIES]]
    assert scene.is_synthetic
    assert "synthetic" in scene.title
    assert scores.to_numpy().tolist() == scene.pool.production.tolist()
    assert stream.gold[list(CATEGORIES)].to_numpy().tolist() == scene.pool.gold.tolist()
    assert not np.isnan(scene.test.production).any()


@pytest.mark.postgres
def test_intake_sets_aside_exactly_the_broken_lines(
    engine: Engine, tmp_path: Path, stream: Stream
) -> None:
    files = write_stream(tmp_path, stream)

    contents = ingest_decisions(
        engine,
        source=str(files.content),
        kind="content",
        recipe=RECIPE,
        categories=CATEGORIES,
    ).contents
    decided = ingest_decisions(
        engine,
        source=str(files.decisions),
        kind="decisions",
        recipe=RECIPE,
        categories=CATEGORIES,
    ).decisions

    assert (3_000, 0) == (contents.new, contents.rejected)
    assert (len(stream.decisions), len(BROKEN_ROWS)) == (decided.new, decided.rejected)
