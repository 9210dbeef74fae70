"""Personal access tokens: the short-lived one runs out in mid-run and nobody notices."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from flows.collect_annotations import collect_annotations
from flows.dispatch_batch import DispatchReport, dispatch_batch
from hitl import labels
from hitl.labelstudio import LabelStudioClient, LabelStudioRefused, LabelStudioUnavailable
from hitl.policy import Policy
from hitl.recipe import DispatchRecipe, Recipe
from tests.builders import NOON, add_entries, add_items, add_policy, make_policy
from tests.conftest import RunningLabelStudio
from tests.labelstudio.fake import chose
from tests.labelstudio.people import RealPeople

FAR = 4_000_000_000
KEY = "k" * 32


def token(name: str, *, expires: int = FAR, kind: str = "access") -> str:
    return jwt.encode({"exp": expires, "token_type": kind, "name": name}, KEY)


class Gate:
    """A server that lets one access token in, and gives out tokens in order."""

    def __init__(self) -> None:
        self.gives = [token("one"), token("two"), token("three")]
        self.lets_in = self.gives[0]
        self.renewals: list[int] = []
        self.renewal_status = 200
        self.acted: list[str] = []
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path.startswith("/api/token/refresh/"):
                    gate.renewals.append(gate.renewal_status)
                    given = gate.gives.pop(0) if gate.renewal_status == 200 else "no"
                    self._answer(gate.renewal_status, {"access": given, "detail": "secret words"})
                elif self.headers.get("Authorization") == f"Bearer {gate.lets_in}":
                    gate.acted.append(self.path)
                    self._answer(201, {})
                else:
                    self._answer(401, {"detail": "secret words"})

            def _answer(self, status: int, body: Mapping[str, Any]) -> None:
                written = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def client(self) -> LabelStudioClient:
        return LabelStudioClient(self.url, SecretStr(token("mine", kind="refresh")))


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.server.shutdown()
    made.server.server_close()


def push(client: LabelStudioClient) -> None:
    client.import_tasks(1, [{"entry_id": 1, "text": "private words"}])


def test_one_access_token_serves_many_requests(gate: Gate) -> None:
    client = gate.client()

    for _ in range(3):
        push(client)

    assert [200] == gate.renewals
    assert 3 == len(gate.acted)


def test_an_access_token_that_ran_out_by_our_clock_is_renewed_before_the_request(
    gate: Gate,
) -> None:
    gate.gives = [token("old", expires=1), token("new")]
    gate.lets_in = gate.gives[0]
    client = gate.client()
    push(client)
    gate.lets_in = gate.gives[0]

    push(client)

    assert 2 == len(gate.renewals) == len(gate.acted)


def test_an_access_token_that_ran_out_by_its_clock_alone_is_renewed_and_the_request_acts_once(
    gate: Gate,
) -> None:
    client = gate.client()
    push(client)
    gate.lets_in = gate.gives[0]

    push(client)

    assert 2 == len(gate.renewals) == len(gate.acted)


def test_a_server_that_lets_nobody_in_is_asked_once_more_and_then_refuses(gate: Gate) -> None:
    client = gate.client()
    gate.lets_in = "nobody"

    with pytest.raises(LabelStudioRefused, match="HITL_LABEL_STUDIO_TOKEN") as failure:
        push(client)

    assert 2 == len(gate.renewals)
    assert "secret words" not in str(failure.value)


@pytest.mark.parametrize("status", [401, 403, 400])
def test_a_renewal_that_is_refused_is_a_refusal_of_our_token(gate: Gate, status: int) -> None:
    gate.renewal_status = status

    with pytest.raises(LabelStudioRefused, match=f"HTTP {status}"):
        push(gate.client())


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_renewal_that_fails_may_be_tried_again(gate: Gate, status: int) -> None:
    gate.renewal_status = status

    with pytest.raises(LabelStudioUnavailable, match=f"HTTP {status}"):
        push(gate.client())


# On a real server --------------------------------------------------------------------------


class Bridge:
    """Entries that wait, and a person's own access token."""

    def __init__(self, engine: Engine, server: RunningLabelStudio) -> None:
        self.engine = engine
        self.people = RealPeople(server.url, server.token)
        self._server = server
        self.policy: Policy = make_policy(version=f"{NOON:%H}-{id(self)}")
        self._person = self.people.join("robot")
        texts = {f"i{n}": f"text {n}" for n in range(6)}
        with engine.begin() as tx:
            add_policy(tx, self.policy)
            add_items(tx, texts)
            add_entries(tx, texts, policy=self.policy)

    def make_token(self) -> str:
        """Their only one: another is given after this one was revoked."""
        made = self.people.hands(self._person).post("/api/token/")
        assert 201 == made.status_code
        return str(made.json()["token"])

    def revoke(self, refresh: str) -> None:
        body = {"refresh": refresh}
        done = self.people.hands(self._person).post("/api/token/blacklist/", json=body)
        assert 204 == done.status_code

    def client(self, refresh: str) -> LabelStudioClient:
        return LabelStudioClient(self._server.url, SecretStr(refresh))

    def dispatch(self, client: LabelStudioClient) -> DispatchReport:
        recipe = Recipe(dispatch=DispatchRecipe(tasks_per_push=2))
        return dispatch_batch(self.engine, client, self.policy, recipe, settle_seconds=0.5)

    def rows(self, statement: str) -> list[Any]:
        with self.engine.begin() as tx:
            return [tuple(row) for row in tx.execute(text(statement))]


