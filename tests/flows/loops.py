"""Dispatch and collect over a fake Label Studio, with the labels room resolving what comes in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy import Engine, text

from flows import steps
from flows.collect_annotations import collect_annotations
from flows.collecting.keep import CollectReport
from flows.dispatch_batch import DispatchReport, dispatch_batch
from hitl import labels
from hitl.policy import Policy
from hitl.recipe import Recipe
from tests.builders import add_entries, add_items, add_policy, make_policy
from tests.labelstudio.fake import FakeLabelStudio


class Loop:
    """A database and a server, and the two flows between them."""

    def __init__(self, engine: Engine, policy: Policy | None = None) -> None:
        self.engine = engine
        self.server = FakeLabelStudio()
        self.policy = policy or make_policy()

    def wait(self, *item_ids: str, policy: Policy | None = None) -> None:
        """New items, each with an entry that waits."""
        policy = policy or self.policy
        with self.engine.begin() as tx:
            add_policy(tx, policy)
            add_items(tx, {one: f"text of {one}" for one in item_ids})
            add_entries(tx, item_ids, policy=policy, batch_id=f"batch of {item_ids[0]}")

    def dispatch(self, policy: Policy | None = None, **more: Any) -> DispatchReport:
        more.setdefault("sleep", lambda _: None)
        return dispatch_batch(self.engine, self.server, policy or self.policy, Recipe(), **more)

    def collect(self, policy: Policy | None = None, *, sweep: bool = False) -> CollectReport:
        asked = policy or self.policy
        return collect_annotations(
            self.engine,
            self.server,
            asked,
            Recipe(),
            now=self.server.clock,
            sweep=sweep,
            resolve=lambda tx, entry_ids: labels.resolve_entries(tx, entry_ids, asked),
        )

    def step(self, name: str, **parameters: Any) -> Any:
        """The step as the command line calls it, over every version of the policy."""
        world = SimpleNamespace(
            engine=self.engine,
            label_studio=self.server,
            policy=self.policy,
            recipe=Recipe(),
            webhook=None,
        )
        return getattr(steps, name)(world, **parameters)

    def task_of(self, item_id: str, *, stage: str = "review") -> int:
        """The newest task about an item."""
        return max(
            one.task_id
            for one in self.server.held.values()
            if one.data.get("item_id") == item_id and one.data["stage"] == stage
        )

    def states(self) -> dict[str, str]:
        """Where the newest entry of each item is."""
        rows = self.rows("SELECT item_id, state FROM entries ORDER BY entry_id")
        return {row[0]: row[1] for row in rows}

    def move(self, item_id: str, *states: str) -> None:
        """Move an item's entry through these states."""
        for state in states:
            with self.engine.begin() as tx:
                tx.execute(
                    text("UPDATE entries SET state = :state WHERE item_id = :item_id"),
                    {"state": state, "item_id": item_id},
                )

    def rows(self, statement: str) -> list[Any]:
        with self.engine.begin() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]
