"""Near copies share a key; the limits that the docs name are true limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.datasets import group_key, group_keys

WAVE = "Earn money from home, write to me now"


@pytest.mark.parametrize(
    "copy",
    [
        "EARN MONEY FROM HOME, WRITE TO ME NOW!!!",
        "earn  money\nfrom home , write to me now 🔥🔥",
        "Earn $500 money from home, write to me now 24/7",
        "Earn money from home, write to me now https://x.example/a?b=1",
        "Earn money from home, write to me now www.x.example/a",
        "Earn money from home, write to me now t.example/abc",
        "@someone Earn money from home, write to me now",
        "Earn money from home, write to me now someone.else@mail.example",
        "Eaaarn moneyyy from home, write to me nowwww",
        "Ｅａｒｎ money from home, write to me now",
        "E\u200barn money from h\u00adome, write to me now",
        "E.a.r.n m-o-n-e-y from home, write to me now",
    ],
)
def test_a_near_copy_has_the_key_of_its_original(copy: str) -> None:
    assert group_key(WAVE) == group_key(copy)


@pytest.mark.parametrize(
    "other",
    [
        "Earn money from home, write to her now",
        "Earn money from home",
        "write to me now, Earn money from home",
        "Eаrn money from home, write to me now",  # a Cyrillic letter: a limit that we name
    ],
)
def test_other_words_have_another_key(other: str) -> None:
    assert group_key(WAVE) != group_key(other)


def test_words_after_a_link_or_a_name_count_in_scripts_without_spaces() -> None:
    one = group_key("看这里https://x.example/1谢谢大家")
    other = group_key("看这里https://x.example/1再见大家")

    assert one != other
    assert group_key("@user你好世界") != group_key("@user再见世界")
    assert one == group_key("看这里 https://y.example/2 谢谢大家")


def test_vowel_signs_are_part_of_the_word() -> None:
    assert group_key("कि") != group_key("की")


@pytest.mark.parametrize(("one", "other"), [("🔥🔥", "🙂"), ("12345", "777"), ("", "?!")])
def test_texts_without_letters_are_told_apart_by_what_they_have(one: str, other: str) -> None:
    assert group_key(one) != group_key(other)


def test_a_hostile_text_does_not_stall_the_search() -> None:
    # each would take minutes if a pattern looked back over the whole run
    for text in ("a" * 200_000, "a." * 100_000, "a@" * 100_000, "a://" * 50_000, "-." * 100_000):
        assert group_key(text).startswith("near-")


def test_a_known_key_is_what_it_was_when_this_was_written() -> None:
    assert "near-80374fb847497fb74bf81cc59ecb967f" == group_key(WAVE)


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_case_and_space_around_never_matter(text: str) -> None:
    assert group_key(text) == group_key(f"  {text} \n")
    assert [group_key(text)] == group_keys([text])
