"""Builders of the demo's values, and a label stream that lives in memory."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import numpy as np
import pandas as pd
from pydantic import SecretStr

from flows.demo.answers import SimulatedReviewer
from flows.demo.scene import Judged, Scene
from hitl.recipe import Recipe
from tests.builders import make_policy


def make_reviewer(name: str = "alma", **changed: Any) -> SimulatedReviewer:
    """A reviewer who never errs and never skips."""
    fields: dict[str, Any] = {
        "email": f"{name}@reviewers.example",
        "password": SecretStr("a long password"),
        "seed": 1,
        "sensitivity": 1.0,
        "specificity": 1.0,
        "skips": 0.0,
        "seconds": 5.0,
    }
    return SimulatedReviewer(name=name, **(fields | changed))


def make_judged(gold: Sequence[Sequence[float]], **changed: Any) -> Judged:
    """Items i0, i1, … with this gold; the production model says 0.5 of everything."""
    answers = np.array(gold, dtype=np.float64)
    n = len(answers)
    fields: dict[str, Any] = {
        "item_ids": tuple(f"i{k}" for k in range(n)),
        "texts": tuple(f"text {k}" for k in range(n)),
        "languages": ("en",) * n,
        "surfaces": ("comments",) * n,
        "gold": answers,
        "production": np.full(answers.shape, 0.5),
    }
    return Judged(**(fields | changed))


def make_scene_of(pool: Judged, **changed: Any) -> Scene:
    """A scene of two categories in which these items may be labelled and also measure."""
    fields: dict[str, Any] = {
        "title": "a scene",
        "is_synthetic": True,
        "policy": make_policy(),
        "recipe": Recipe(),
        "content": Path("content.parquet"),
        "decisions": Path("decisions.jsonl"),
        "test": pool,
    }
    return Scene(pool=pool, **(fields | changed))


def write_log(folder: Path, *, splits: Sequence[str] = ("train", "train", "test")) -> Path:
    """A decision log of a few items, as `real_scene` wants it; item c0 was trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(splits)
    ids = [f"c{k}" for k in range(n)]
    at = pd.to_datetime(["2026-05-01T00:00:00Z"] * n, utc=True)
    gold = {one: pd.array([1] * n, dtype="Int8") for one in ("violation", "hate", "insult")}
    frame = pd.DataFrame({"content_id": ids, "text": ids, "language": "en", "surface": "posts"})
    frame = frame.assign(created_at=at, split=list(splits), **gold)
    frame["obscene"] = pd.array([pd.NA] * n, dtype="Int8")
    frame.to_parquet(folder / "content_pool.parquet")
    decided = pd.DataFrame({"content_id": ids * 2, "created_at": [*at, *(at + pd.Timedelta("1D"))]})
    decided["model_version"] = ["m1"] * n + ["m2"] * n
    decided = decided.assign(predicted_action="review", surface="posts", language="en")
    for place, one in enumerate(("violation", "hate", "insult", "obscene")):
        decided[f"score_{one}"] = [0.1 * place] * n + [0.2 * place] * n
    decided.to_parquet(folder / "decisions.parquet")
    card = {"versions": {"m1": {"train_content_ids": ["c0"]}}}
    (folder / "model_card.json").write_text(json.dumps(card))
    return folder


@dataclass
class StreamInMemory:
    """As much of Label Studio as a reviewer meets: forms, `/next` with locks, annotations."""

    tasks: int
    overlap: int = 1
    accounts: dict[str, str] = field(default_factory=dict)
    stored: dict[int, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    unique_ids: set[str] = field(default_factory=set)
    faults: list[int | Exception] = field(default_factory=list)
    lose_replies: int = 0
    logins: int = 0
    locks: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    lock: Lock = field(default_factory=Lock)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def answers(self) -> list[dict[str, Any]]:
        """Everything stored, skips included."""
        return [one for each in self.stored.values() for one in each]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            path = request.url.path
            if path.startswith("/user/"):
                return self._form(request, path)
            if path == "/api/invite":
                return httpx.Response(200, json={"invite_url": "http://x/user/signup/?token=t"})
            if self.faults:
                fault = self.faults.pop(0)
                if isinstance(fault, Exception):
                    raise fault
                return httpx.Response(fault)
            who = request.headers.get("cookie", "").split("sessionid=")[-1].split(";")[0]
            if path.endswith("/next"):
                return self._next(who)
            return self._store(who, int(path.split("/")[3]), json.loads(request.content))

    def _form(self, request: httpx.Request, path: str) -> httpx.Response:
        page = '<input type="hidden" name="csrfmiddlewaretoken" value="c">'
        if request.method == "GET":
            return httpx.Response(200, text=page, headers={"set-cookie": "csrftoken=c; Path=/"})
        sent = dict(httpx.QueryParams(request.content.decode()))
        email, password = sent["email"], sent["password"]
        if path.startswith("/user/signup"):
            if email in self.accounts:
                return httpx.Response(200, text=page)
            self.accounts[email] = password
        elif self.accounts.get(email) != password:
            return httpx.Response(200, text=page)
        self.logins += 1
        headers = {"location": "/", "set-cookie": f"sessionid={email}; Path=/"}
        return httpx.Response(302, headers=headers)

    def _next(self, who: str) -> httpx.Response:
        for task in range(1, self.tasks + 1):
            given = self.stored[task]
            submitted = sum(not one["was_cancelled"] for one in given)
            holders = self.locks[task] - {who}
            if any(one["who"] == who for one in given):
                continue
            if submitted + len(holders) >= self.overlap:
                continue
            self.locks[task].add(who)
            data = {"item_id": f"i{task - 1}", "entry_id": task}
            return httpx.Response(200, json={"id": task, "data": data})
        return httpx.Response(404)

    def _store(self, who: str, task: int, body: dict[str, Any]) -> httpx.Response:
        if body["unique_id"] in self.unique_ids:
            return httpx.Response(409)
        self.unique_ids.add(body["unique_id"])
        self.stored[task].append(body | {"who": who})
        self.locks[task].discard(who)
        if self.lose_replies:
            self.lose_replies -= 1
            raise httpx.ReadError("the reply was lost")
        return httpx.Response(201, json={"id": len(self.unique_ids)})