@pytest.fixture
def bridge(engine: Engine, label_studio_server: RunningLabelStudio) -> Iterator[Bridge]:
    made = Bridge(engine, label_studio_server)
    yield made
    made.people.close()


def spoil_access(client: LabelStudioClient, how: Callable[[str], str]) -> None:
    tokens = client._sdk._client_wrapper._tokens_client
    tokens._access_token = how(tokens.api_key)


@pytest.mark.e2e
@pytest.mark.postgres
@pytest.mark.parametrize(
    "how",
    [
        lambda held: token("old", expires=1),  # ran out by our clock
        lambda held: held[:-4] + "AAAA",  # good by our clock, and refused there
    ],
)
def test_a_dispatch_goes_on_when_the_access_token_runs_out_between_two_pushes(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, how: Callable[[str], str]
) -> None:
    client = bridge.client(bridge.make_token())
    original = client.import_tasks

    def runs_out(project_id: int, tasks: Any) -> None:
        original(project_id, tasks)
        spoil_access(client, how)

    monkeypatch.setattr(client, "import_tasks", runs_out)

    report = bridge.dispatch(client)

    assert (6, 6) == (report.pushed, report.open_tasks)
    assert report.project_id is not None
    there = [task.task_id for page in client.marks(report.project_id) for task in page.tasks]
    assert there == [row[0] for row in bridge.rows("SELECT task_id FROM tasks ORDER BY 1")]


@pytest.mark.e2e
@pytest.mark.postgres
def test_a_token_that_is_revoked_in_mid_run_is_one_refusal_and_a_new_one_goes_on(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh = bridge.make_token()
    client = bridge.client(refresh)
    original = client.import_tasks

    def is_revoked(project_id: int, tasks: Any) -> None:
        original(project_id, tasks)
        bridge.revoke(refresh)
        spoil_access(client, lambda held: token("old", expires=1))

    monkeypatch.setattr(client, "import_tasks", is_revoked)

    with pytest.raises(LabelStudioRefused, match="HITL_LABEL_STUDIO_TOKEN") as failure:
        bridge.dispatch(client)
    anew = bridge.client(bridge.make_token())
    report = bridge.dispatch(anew)
    task_ids = [row[0] for row in bridge.rows("SELECT task_id FROM tasks ORDER BY 1")]
    bridge.people.answer(task_ids[0], chose("hate"))
    collected = collect_annotations(
        bridge.engine,
        anew,
        bridge.policy,
        Recipe(),
        now=NOON,
        resolve=lambda tx, entry_ids: labels.resolve_entries(tx, entry_ids, bridge.policy),
    )

    assert refresh not in str(failure.value)
    assert (4, 2, 0) == (report.recovered, report.pushed, report.doubles_removed)
    assert report.project_id is not None
    there = [task.task_id for page in anew.marks(report.project_id) for task in page.tasks]
    assert there == task_ids
    assert 1 == collected.votes
