"""The policy: by which rules content is judged, and the words reviewers read while judging."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hitl.config_files import BadConfigFile, check, digest, fingerprint, read_toml
from hitl.records import Action, PolicyId

_CATEGORY_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
# The loop's own words: answers of the interface, and rows of measurements beside categories.
RESERVED_IDS = frozenset({"any", "cannot_tell", "macro", "none"})
RESERVED_TITLES = frozenset({"none of these"})
# XML, and so the labelling interface, cannot hold these; tab, line feed and return are fine.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class BadPolicy(BadConfigFile):
    """The policy file cannot be used as it is."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @field_validator("*")
    @classmethod
    def _printable(cls, value: Any) -> Any:
        if isinstance(value, str) and (found := _CONTROL.search(value)):
            raise ValueError(f"holds the control character U+{ord(found[0]):04X}; remove it")
        return value


Promised = Literal["precision", "recall"]
PROMISED: tuple[Promised, ...] = ("precision", "recall")


class Obligation(_Strict):
    """What we promise of a category's decisions, with which confidence."""

    precision: Probability | None = None
    recall: Probability | None = None
    confidence: Probability = 0.95


class Category(_Strict):
    """One thing that content may violate.

    `review_from <= p <= block_from` is the band that a person should look at, both ends
    included. `threshold` is where a model counts as having flagged the category when we measure.
    """

    id: str
    title: str = Field(min_length=1, max_length=60)
    definition: str = Field(min_length=1, max_length=2000)
    hotkey: str
    severity: Annotated[int, Field(ge=1, le=4)] = 2
    action: Action = Action.BLOCK
    review_from: Probability = 0.3
    block_from: Probability = 0.8
    threshold: Probability = 0.5
    obligation: Obligation | None = None
    regulation: str | None = Field(default=None, max_length=100)

    @field_validator("id")
    @classmethod
    def _plain_id(cls, value: str) -> str:
        if not _CATEGORY_ID.fullmatch(value):
            raise ValueError(
                f"{value!r} is not a category id; use lower-case letters, digits and _, "
                "a letter first, 40 at most"
            )
        if value in RESERVED_IDS:
            raise ValueError(f"{value!r} is a word of the loop itself; choose another id")
        return value

    @field_validator("title")
    @classmethod
    def _title_of_its_own(cls, value: str) -> str:
        if value.casefold() in RESERVED_TITLES:
            raise ValueError(f"{value!r} is an answer of the interface itself; choose another")
        return value

    @field_validator("hotkey")
    @classmethod
    def _one_key(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z1-9]", value):
            raise ValueError(f"{value!r} is not a hotkey; use one letter a-z or digit 1-9")
        return value

    @model_validator(mode="after")
    def _band_is_ordered(self) -> Self:
        if self.review_from > self.block_from:
            raise ValueError(
                f"review_from {self.review_from} lies above block_from {self.block_from}; "
                "swap them or leave one out"
            )
        return self


class Policy(_Strict):
    """Categories and how many reviewers must agree. Its id changes with any word of it.

    `continues` names an earlier policy id whose words were mended and whose meaning was not: its
    labels go on counting, category by category.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    version: str = Field(min_length=1, max_length=20)
    title: str = Field(min_length=1, max_length=80)
    instructions: str = Field(default="", max_length=10_000)
    votes_wanted: Annotated[int, Field(ge=1, le=9)] = 1
    show_model_opinion: bool = False
    ask_severity: bool = True
    ask_rationale: bool = True
    continues: str | None = Field(default=None, max_length=100)
    category: tuple[Category, ...] = Field(min_length=1, max_length=40)

    @model_validator(mode="after")
    def _nothing_twice(self) -> Self:
        for what in ("id", "hotkey", "title"):
            counts = Counter(getattr(one, what) for one in self.category)
            twice = {value for value, count in counts.items() if count > 1}
            for value in sorted(twice):
                owners = ", ".join(c.id for c in self.category if getattr(c, what) == value)
                raise ValueError(
                    f"{what} {value!r} is used by more than one category ({owners}); "
                    f"give each its own {what}"
                )
        return self

    @cached_property
    def policy_id(self) -> PolicyId:
        """`name@version-fingerprint`; stored with every batch and label.

        It changes with any word, so that what was done can be traced. What reviewers said goes on
        counting while `meanings` stay, or where `continues` says that only the words changed.
        """
        return PolicyId(f"{self.name}@{self.version}-{fingerprint(self)}")

    @cached_property
    def meanings(self) -> dict[str, str]:
        """By category, a fingerprint of what a reviewer is asked: the instructions, its id and
        its definition. Labels of one version count for every version that asks the same."""
        return {
            one.id: digest({"ask": [self.name, self.instructions, one.id, one.definition]})
            for one in self.category
        }

    @property
    def category_ids(self) -> tuple[str, ...]:
        """The categories in the policy's order, which is everywhere the order of C."""
        return tuple(one.id for one in self.category)

    @property
    def aims(self) -> tuple[tuple[str, Promised], ...]:
        """What labels are to tell closely: category and metric of each promise; of every category
        both, where nothing is promised."""
        promises = any(one.obligation is not None for one in self.category)
        return tuple(
            (one.id, metric)
            for one in self.category
            for metric in PROMISED
            if not promises
            or (one.obligation is not None and getattr(one.obligation, metric) is not None)
        )


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        BadPolicy: names the file, each wrong key, and what to write instead.
    """
    return read_toml(path, Policy, error=BadPolicy)


def policy_from(body: dict[str, Any], *, where: str) -> Policy:
    """A policy from its stored body (`policies.body`)."""
    return check(body, Policy, where=where, error=BadPolicy)
