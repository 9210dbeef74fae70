"""A wrong policy or recipe says which file, which key, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitl import defaults
from hitl.policy import BadPolicy, load_policy
from hitl.recipe import BadRecipe, load_recipe
from tests.builders import make_policy

GOOD = """
name = "community"
version = "1"
title = "Rules"
[[category]]
id = "hate"
title = "Hate"
definition = "Attacks a group."
hotkey = "h"
[[category]]
id = "spam"
title = "Spam"
definition = "Unwanted selling."
hotkey = "s"
"""


def _policy_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_policy_and_recipe_are_valid() -> None:
    policy = load_policy(defaults.folder() / "policy.toml")
    recipe = load_recipe(defaults.folder() / "recipe.toml")

    assert set(policy.category_ids) == set(recipe.intake.decisions.probabilities)


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        (
            'hotkey = "s"',
            'hotkey = "h"',
            "hotkey 'h' is used by more than one category (hate",
        ),
        ('id = "spam"', 'id = "hate"', "id 'hate' is used by more than one category"),
        ('hotkey = "s"', 'hotkey = "0"', "category[1].hotkey: '0' is not a hotkey; use one letter"),
        ('hotkey = "s"', 'hotkee = "s"', "category[1].hotkee: Extra inputs are not permitted"),
        ('hotkey = "s"', "", "category[1].hotkey: Field required; add this key"),
        ('id = "spam"', 'id = "Spam!"', "category[1].id: 'Spam!' is not a category id"),
        ('id = "spam"', 'id = "spam"\nseverity = 9', "category[1].severity"),
        ('id = "spam"', 'id = "spam"\nthreshold = nan', "category[1].threshold"),
        (
            'id = "spam"',
            'id = "spam"\nreview_from = 0.9\nblock_from = 0.2',
            "category[1]: review_from 0.9 lies above block_from 0.2; swap them",
        ),
        (
            'version = "1"',
            "version = 1",
            "version: Input should be a valid string; write it",
        ),
        ('name = "community"', "name = ", "not valid TOML"),
        ('id = "spam"', 'id = "any"', "category[1].id: 'any' is a word of the loop itself; choose"),
        ('id = "spam"', 'id = "none"', "category[1].id: 'none' is a word of the loop itself"),
        (
            'title = "Spam"',
            'title = "None of these"',
            "category[1].title: 'None of these' is an answer of the interface itself",
        ),
        (
            'definition = "Unwanted selling."',
            r'definition = "Unwanted\u0001selling."',
            "category[1].definition: holds the control character U+0001; remove it",
        ),
    ],
)
def test_a_wrong_policy_names_file_key_and_mend(
    tmp_path: Path, was: str, becomes: str, message: str
) -> None:
    path = _policy_file(tmp_path, GOOD.replace(was, becomes))

    with pytest.raises(BadPolicy) as caught:
        load_policy(path)

    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    path = _policy_file(tmp_path, GOOD.replace('hotkey = "h"', "").replace('title = "Spam"', ""))

    with pytest.raises(BadPolicy) as caught:
        load_policy(path)

    assert 2 == len(caught.value.faults)


def test_a_missing_policy_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadPolicy, match="no such file"):
        load_policy(tmp_path / "nowhere.toml")


def test_the_policy_id_changes_with_any_word_and_with_nothing_else() -> None:
    same, again = make_policy(), make_policy()
    other = make_policy(instructions="Think twice.")

    assert same.policy_id == again.policy_id
    assert same.policy_id != other.policy_id


def test_tabs_and_line_ends_are_no_control_characters() -> None:
    assert make_policy(instructions="one\n\ttwo\r\n")


def test_a_meaning_is_what_a_reviewer_is_asked_and_nothing_else() -> None:
    first = make_policy()
    hate, spam = (one.model_dump(mode="json") for one in first.category)

    def meanings(**changed: object) -> dict[str, str]:
        return make_policy(category=[hate | changed, spam]).meanings

    assert {"hate", "spam"} == set(first.meanings)
    for free in ({"threshold": 0.9}, {"hotkey": "x"}, {"severity": 4}, {"title": "Hate speech"}):
        assert first.meanings == meanings(**free)
    assert first.meanings == make_policy(version="2", votes_wanted=3, title="Rules").meanings
    reworded = meanings(definition="Attacks a person.")
    assert first.meanings["hate"] != reworded["hate"]
    assert first.meanings["spam"] == reworded["spam"]
    assert not set(make_policy(instructions="Think twice.").meanings.values()) & set(
        first.meanings.values()
    )
    assert first.meanings["hate"] != first.meanings["spam"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[selection]\naudit_fraction = 0.0", "audit_fraction is 0, so little or nothing"),
        ("[selection]\naudit_fraction = 0.01", "measured; write at least 0.05"),
        (
            '[[selection.shares]]\nname = "audit"\nstrategy = "margin"\nfraction = 1.0',
            "a share is named 'audit', which is the random one's; rename it",
        ),
        (
            '[[selection.shares]]\nname = "a"\nstrategy = "margin"\nfraction = 0.5',
            "the fractions of shares add up to 0.5; make them add up to 1",
        ),
        ("[selection]\nbatchsize = 5", "selection.batchsize: Extra inputs are not permitted"),
        ("[training]\nfolds = 1", "training.folds"),
        ("[collect]\noverlap_seconds = 1.0", "collect.overlap_seconds"),
        ('[intake.decisions.actions]\nzap = "vanish"', "intake.decisions.actions.zap"),
    ],
)
def test_a_wrong_recipe_names_file_key_and_mend(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(BadRecipe) as caught:
        load_recipe(path)

    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("[measure.identity_terms]\nwomen = []", "has no words"),
        ('[measure.identity_terms]\nwomen = ["woman", " "]', "has no words, or an empty one"),
        (
            '[[measure.known_answers]]\ncategory = "hate"\nviolating = 10\nfound = 11\n'
            "innocent = 10\ncleared = 10",
            "found may be 10 at most",
        ),
        (
            '[[measure.known_answers]]\ncategory = "hate"\nviolating = 10\nfound = 9\n'
            "innocent = 10\ncleared = 10\n"
            '[[measure.known_answers]]\ncategory = "hate"\nviolating = 10\nfound = 9\n'
            "innocent = 10\ncleared = 10",
            "twice",
        ),
    ],
)
def test_what_measuring_is_told_must_make_sense(tmp_path: Path, body: str, problem: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(body, encoding="utf-8")

    with pytest.raises(BadRecipe, match=problem):
        load_recipe(path)
