"""A producer and the server it pushes to, on a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import httpx
from pydantic import SecretStr
from sqlalchemy import Engine, text

from flows.serve import application
from flows.wiring import World
from hitl.recipe import Recipe
from hitl.settings import Settings
from tests.builders import make_policy
from tests.web.serving import serving

TOKEN = "first-token-of-ranker"
NEXT_TOKEN = "next-token-of-ranker"
OTHER_TOKEN = "the-token-of-scanner"
TOKENS = f"ranker={TOKEN},ranker={NEXT_TOKEN},scanner={OTHER_TOKEN}"


def world_of(engine: Engine, **settings: Any) -> World:
    """A world on this database, without Label Studio."""
    settings.setdefault("api_tokens", SecretStr(TOKENS))
    if "webhook_secret" in settings:
        settings.setdefault("webhook_url", "http://127.0.0.1/webhooks/label-studio")
    return cast(
        World,
        SimpleNamespace(
            engine=engine,
            settings=Settings(**settings),
            policy=make_policy(),
            recipe=Recipe(),
            endpoints=SimpleNamespace(label_studio_url=None, label_studio_token=None),
        ),
    )


def decision(number: int = 1, **changed: Any) -> dict[str, Any]:
    """A row as producers push it."""
    return {
        "item_id": f"i{number}",
        "model_version": "m1",
        "decided_at": "2026-06-01T12:00:00Z",
        "action": "review",
        "probabilities": {"hate": 0.5},
    } | changed


def batch(*rows: Any) -> bytes:
    return json.dumps({"decisions": rows}).encode()


@dataclass
class Producer:
    """Somebody who pushes."""

    client: httpx.Client
    engine: Engine

    def push(
        self, body: Any, *, key: str | None = None, token: str | None = TOKEN, **headers: str
    ) -> httpx.Response:
        sent = {"Content-Type": "application/json"}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {"Idempotency-Key": key} if key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/v1/decisions", content=body, headers=sent)

    def rows(self, statement: str) -> list[Any]:
        with self.engine.begin() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])


@contextmanager
def producing(engine: Engine, **settings: Any) -> Iterator[Producer]:
    """A producer of the server that `hitl serve` would run."""
    with serving(application(world_of(engine, **settings))) as client:
        yield Producer(client, engine)
