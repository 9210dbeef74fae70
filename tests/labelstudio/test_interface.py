from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from label_studio_sdk.label_interface import LabelInterface

from hitl.labelstudio import interface_hash, labelling_interface, project_spec
from hitl.policy import Policy
from hitl.records import Stage
from tests.builders import make_policy
from tests.labelstudio.fake import chose

NASTY = "Quotes \" ' and <b>tags</b> & $money, commas; ]]> <script>alert(1)</script>"


def nasty_policy() -> Policy:
    return make_policy(
        title=NASTY[:60],
        instructions=NASTY + "\n\nSecond paragraph.",
        category=[
            {"id": "hate", "title": NASTY[:50], "definition": NASTY, "hotkey": "h"},
            {"id": "spam", "title": "Spam, scams", "definition": "x", "hotkey": "s"},
        ],
    )


def choices_of(interface: str, name: str) -> dict[str, str]:
    root = ET.fromstring(interface)
    found = root.find(f".//Choices[@name='{name}']")
    assert found is not None
    return {one.attrib["alias"]: one.attrib.get("hotkey", "") for one in found}


def test_every_category_is_a_choice_under_its_id_and_hotkey() -> None:
    interface = labelling_interface(make_policy())

    assert {"hate": "h", "spam": "s", "none": "0"} == choices_of(interface, "violations")
    assert {"hate": "shift+h", "spam": "shift+s"} == choices_of(interface, "cannot_tell")


@pytest.mark.parametrize("changed", [{}, {"ask_severity": False}, {"show_model_opinion": True}])
def test_label_studios_own_check_takes_the_interface(changed: dict[str, Any]) -> None:
    LabelInterface(labelling_interface(make_policy(**changed))).validate()


def test_words_with_markup_make_a_valid_interface_too() -> None:
    LabelInterface(labelling_interface(nasty_policy())).validate()


@pytest.mark.parametrize(
    ("result", "is_valid"),
    [
        (chose("hate", unsure=["spam"], severity="2"), True),
        (chose("none"), True),
        (chose("Hate"), False),
        (chose("hate", unsure=["none"]), False),
        (chose("hate", severity="5"), False),
    ],
)
def test_answers_carry_ids_and_not_titles(result: list[Any], is_valid: bool) -> None:
    interface = LabelInterface(labelling_interface(make_policy()))

    assert is_valid is interface.validate_annotation({"result": result})


def test_words_of_the_policy_are_escaped_and_read_back_as_written() -> None:
    policy = nasty_policy()

    root = ET.fromstring(labelling_interface(policy))

    assert root.find(".//script") is None
    words = [one.attrib["value"].replace("\N{WORD JOINER}", "") for one in root.iter("Header")]
    assert NASTY in words
    assert "Second paragraph." in words


def test_a_dollar_sign_in_the_policy_names_no_field_of_a_task() -> None:
    root = ET.fromstring(labelling_interface(nasty_policy()))

    fields = {
        value
        for one in root.iter()
        for value in one.attrib.values()
        if value.startswith("$") and not value.startswith("$\N{WORD JOINER}")
    }

    assert {"$text", "$about"} == fields


def test_the_content_is_shown_as_text_and_never_fetched_or_rendered() -> None:
    root = ET.fromstring(labelling_interface(make_policy()))

    shown = [one for one in root.iter() if one.attrib.get("value") == "$text"]

    assert [("Text", "text")] == [(one.tag, one.attrib["valueType"]) for one in shown]
    assert root.find(".//HyperText") is None


@pytest.mark.parametrize("shown", [True, False])
def test_the_models_opinion_is_shown_only_if_the_policy_says_so(shown: bool) -> None:
    interface = labelling_interface(make_policy(show_model_opinion=shown))

    assert shown is ("$opinion" in interface)


def test_severity_appears_for_violations_and_not_for_none_of_these() -> None:
    root = ET.fromstring(labelling_interface(nasty_policy()))

    card = next(one for one in root.iter("View") if "visibleWhen" in one.attrib)

    assert "hate,spam" == card.attrib["whenChoiceValue"]
    assert ["1", "2", "3", "4"] == [one.attrib["alias"] for one in card.iter("Choice")]


def test_severity_and_rationale_can_be_left_out() -> None:
    interface = labelling_interface(make_policy(ask_severity=False, ask_rationale=False))

    assert 'name="severity"' not in interface
    assert "TextArea" not in interface


def test_the_same_policy_gives_the_same_interface_and_another_word_another_hash() -> None:
    first = labelling_interface(make_policy())

    assert first == labelling_interface(make_policy())
    assert interface_hash(first) != interface_hash(labelling_interface(nasty_policy()))


@pytest.mark.parametrize("title", ["abc", "x" * 80])
def test_titles_fit_into_label_studio(title: str) -> None:
    policy = make_policy(title=title, version="2026-11-21T00:00:00"[:20])

    for stage in Stage:
        assert 3 <= len(project_spec(policy, stage).title) <= 50


def test_a_lead_rules_alone_and_reviewers_answer_as_often_as_the_policy_wants() -> None:
    policy = make_policy(votes_wanted=3)

    assert 3 == project_spec(policy, Stage.REVIEW).overlap
    assert 1 == project_spec(policy, Stage.ADJUDICATION).overlap


def test_the_two_stages_have_markers_of_their_own() -> None:
    policy = make_policy()

    markers = {project_spec(policy, stage).marker for stage in Stage}

    assert 2 == len(markers)


def test_lines_of_a_policy_are_broken_the_way_label_studio_stores_them() -> None:
    page = project_spec(
        make_policy(instructions="One\nTwo\r\nThree\n\nFour"), Stage.REVIEW
    ).instructions

    assert page.startswith("<p>One<br>Two<br>Three</p><p>Four</p>")
