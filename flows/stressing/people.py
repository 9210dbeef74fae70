"""Who does something in a stress: producers over HTTP, the selection, reviewers on the queue."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Connection

from flows import steps
from flows.stressing.load import Ended, Timings
from flows.wiring import World
from hitl import labels, queue
from hitl.db import begin
from hitl.errors import NotYet, Unavailable
from hitl.labelstudio import answers
from hitl.records import Annotation, AnnotationKind, Stage, Vote

# Syllables of no language: content that nobody has to see.
_SYLLABLES = ("ba", "do", "fi", "gu", "ke", "lo", "mi", "nu", "po", "ra", "si", "tu", "ve", "zo")
_WORDS_A_POST = 20
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Producer:
    """Pushes batches of invented posts with their decisions."""

    client: httpx.Client
    token: str
    categories: Sequence[str]
    rows: int
    patience: float
    seed: int
    refused: int = 0

    def push(self, number: int, due: float) -> Ended:
        """One batch; what is told to come again comes again, until nobody would wait any more."""
        key = f"stress-{self.seed}-{number}"
        body = self.body(number)
        while True:
            if self.answer(key, body) == httpx.codes.ACCEPTED:
                return "done"
            self.refused += 1
            if time.monotonic() - due > self.patience:
                return "dropped"
            time.sleep(0.1)

    def answer(self, key: str, body: bytes) -> int:
        """The status that a push is answered with; 0 if there was no answer."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        try:
            return self.client.post("/v1/decisions", content=body, headers=headers).status_code
        except httpx.HTTPError:
            return 0  # it may have been taken in: the key finds out

    def body(self, number: int) -> bytes:
        """A batch as it is sent."""
        return json.dumps({"decisions": self.batch(number)}).encode()

    def batch(self, number: int) -> list[dict[str, Any]]:
        """The rows of a batch; the same number gives the same rows."""
        rng = random.Random(f"{self.seed} {number}")  # noqa: S311 - content, not a secret
        return [self._row(number * self.rows + k, rng) for k in range(self.rows)]

    def _row(self, number: int, rng: random.Random) -> dict[str, Any]:
        words = ["".join(rng.choices(_SYLLABLES, k=3)) for _ in range(_WORDS_A_POST)]
        return {
            "item_id": f"stress-{self.seed}-{number}",
            "model_version": "stress",
            "decided_at": (_SINCE + timedelta(seconds=number)).isoformat(),
            "action": rng.choice(("allow", "review", "block")),
            "probabilities": {one: round(rng.random(), 4) for one in self.categories},
            "text": " ".join(words),
            "language": "en",
            "surface": "posts",
        }


@dataclass
class Selection:
    """Chooses a batch every so often."""

    world: World
    seed: int
    limit: int
    stage: Timings = field(default_factory=lambda: Timings("select"))
    batches: int = 0
    picks: int = 0

    def choose(self, number: int) -> None:
        """One batch, unless there is nothing to choose from or too much waits."""
        begun = time.monotonic()
        batch_id = f"stress-{self.seed}-{number}"
        try:
            report = steps.select_batch(
                self.world, batch_id=batch_id, seed=self.seed + number, limit=self.limit
            )
        except NotYet:
            return
        self.stage.seconds.append(time.monotonic() - begun)
        self.batches += 1
        self.picks += sum(report.picks_by_share.values())


@dataclass
class Reviewers:
    """Claim an entry when an answer is due, say that they look at it, and answer it."""

    world: World
    lease_seconds: float = 60.0
    claim: Timings = field(default_factory=lambda: Timings("claim"))
    complete: Timings = field(default_factory=lambda: Timings("complete"))
    held: list[int] = field(default_factory=list)

    def arrive(self, holders: Sequence[str]) -> None:
        """Let them take every lane."""
        with begin(self.world.engine) as tx:
            for one in holders:
                queue.allow(tx, one, "*", tier=9)

    def review(self, holder: str) -> Callable[[int, float], Ended]:
        """What this person does when an answer of theirs is due."""

        def one(_: int, due: float) -> Ended:
            try:
                return self._one(holder)
            except Unavailable:
                return "dropped"

        return one

    def _one(self, holder: str) -> Ended:
        begun = time.monotonic()
        with begin(self.world.engine) as tx:
            lease = queue.claim(tx, holder=holder, limit=1, seconds=self.lease_seconds)
        if lease is None:
            return "idle"
        self.claim.seconds.append(time.monotonic() - begun)
        self.held += lease.entry_ids
        with begin(self.world.engine) as tx:
            queue.heartbeat(tx, lease, seconds=self.lease_seconds)
        begun = time.monotonic()
        with begin(self.world.engine) as tx:
            # Completed first: what is resolved leaves its lease by itself.
            queue.complete(tx, lease, lease.entry_ids)
            self._answer(tx, lease)
        self.complete.seconds.append(time.monotonic() - begun)
        return "done"

    def _answer(self, tx: Connection, lease: queue.Lease) -> None:
        """A vote on each entry, kept as an annotation is, and the labels that follow from it."""
        now = datetime.now(UTC)
        for entry_id in lease.entry_ids:
            name = f"{entry_id}@{lease.holder}"
            said = {one: (entry_id + k) % 3 == 0 for k, one in enumerate(self._categories)}
            # Its task has a number that Label Studio never gives.
            given = Annotation(
                name, now, now, AnnotationKind.SUBMITTED, 0, 0, entry_id, Stage.REVIEW, lease.holder
            )
            vote = Vote(name, now, entry_id, Stage.REVIEW, lease.holder, said)
            answers.keep_votes(tx, [vote] if answers.keep_versions(tx, [given]) else [])
        labels.resolve_entries(tx, lease.entry_ids, self.world.policy)

    @property
    def _categories(self) -> Sequence[str]:
        return self.world.policy.category_ids
