"""Which plan learns fastest on this content: a labelled file, played again with every plan.

Reads the file, makes features and heads of it, lets `sampling.replay` choose and buy labels as each
plan would, and says which plan is worth its reviewers' time, and when random is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.replaying.errors import CannotReplay, TooFewToReplay
from flows.replaying.features import NothingInCommon, reading_seconds, text_features, unit_rows
from flows.replaying.heads import Float32, Head
from flows.replaying.labelled import Columns, LabelledSet, read_labelled
from flows.replaying.seeds import one_thread, play
from flows.replaying.study import Sides, Study, check
from hitl.datasets import group_keys
from hitl.recipe import AUDIT, Recipe
from sampling import DEFAULT_STRATEGY, Plan, SamplingError, Share
from sampling.comparison import Comparison, compare
from sampling.replay import Replay

BASELINE = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to replay.

    `strategies` are plans of one share each, by their names; `recipes` bring their shares and
    their random one. With neither: margin, the default strategy and the default recipe. The
    baseline is always among them. `audits_measure`: the labels of a recipe's random share cost
    and do not train, as in the loop. `positive` names the classes that a team looks for, where
    one column holds classes.
    """

    source: str
    columns: Columns
    strategies: tuple[str, ...] = ()
    recipes: tuple[Recipe, ...] = ()
    audits_measure: bool = False
    against: str = BASELINE
    head: Head = Head.BALANCED
    seeds: int = 10
    first_seed: int = 1
    start: int = 50
    start_of_each: int = 3
    batch: int = 50
    rounds: int = 10
    candidates: int = 6_000
    target: float | None = None
    positive: tuple[str, ...] = ()
    hold_out: bool = False
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay was of and what it found. `sides` are those of its first seed."""

    wanted: Wanted
    study: Study
    sides: Sides
    items: int
    set_aside: int
    dimensions: int
    replay: Replay
    comparison: Comparison


def replay_strategies(
    wanted: Wanted, *, on_step: Callable[[int, int | None], None] | None = None
) -> Replayed:
    """Read, play, compare.

    With `jobs` above 1 a script that calls this must be guarded by `if __name__ == "__main__"`,
    as its processes import it.

    Args:
        on_step: called with (steps done, steps in all or None), for a progress bar.

    Raises:
        NoSuchColumn, BadColumn, TooFewToReplay, TooMuchToReplay, CannotReplay: what is wrong with
            the file or the plans, and what to do.
        SourceRefused, SourceUnavailable: nothing readable is there.
    """
    plans = plans_of(wanted)
    labelled = read_labelled(wanted.source, wanted.columns, hold_out=wanted.hold_out)
    study = study_of(labelled, wanted, plans)
    seeds = range(wanted.first_seed, wanted.first_seed + wanted.seeds)
    sides = check(study, seeds)
    if on_step is not None:
        on_step(0, None)
    features = features_of(labelled, wanted.head)
    found = play(study, features, seeds, jobs=wanted.jobs, on_step=on_step)
    return Replayed(
        wanted=wanted,
        study=study,
        sides=sides,
        items=len(labelled),
        set_aside=labelled.set_aside,
        dimensions=features.shape[1],
        replay=found,
        comparison=compare(
            found, against=wanted.against, target=wanted.target, seed=wanted.first_seed
        ),
    )


def plans_of(wanted: Wanted) -> dict[str, Plan]:
    """The plans by their names, the baseline first.

    Raises:
        CannotReplay: a strategy does not exist, or two plans have one name.
    """
    strategies, recipes = list(wanted.strategies), wanted.recipes
    if not strategies and not recipes:
        strategies, recipes = ["margin", DEFAULT_STRATEGY], (Recipe(),)
    named = [recipe.name for recipe in recipes]
    strategies = list(dict.fromkeys([BASELINE, *strategies]))
    if wanted.against not in [*strategies, *named]:
        strategies.append(wanted.against)
    if twice := [name for name in named if [*strategies, *named].count(name) > 1]:
        raise CannotReplay(f"two plans are named {twice[0]!r}; give each recipe a name of its own")
    try:
        return {name: Plan((Share(name, name, 1.0),)) for name in strategies} | {
            recipe.name: plan_of(recipe) for recipe in recipes
        }
    except SamplingError as cause:
        raise CannotReplay(str(cause)) from cause


def plan_of(recipe: Recipe) -> Plan:
    """A recipe's batch as one plan: its shares, and its random one."""
    rule = recipe.selection
    chosen = 1.0 - rule.audit_fraction
    return Plan(
        (
            *(
                Share(share.name, share.strategy, share.fraction * chosen)
                for share in rule.shares
                if chosen > 0.0
            ),
            Share(AUDIT, "random", rule.audit_fraction),
        )
    )


def study_of(labelled: LabelledSet, wanted: Wanted, plans: dict[str, Plan]) -> Study:
    """The file and the wish as a study."""
    classes = len(labelled.categories) if labelled.is_exclusive else 0
    if wanted.positive and not classes:
        raise CannotReplay(
            "--positive is for one column of classes; in 0/1 columns each 1 is positive"
        )
    if wanted.positive and not set(wanted.positive) <= set(labelled.categories):
        raise CannotReplay(
            f"--positive names a class that column {wanted.columns.labels[0]!r} does not have"
        )
    positives = None
    if not classes:
        positives = (labelled.labels == 1.0).any(axis=1)
    elif wanted.positive:
        numbers = [labelled.categories.index(one) for one in wanted.positive]
        positives = np.isin(labelled.labels, numbers)
    seconds = labelled.seconds
    if seconds is None and labelled.texts is not None:
        seconds = reading_seconds(labelled.texts)
    return Study(
        source=labelled.source,
        categories=labelled.categories,
        labels=labelled.labels,
        classes=classes,
        groups=_groups(labelled),
        is_train=labelled.is_train,
        is_test=labelled.is_test,
        positives=positives,
        seconds=seconds,
        plans=plans,
        untrained=(AUDIT,) if wanted.audits_measure else (),
        head=wanted.head,
        start=wanted.start,
        start_of_each=wanted.start_of_each,
        batch=wanted.batch,
        rounds=wanted.rounds,
        candidates=wanted.candidates,
    )


def features_of(labelled: LabelledSet, head: Head) -> Float32:
    """Shape (N, D): the file's embeddings, else what its texts give; of length 1 where balanced.

    Raises:
        TooFewToReplay: the texts have nothing in common.
    """
    rows = labelled.embeddings
    if rows is None:
        try:
            with one_thread():
                rows = text_features(labelled.texts or ())
        except NothingInCommon as cause:
            raise TooFewToReplay(
                labelled.source,
                "its texts share no words to learn from; give more texts, or --embedding",
            ) from cause
    return unit_rows(rows) if head is Head.BALANCED else rows


def _groups(labelled: LabelledSet) -> NDArray[np.intp]:
    """Near copies, or what the file calls a group, have one number."""
    names: Sequence[str | None]
    if labelled.groups is not None:
        names = labelled.groups
    elif labelled.texts is not None:
        names = group_keys(labelled.texts)
    else:
        names = [None] * len(labelled)
    number: dict[object, int] = {}
    codes = [
        number.setdefault(row if name is None else name, len(number))
        for row, name in enumerate(names)
    ]
    return np.array(codes, dtype=np.intp)
