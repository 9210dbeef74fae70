"""One flow, killed at many points and run again: it must come out as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hitl.policy import Policy
from hitl.recipe import Recipe
from tests.faults import books
from tests.faults.databases import Databases
from tests.faults.killing import Outcome, points, run, seed_of
from tests.faults.steps import run_step


@dataclass
class Ground:
    """Where one run takes place: a database, a state folder, and the rules."""

    database_url: str
    state: Path
    policy: Policy
    recipe: Recipe
    more: dict[str, Any] = field(default_factory=dict)  # where Label Studio is

    def run(self, name: str, **parameters: Any) -> Outcome:
        """The step in a process of its own."""
        return run(
            run_step,
            name=name,
            database_url=self.database_url,
            state=self.state,
            policy=self.policy,
            recipe=self.recipe,
            **self.more,
            **parameters,
        )


@dataclass(frozen=True)
class Left:
    """All that a run left behind."""

    tables: dict[str, str]
    files: dict[str, str]
    accounts_out_of_balance: list[str]


def left_on(ground: Ground, databases: Databases) -> Left:
    """Read it."""
    with databases.opened(ground.database_url) as engine:
        return Left(
            books.tables(engine, policy=ground.policy),
            books.files(ground.state),
            books.out_of_balance(engine, policy=ground.policy),
        )


def survives_kills(
    step: str,
    *,
    fresh: Callable[[str], Ground],
    databases: Databases,
    parameters: dict[str, Any] | None = None,
    refusal_when_done: str | None = None,
    check: Callable[[Ground], object] = lambda _: None,
    at_once: int = 2,
    every: int = 1,
) -> int:
    """Kill `step` at random touches, run it again, and compare with a run that nobody disturbed.

    Args:
        fresh: a new ground for the trial of this name; all grounds are equal.
        refusal_when_done: the error by which the step says that there is nothing left to do.
        check: what else must be true after the second run; what it gives must be as well.
        at_once: how many trials run side by side; more where they mostly wait.
        every: 2 tries every second point only, where one costs much.

    Returns:
        How many points were tried.
    """
    parameters = parameters or {}
    reference = fresh("reference")
    whole = reference.run(step, **parameters)
    assert whole.error is None, whole.trace
    expected = (left_on(reference, databases), check(reference))
    assert not expected[0].accounts_out_of_balance, expected[0].accounts_out_of_balance
    seed = seed_of(step)

    def attempt(at: int) -> None:
        where = f"{step} killed at touch {at} of {whole.touches} (HITL_FAULT_SEED={seed})"
        ground = fresh(f"t{at}")

        first = ground.run(step, at=at, **parameters)
        databases.wait_until_left(ground.database_url)
        second = ground.run(step, **parameters)

        assert first.killed, f"{where}: it ended by itself. {first.trace}"
        assert second.error in (None, refusal_when_done), f"{where}, then: {second.trace}"
        found = (left_on(ground, databases), check(ground))
        assert expected == found, f"{where}: {differences(expected, found)}"
        databases.drop(ground.database_url)

    chosen = points(whole.touches, seed=seed)[::every]
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(attempt, chosen))
    return len(chosen)


def differences(expected: tuple[Left, object], found: tuple[Left, object]) -> list[str]:
    """What is not equal, by name: a whole comparison would fill pages."""
    told = []
    for kind in ("tables", "files"):
        one, other = getattr(expected[0], kind), getattr(found[0], kind)
        told += [
            f"{kind}: {name} was {one.get(name)}, now {other.get(name)}"
            for name in sorted({*one, *other})
            if one.get(name) != other.get(name)
        ]
    told += found[0].accounts_out_of_balance
    if expected[1] != found[1]:
        told.append(f"checked: was {expected[1]}, now {found[1]}")
    return told
