"""Words that speak of a group: whole ones, in any case and width, and nothing inside of others."""

from __future__ import annotations

from hitl.evaluation import speaks_of

TERMS = {"women": ["woman", "women"], "deaf people": ["deaf", "hard of hearing"]}


def test_whole_words_whatever_their_case() -> None:
    texts = ["Woman!", "womanly", "the WOMEN's team", "snowwoman", "ｗｏｍａｎ", "men", ""]

    assert [True, False, True, False, True, False, False] == speaks_of(texts, TERMS)[
        "women"
    ].tolist()


def test_phrases_whatever_is_between_their_words() -> None:
    found = speaks_of(["hard  of\nhearing", "hard of hearings", "of hearing"], TERMS)

    assert [True, False, False] == found["deaf people"].tolist()


def test_a_text_may_be_of_several() -> None:
    found = speaks_of(["a deaf woman"], TERMS)

    assert [[True], [True]] == [rows.tolist() for rows in found.values()]


def test_words_are_no_patterns() -> None:
    assert [False, True] == speaks_of(["abc", "a.c"], {"x": ["a.c"]})["x"].tolist()


def test_letters_with_marks_are_one_however_they_are_written() -> None:
    assert [True] == speaks_of(["cafe\u0301"], {"x": ["café"]})["x"].tolist()
